"""One season of satellite scenes over one cell: found, masked, reduced to a cloud-free composite.

    for step in acquire.steps(request, folder):
        print(step.done, step.total, step.what)
    step.acquired.composite

Memory is bounded: large cells are worked on in strips of rows, each with all scenes of the season.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

import geolab
from geolab import raster
from geolab.errors import BadInput, one_line
from geolab.ingest import composite, stac
from geolab.ingest.dates import rfc3339
from geolab.raster.cells import Cell

if TYPE_CHECKING:
    from pystac import Item

SOURCES = ("stac", "openeo")
STACK_BYTES = 256_000_000  # of all scenes of a strip
BANDS = ("blue", "green", "red", "nir", "swir16")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to acquire; impossible values raise BadInput.

    year, season: first and last day as "06-01/08-31"; a season over New Year ends in `year`.
    max_cloud: per cent of a scene. bands, scl: names of assets, or common names. clear: classes of the
    scene classification that show the ground. buffer_px: how near to cloud nothing is trusted. min_looks:
    pixels seen clear on fewer days are nodata. scale: reflectance of what an openEO back-end calls 1; scenes
    of a STAC API say theirs.
    """

    cell: Cell
    api: str
    year: int
    collection: str = "sentinel-2-l2a"
    season: str = "06-01/08-31"
    max_cloud: float = 60.0
    source: str = "stac"
    bands: tuple[str, ...] = BANDS
    scl: str = "scl"
    clear: tuple[int, ...] = composite.CLEAR
    buffer_px: int = 0
    min_looks: int = 3
    scale: float = 0.0001

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BadInput("source", found=repr(self.source), expected=", ".join(SOURCES))
        if not self.bands or len(set(self.bands)) != len(self.bands) or self.scl in self.bands:
            raise BadInput("bands", found=list(self.bands), expected="different bands, without the classes")
        if not 0 <= self.max_cloud <= 100:
            raise BadInput("max_cloud", found=self.max_cloud, expected="0 to 100 per cent")
        if not 1 <= self.min_looks <= 1000:
            raise BadInput("min_looks", found=self.min_looks, expected="1 or more")
        composite.clear(np.zeros((1, 1), np.uint8), keep=self.clear, buffer_px=self.buffer_px)
        _ = self.days

    @property
    def days(self) -> tuple[date, date]:
        """First and last day of the season."""
        found = re.fullmatch(r"(\d\d)-(\d\d)/(\d\d)-(\d\d)", self.season)
        try:
            if found is None:
                raise ValueError
            month, day, last_month, last_day = (int(part) for part in found.groups())
            over_new_year = (month, day) > (last_month, last_day)
            return date(self.year - over_new_year, month, day), date(self.year, last_month, last_day)
        except ValueError as error:
            raise BadInput(
                "season", found=f"{one_line(self.season, 40)!r} of {self.year}",
                expected="first and last day as MM-DD/MM-DD, such as 06-01/08-31",
            ) from error  # fmt: skip


@dataclass(frozen=True)
class Acquired:
    """Where the products are and what they say.

    composite: COG on the cell's grid, float32 reflectance, NaN nodata. looks: COG, uint16, days on which each
    pixel was seen clear. scenes: ids, the oldest first. clear_share: of the pixels, seen often enough.
    """

    composite: Path
    looks: Path
    scenes: tuple[str, ...]
    clear_share: float
    mean_looks: float
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Step:
    """Progress; the last step carries what was acquired."""

    done: int
    total: int
    what: str
    acquired: Acquired | None = None


@dataclass
class Tally:
    """Counts over all strips."""

    pixels: int = 0
    enough: int = 0
    looks: int = 0

    def add(self, looks: np.ndarray, min_looks: int) -> None:
        """Count a strip."""
        self.pixels += looks.size
        self.enough += int(np.count_nonzero(looks >= min_looks))
        self.looks += int(looks.sum(dtype=np.int64))


def steps(request: Request, out: str | os.PathLike[str]) -> Iterator[Step]:
    """Acquire into a folder, step by step: composite.tif and looks.tif, each whole or not at all.

    Raises NoScene, NotFound (collection), BadInput, FileRejected: a server that is away, or the file that
    can't be read. Nothing that can't be read is left out silently.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if request.source == "openeo":
        from geolab.ingest import openeo

        yield from openeo.steps(request, folder)
        return
    yield Step(0, 1, f"looking for scenes of {request.cell.id} in {request.year}")
    start, end = request.days
    items = stac.search(
        request.api, request.collection, request.cell.bbox_lonlat, start, end, request.max_cloud,
        cell=request.cell.id,
    )  # fmt: skip
    yield from _from_scenes(request, stac.own_first(items, request.cell.epsg), folder)


def _from_scenes(request: Request, items: list[Item], folder: Path) -> Iterator[Step]:
    strips = list(_strips(request, len(items)))
    total, done, tally = len(strips) * len(items), 0, Tally()
    span = stac.span(items)
    with ExitStack() as open_files:
        pixels, looks = writers(request, folder, [item.id for item in items], span, open_files)
        for top, bottom in strips:
            scenes, clear = yield from _stack(request, items, top, bottom, done, total)
            done += len(items)
            made = composite.compose(scenes, clear, min_looks=request.min_looks)
            window = Window(0, top, made.looks.shape[1], bottom - top)  # pyright: ignore[reportCallIssue]
            pixels.write(made.pixels, window)
            looks.write(made.looks, window)
            tally.add(made.looks, request.min_looks)
        check_seen(request, tally, len(items))
    yield Step(total, total, "done", acquired(folder, [item.id for item in items], span, tally))


def _strips(request: Request, scenes: int) -> Iterator[tuple[int, int]]:
    """First and last row of strips that fit into memory with all scenes."""
    height, width = request.cell.geobox.shape
    row_bytes = scenes * width * (len(request.bands) * 4 + 1)
    rows = max(1, STACK_BYTES // row_bytes)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _stack(
    request: Request, items: list[Item], top: int, bottom: int, done: int, total: int
) -> Iterator[Any]:
    """Steps, and in the end the reflectance [time, band, y, x] and what is clear [time, y, x] of a strip."""
    strip, halo = request.cell.geobox[top:bottom, :], request.buffer_px
    scenes = np.full((len(items), len(request.bands), *strip.shape), np.nan, np.float32)
    clear = np.zeros((len(items), *strip.shape), bool)
    days = [stac.solar_day(item) for item in items]
    classes = np.zeros_like(clear, np.uint8)
    for index, item in enumerate(items):
        yield Step(done + index, total, f"scene {index + 1} of {len(items)}, {days[index]}")
        # what is clear at the edge depends on clouds beyond it
        wide = stac.load_classes([item], strip.pad(halo) if halo else strip, request.scl)[request.scl].values
        seen = composite.clear(wide, keep=request.clear, buffer_px=halo)
        inner = np.s_[0, halo : halo + strip.shape[0], halo : halo + strip.shape[1]]
        classes[index], clear[index] = wide[inner], seen[inner]
        day = [other for other in range(index + 1) if days[other] == days[index]]
        clear[index] &= composite.one_look_a_day(classes[day], [days[index]] * len(day))[-1]
        if clear[index].any():  # most scenes of a clouded summer need not be read at all
            found = stac.load([item], strip, request.bands)
            for band, name in enumerate(request.bands):
                scenes[index, band] = found[name].values[0]
    return scenes, clear


# ---------------------------------------------------------------- products, of either source


def writers(
    request: Request, folder: Path, scenes: list[str], span: tuple[datetime, datetime], stack: ExitStack
) -> tuple[raster.Writer, raster.Writer]:
    """Open writers of the composite and the looks; the files appear when the stack closes without error."""
    tags = _tags(request, scenes, span)
    pixels = raster.write_cog(
        folder / "composite.tif", like=request.cell.info, count=len(request.bands), dtype="float32",
        nodata=float("nan"), band_names=request.bands, tags=tags, resampling="average",
    )  # fmt: skip
    looks = raster.write_cog(
        folder / "looks.tif", like=request.cell.info, count=1, dtype="uint16", band_names=["clear looks"],
        tags=tags, resampling="nearest",
    )  # fmt: skip
    return stack.enter_context(pixels), stack.enter_context(looks)


def _tags(request: Request, scenes: list[str], span: tuple[datetime, datetime]) -> dict[str, str]:
    """What made the file; neither the time of the run nor the server's address, so that bytes repeat."""
    return {
        "START_DATETIME": rfc3339(span[0]),
        "END_DATETIME": rfc3339(span[1]),
        "GEOLAB_VERSION": geolab.__version__,
        "GEOLAB_SOURCE": request.source,
        "GEOLAB_COLLECTION": one_line(request.collection, 80),
        "GEOLAB_CELL": request.cell.id,
        "GEOLAB_SCENES": " ".join(one_line(scene, 80) for scene in scenes),
        "GEOLAB_SEASON": "/".join(str(day) for day in request.days),
        "GEOLAB_MAX_CLOUD": f"{request.max_cloud:g}",
        "GEOLAB_CLEAR": " ".join(map(str, request.clear)),
        "GEOLAB_BUFFER_PX": str(request.buffer_px),
        "GEOLAB_MIN_LOOKS": str(request.min_looks),
    }


def check_seen(request: Request, tally: Tally, scenes: int) -> None:
    """Raises BadInput when no pixel was seen often enough: an empty composite helps nobody."""
    if not tally.enough:
        raise BadInput(
            f"cell {request.cell.id} in {request.year}",
            found=f"no pixel seen clear on {request.min_looks} days in {scenes} scenes",
            expected="at least one",
            remedy="raise max_cloud, widen the season or lower min_looks",
        )


def acquired(folder: Path, scenes: list[str], span: tuple[datetime, datetime], tally: Tally) -> Acquired:
    """What both sources hand over."""
    return Acquired(
        composite=folder / "composite.tif",
        looks=folder / "looks.tif",
        scenes=tuple(scenes),
        clear_share=tally.enough / tally.pixels,
        mean_looks=tally.looks / tally.pixels,
        start=span[0].astimezone(UTC),
        end=span[1].astimezone(UTC),
    )
