"""One model: in 3-D beside its map, its facts, a path of cameras, products and films."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import catalog, jobs, viewer
from geolab.apps import parts
from geolab.apps.form import Form
from geolab.apps.runpanel import RunPanel, recent
from geolab.apps.splats.film import film
from geolab.apps.splats.path import PathEditor
from geolab.errors import GeolabError
from geolab.maps import origin
from geolab.splats import find, io, record

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.settings import Settings

NOTEBOOK = "06_render_splats"
HEIGHT = "480px"


@dataclass(frozen=True)
class Loaded:
    """A model that was read. made: what its newest rendering reported, {} if there is none."""

    uri: str
    title: str
    splats: io.Splats
    run_id: str
    made: dict[str, Any]
    items: dict[str, Any]  # its orthophoto and dsm, as items of the catalogue


def load(ref: str, settings: Settings) -> Loaded | GeolabError:
    """The model that a text names; the error in words where there is none."""
    try:
        uri = find.locate(ref, settings)
        splats = io.read(uri)
        view = _rendered(uri, settings)
    except GeolabError as error:
        return error
    report = (view.report if view else None) or {}
    title = _item_title(ref, settings)
    items = {str(item["properties"].get("geolab:result")): item for item in report.get("outputs") or []}
    return Loaded(uri, title, splats, view.run_id if view else "", report.get("results") or {}, items)


def _item_title(ref: str, settings: Settings) -> str:
    """The title of the item that a text names; "" for a file."""
    try:
        return origin.title(catalog.find(ref, settings))
    except GeolabError:
        return ""


def _rendered(uri: str, settings: Settings) -> Any:
    """The newest run that rendered this model."""
    for view in jobs.runs("succeeded", notebook=NOTEBOOK, limit=50, settings=settings):
        whole = jobs.show(view.run_id, settings=settings)
        if ((whole.report or {}).get("results") or {}).get("splats") == uri:
            return whole
    return None


class Shown(widgets.VBox):
    """The model on the page. view: the 3-D view."""

    def __init__(self, page: Page, loaded: Loaded):
        self.page, self.loaded = page, loaded
        self._waiting = parts.html("")
        scene, self.view = self._scene()
        self.view.observe(page.guard(self._tell_place), "waiting")
        self._run = parts.stack()
        self.path = PathEditor(page, self.view, loaded, on_file=self._film_along)
        self._form = parts.stack()
        self.tabs = parts.tabs(
            {
                "About": self._about(),
                "Camera path": self.path,
                "Products and films": parts.stack(self._made(), self._form, self._run, self._earlier()),
            }
        )
        self.tabs.on_change(self._turned)
        super().__init__([parts.heading(self._title()), scene, self._waiting, self.tabs])
        if page.asked["run"]:
            self.tabs.chosen = "Products and films"
            self._show_run(page.asked["run"])

    def _title(self) -> str:
        return self.loaded.title or PurePosixPath(self.loaded.uri).name

    def _scene(self) -> tuple[widgets.Widget, viewer.Viewer]:
        splats = self.loaded.splats
        cameras = record.cameras(splats.meta)
        if splats.frame is None:
            note = "This model does not say where on Earth it lies: it has no map, orthophoto or heights."
            view = viewer.show(splats, cameras=cameras)
            return parts.stack(view, parts.text(note, soft=True)), view
        layers = {
            name: self.loaded.items[name] for name in ("orthophoto", "dsm") if name in self.loaded.items
        }
        both = viewer.on_map(splats, cameras=cameras, height=HEIGHT, **layers)
        return both, both.open_model(first=True)

    def _tell_place(self, change: Any) -> None:
        """How many pictures of others the machine draws first."""
        count = change["new"]
        one = f"{count} picture{'s' * (count > 1)} of other pages are drawn before yours."
        self._waiting.value = parts.text(one, soft=True).value if count else ""

    # ------------------------------------------------------------ what is known of it

    def _about(self) -> widgets.Widget:
        told = io.summary(io.info(self.loaded.uri))
        warnings = [parts.text(text, soft=True) for text in self.loaded.splats.warnings]
        return parts.stack(parts.facts(told), *warnings)

    # ------------------------------------------------------------ products and films

    def _made(self) -> widgets.Widget:
        made, run = self.loaded.made, self.loaded.run_id
        if not run:
            return parts.text("No orthophoto, heights or film were made of this model yet.", soft=True)
        pictures = [("products.png", "Orthophoto and heights"), ("stills.png", "Stills along the path")]
        shown = [parts.figure(run, title, name) for name, title in pictures if self._has(name)]
        video = film(run, str(made.get("video") or ""))
        return parts.stack(*([video] if video else []), parts.box(shown, "geolab-figures"))

    def _has(self, name: str) -> bool:
        view = jobs.show(self.loaded.run_id, settings=self.page.settings)
        return (view.folder / name).is_file()

    def _turned(self, title: str) -> None:
        if title == "Products and films" and not self._form.children:
            self._fill()

    def _fill(self, **values: Any) -> None:
        given = {"splats": self.loaded.uri, **values}
        form = Form(
            self.page, NOTEBOOK, values=given, hidden=("splats",), on_submitted=self._show_run, label="Render"
        )
        opened = bool(values) or not self.loaded.run_id
        self._form.children = (parts.Fold("Make orthophoto, heights and a film", form, opened=opened),)

    def _film_along(self, path: str, fps: int) -> None:
        """The form with the path that was set, which has its own length."""
        self._fill(path=path, fps=fps)
        self.tabs.chosen = "Products and films"

    def _show_run(self, run_id: str) -> None:
        for panel in self._run.children:
            panel.close()
        self._run.children = (RunPanel(self.page, run_id),)

    def _earlier(self) -> widgets.Widget:
        return parts.fold("Earlier renderings", recent(self.page, (NOTEBOOK,), self._show_run))
