"""A part of the pair before the whole is worked on: what the machine's model server finds in one window.

Its levels are the very ones that the detection will have there.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
from PIL import Image
from rasterio.windows import Window

from geolab import catalog, display, modelserver, raster
from geolab.apps import parts
from geolab.errors import BadInput, GeolabError, Superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    from geolab.apps.shell import Page
    from geolab.settings import Settings

SIDE_PX = 384
NODATA = 255
TOP = 254  # the level of probability 1
ORANGE = np.array([0xE8, 0x59, 0x0C], np.float32)
OPACITY = 0.6


@dataclass(frozen=True)
class Asked:
    """What is looked at. across, down: where the window's middle lies, 0..1 of the image."""

    before: str
    after: str
    method: str
    model: str
    across: float
    down: float


@dataclass(frozen=True)
class Seen:
    """A PNG of the later image with the change in it; share: of the valid pixels, 0..1."""

    picture: bytes
    share: float
    threshold: float


def look(asked: Asked, settings: Settings, client: str, places: Callable[[int], None]) -> Seen | GeolabError:
    """What is found there; the error in words where it can't be told."""
    try:
        return _looked(asked, settings, client, places)
    except GeolabError as error:
        return error


def _looked(asked: Asked, settings: Settings, client: str, places: Callable[[int], None]) -> Seen:
    before, after = (catalog.locate(ref, settings) for ref in (asked.before, asked.after))
    height, width = raster.read_info(before).shape
    rows, cols = _span(asked.down, height), _span(asked.across, width)
    levels, threshold = modelserver.predict(
        before, after, rows=rows, cols=cols, method=asked.method, model=_folder(asked, settings),
        client=client, places=places,
    )  # fmt: skip
    known = levels != NODATA
    if not known.any():
        raise BadInput("this part", found="no pixel that is valid at both dates", expected="another part")
    changed = known & (levels / TOP >= threshold)
    return Seen(_drawn(after, rows, cols, changed), float(changed.sum() / known.sum()), threshold)


def _span(middle: float, length: int) -> tuple[int, int]:
    start = round(min(max(middle, 0.0), 1.0) * length - SIDE_PX / 2)
    start = max(0, min(start, length - SIDE_PX))
    return start, min(start + SIDE_PX, length)


def _folder(asked: Asked, settings: Settings) -> str:
    """The folder of the model: names mean something in this workspace only."""
    if asked.method != "model":
        return ""
    from geolab import track  # mlflow loads with it

    return str(track.model_folder(asked.model, settings))


def _drawn(uri: str, rows: tuple[int, int], cols: tuple[int, int], changed: np.ndarray) -> bytes:
    with raster.open_raster(uri) as dataset:
        colors = [c.name for c in dataset.colorinterp]
        bands = display.rgb_bands(dataset.descriptions, colors, count=sum(c != "alpha" for c in colors))
        limits = display.limits(display.read_sample(dataset, bands))
        pixels = dataset.read(bands, window=Window.from_slices(rows, cols))
    shown = display.stretch(pixels, limits)
    rgb = np.moveaxis(np.repeat(shown, 3, axis=0) if len(shown) == 1 else shown, 0, -1).astype(np.float32)
    rgb[changed] += OPACITY * (ORANGE - rgb[changed])
    buffer = io.BytesIO()
    Image.fromarray(np.rint(rgb).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Glimpse(widgets.VBox):
    """A button, where to look, and what was found. how: tells method and model when it is pressed."""

    def __init__(self, page: Page, how: Callable[[], tuple[str, str]]):
        self.page, self._how = page, how
        self.refs: tuple[str, str] = ("", "")
        self._across = _slider("West to east")
        self._down = _slider("North to south")
        self._shown = parts.stack()
        go = parts.button("Look at a part first", self.go, hint="Find the change in one window, now")
        super().__init__([parts.row(go, self._across, self._down), self._shown])
        self.add_class("geolab-glimpse")

    def go(self) -> None:
        """Look at the window that the sliders say."""
        method, model = self._how()
        asked = Asked(*self.refs, method, model, self._across.value / 100, self._down.value / 100)
        self._shown.children = (parts.skeleton(1),)
        client = f"glimpse {self.model_id}"
        self.page.aside(lambda: look(asked, self.page.settings, client, lambda _: None), self._told)

    def _told(self, found: Seen | GeolabError) -> None:
        if isinstance(found, Superseded):
            return
        if isinstance(found, GeolabError):
            self._shown.children = (parts.text(str(found)),)
            return
        said = (
            f"{found.share:.1%} of this part changed at threshold {found.threshold:.2f}, without normalising."
        )
        picture = widgets.Image(value=found.picture, format="png", layout={"max_width": "100%"})
        self._shown.children = (picture, parts.text(said, soft=True))


def _slider(label: str) -> Any:
    return widgets.IntSlider(value=50, min=0, max=100, description=label, readout=False,
                             style={"description_width": "initial"})  # fmt: skip
