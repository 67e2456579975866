"""`on_map`: the products of a flight on a map, and the model in 3-D at the place the map shows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from geolab import maps
from geolab.errors import BadInput
from geolab.splats import extent, io, items
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import Splats
from geolab.splats.views import Camera, Scene, View
from geolab.viewer import fallback, poses
from geolab.viewer.door import opened, source_of, views_of
from geolab.viewer.widget import Viewer

_EQUATOR_M = 156543.034  # a pixel of Web Mercator at zoom 0
ELEVATION_DEG = 40.0  # of the view that the button opens


def on_map(
    model: Any = None,
    frame: Frame | None = None,
    *,
    orthophoto: maps.Source | None = None,
    dsm: maps.Source | None = None,
    cameras: Scene | Iterable[View | Camera] = (),
    title: str = "",
    height: str = "560px",
    basemap: Any = None,
) -> OnMap:
    """A map of orthophoto, relief, footprint and cameras, with a button that opens the model in 3-D there.

    model: as for `show`; without one there is no button. frame: of model and cameras; the model's own if it
    is not given. orthophoto, dsm: a file (of this run, say), which the map holds as a picture, or an item of
    the catalogue, whose tiles come in full resolution. height: of the map and of the 3-D view, in px.
    A click on a camera shows what it saw; a point picked in 3-D is marked on the map.
    Raises NotFound, FileRejected; BadInput without a frame for what needs one.
    """
    splats = None if model is None else _splats(model, frame)
    known = frame or (splats.frame if splats else None)
    views = views_of(cameras)
    if known is None and (views or splats):
        raise BadInput("frame", found="none", expected="where model and cameras lie on Earth, to map them")
    found = OnMap(known, views, height_px=_pixels(height), title=title)
    places = [view.camera if isinstance(view, View) else view for view in views]
    chart = maps.survey(
        orthophoto=orthophoto,
        dsm=dsm,
        photos=known.lonlat([c.position for c in places]) if known and places else (),
        footprint=items.footprint(splats) if splats else None,
        on_photo=found.show_photo if splats else None,
        height=height,
        basemap=basemap,
    )
    found.begin(chart, splats)
    return found


def _splats(model: Any, frame: Frame | None) -> Splats:
    """The model with what its file says of it: its cameras bound the footprint."""
    read = io.read(model) if isinstance(model, str | Path) else model
    gaussians, known, name = opened(read)
    if read is not model:
        name = Path(str(model)).name
    meta = {**(getattr(read, "meta", None) or {}), "name": name}
    return Splats(gaussians, frame or known, meta, files=(source_of(model),))


def _pixels(height: str) -> int:
    found = re.fullmatch(r"(\d{3,4})px", height.strip())
    if not found or not 160 <= int(found[1]) <= 4000:
        raise BadInput("height", found=height[:40], expected="pixels from 160px to 4000px")
    return int(found[1])


class OnMap(widgets.Box):
    """A map and, once it is asked for, the 3-D view beside it; below it where the page is narrow.

    map: the map. viewer: the 3-D view, None until it is opened. open_here(), show_photo(index): what the
    button and a click on a camera do.
    """

    map: Any
    viewer: Viewer | None

    def __init__(self, frame: Frame | None, views: list[View | Camera], *, height_px: int, title: str):
        super().__init__(layout=widgets.Layout(width="100%", flex_flow="row wrap", grid_gap="12px"))
        self._frame, self._views = frame, views
        self._height_px, self._title = height_px, title
        self._splats: Splats | None = None
        self.viewer = None

    def begin(self, chart: Any, splats: Splats | None) -> None:
        """Show the map; with a model, its button too."""
        self.map, self._splats = chart, splats
        chart.layout.flex, chart.layout.width = "1 1 420px", "auto"
        chart.layout.min_width = "0"
        if splats is not None:
            hint = "Show the middle of this map in 3-D"
            maps.add_button(chart, "View in 3-D", hint, self.open_here)
        self.children = (chart,)

    def __repr__(self) -> str:
        return "A map, and the model in 3-D. Run this cell to see both."

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data = super()._repr_mimebundle_(**kwargs)
        if self._splats is None or data is None:
            return data
        held = self._splats.gaussians
        return data | fallback.kept(held, fallback.home(extent.box(held)))

    def open_here(self) -> None:
        """Look, in 3-D, at the middle of the map, from as far as the map's zoom shows."""
        viewer = self.open_model()
        latitude, longitude = self.map.center
        wide_m = _EQUATOR_M * math.cos(math.radians(latitude)) / 2**self.map.zoom * self._height_px
        point = self._ground(longitude, latitude, viewer.facts["box"])
        most = viewer.facts["home"]["distance"]
        distance = wide_m / 2 / math.tan(math.radians(poses.FOV_DEG / 2))
        viewer.look_at(point, distance_m=min(distance, most), elevation_deg=ELEVATION_DEG)

    def show_photo(self, index: int) -> None:
        """Look through a photo's camera."""
        if self._splats is not None and 0 <= index < len(self._views):
            self.open_model().look_through(_straight(self._views[index]))

    def open_model(self, *, first: bool = False) -> Viewer:
        """The 3-D view of the whole model, shown from now on. first: before the map, not after it."""
        if self.viewer is None:
            assert self._splats is not None
            self.viewer = viewer = Viewer(
                self._splats.gaussians, self._frame, title=self._title or str(self._splats.meta["name"]),
                source=self._splats.files[0], height_px=self._height_px,
                cameras=poses.cameras_json(self._views),
            )  # fmt: skip
            viewer.layout.flex, viewer.layout.min_width = "1 1 420px", "0"
            viewer.observe(self._mark, "picked")
            self.children = (viewer, self.map) if first else (self.map, viewer)
            if first:
                self.map.zoom = max(self.map.zoom - 1, 1)  # it was laid out for the whole width
        return self.viewer

    def _mark(self, change: Mapping[str, Any]) -> None:
        place = change["new"]
        if "lon" in place:
            maps.mark(self.map, place["lat"], place["lon"], f"picked, {place['height_m']:.2f} m")

    def _ground(self, longitude: float, latitude: float, box: list[float]) -> list[float]:
        """The model's point [east, north, up] at a place; where it has nothing, the nearest of its box."""
        assert self._frame is not None
        assert self._splats is not None
        east, north, _ = self._frame.enu([[longitude, latitude, self._frame.height_m]])[0]
        east, north = (float(np.clip(v, box[i], box[i + 3])) for i, v in enumerate((east, north)))
        return [east, north, _height(self._splats.gaussians, east, north, box)]


def _height(gaussians: Gaussians, east: float, north: float, box: list[float]) -> float:
    """Median height of the opaque Gaussians near a place; in the middle of the box where there are none."""
    means = gaussians.means.detach().cpu().double().numpy()
    near_m = max(box[3] - box[0], box[4] - box[1]) / 40
    near = np.hypot(means[:, 0] - east, means[:, 1] - north) < near_m
    near &= gaussians.logit_opacities.detach().cpu().numpy() > 0
    return float(np.median(means[near, 2])) if near.any() else (box[2] + box[5]) / 2


def _straight(view: View | Camera) -> Camera:
    """The view's camera without its distortion."""
    camera = view.camera if isinstance(view, View) else view
    return Camera(camera.width, camera.height, camera.K, camera.world_to_camera)
