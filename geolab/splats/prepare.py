"""From whatever a user names to a scene that can be trained: with cameras, points and, if possible, a place.

for step in prepare.steps(Request("photos/"), work=folder, settings=settings):
    ...
scene = step.ready.scene
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geolab import store
from geolab.errors import BadInput
from geolab.settings import Settings
from geolab.splats import georef, record, sfm
from geolab.splats.scene import check, kind, open_scene, photos
from geolab.splats.views import EVERY, Scene

How = Literal["auto", "yes", "no"]
SOLVED, KNOWN = "structure from motion", "the scene's own"
_SOLVED_AT = 0.97  # of the work, when cameras and points are there


@dataclass(frozen=True)
class Request:
    """What to prepare.

    source: a collection of photos, a folder or URI of photos or of a posed scene, or its file. sfm: find the
    cameras from the photos, "auto" where the scene has none. gcp: a file of ground control points, or "".
    image_px: longest side of the photos in structure from motion. strict: refuse a posed scene that lacks
    photos.
    """

    source: str
    sfm: How = "auto"
    held_out: int | Sequence[str] = EVERY
    gcp: str = ""
    image_px: int = 1280
    strict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sfm not in ("auto", "yes", "no"):
            raise BadInput("sfm", found=repr(self.sfm), expected="auto, yes or no")


@dataclass(frozen=True)
class Ready:
    """A scene that can be trained. solution: figures of structure from motion, None if it was not needed."""

    scene: Scene
    report: georef.Report
    solution: sfm.Facts | None = None

    @property
    def cameras_from(self) -> str:
        """Where the cameras come from, in words."""
        return KNOWN if self.solution is None else SOLVED

    @property
    def facts(self) -> dict[str, Any]:
        """How the scene came about, in JSON's types: cameras, georeference, structure from motion."""
        made = {"cameras_from": self.cameras_from, "georeference": self.report.as_json()}
        return made | ({"sfm": self.solution.as_json()} if self.solution else {})

    def summary(self) -> dict[str, str]:
        """The scene in a few lines for people."""
        scene, pixel = self.scene, record.gsd(self.scene)
        unit = "m" if scene.frame else "units"
        told = {
            "photos with a camera": f"{len(scene.views)}, of which {len(scene.held_out)} are held out",
            "cameras from": self.cameras_from,
            "points": f"{0 if scene.points is None else len(scene.points):,}",
            "pixel on the ground": "unknown" if pixel is None else f"{pixel:.3g} {unit}",
        }
        if self.solution is not None:
            told["error of the points in the photos"] = f"{self.solution.reprojection_px:.2f} px"
        if scene.frame is not None:
            lon, lat = scene.frame.lon, scene.frame.lat
            told["origin"] = f"{lat:.6f}, {lon:.6f}; heights: {scene.frame.vertical_datum}"
        return told | self.report.summary()


@dataclass(frozen=True)
class Step:
    """How far the work is: done 0..1. ready: with the last step."""

    what: str
    done: float
    ready: Ready | None = field(default=None, repr=False)


def steps(request: Request, *, work: Path, settings: Settings) -> Iterator[Step]:
    """The steps from a source to a scene with cameras, points and, where the photos tell it, a place.

    work: a folder that may be taken up again after a kill. Raises NotFound, BadInput, FileRejected.
    """
    yield Step("reading what is there", 0.0)
    gcp = _local(request.gcp)
    posed = kind(request.source, settings=settings) not in (None, "photos")
    if request.sfm == "no" and not posed:
        raise BadInput(
            "scene", found=f"{request.source} without cameras", expected="COLMAP, transforms.json or OpenSfM",
            remedy="let structure from motion find them: sfm=auto",
        )  # fmt: skip
    if posed and request.sfm != "yes":
        scene, solution = (yield from _known(request, work, settings)), None
    else:
        scene, solution = yield from _solved(request, work, settings)
    scene, report = georef.locate(scene, gcp=gcp)
    notes = check(scene)
    scene = dataclasses.replace(scene, warnings=(*scene.warnings, *notes))
    yield Step("ready", 1.0, Ready(scene, report, solution))


def _local(gcp: str) -> Path | None:
    path = store.local_path(gcp) if gcp else None
    if gcp and path is None:
        raise BadInput("gcp", found=gcp, expected="a file on this machine")
    return path


def _known(request: Request, work: Path, settings: Settings) -> Generator[Step, None, Scene]:
    """The scene with its own cameras; with points, triangulated if it has none."""
    scene = open_scene(
        request.source, held_out=request.held_out, strict=request.strict, settings=settings,
    )  # fmt: skip
    check(scene)
    if scene.points is not None and len(scene.points):
        return scene
    yield Step("finding points between the photos", 0.1)
    return sfm.triangulate(
        scene, work=work / "points", image_px=min(960, request.image_px), threads=settings.worker_count(),
        seed=request.seed,
    )  # fmt: skip


def _solved(
    request: Request, work: Path, settings: Settings
) -> Generator[Step, None, tuple[Scene, sfm.Facts]]:
    """The scene that structure from motion finds."""
    found = photos(request.source, settings=settings)
    step = None
    for step in sfm.solve(
        found, work=work / "sfm", image_px=request.image_px, held_out=request.held_out,
        threads=settings.worker_count(), seed=request.seed,
    ):  # fmt: skip
        detail = f", {step.detail}" if step.detail else ""
        yield Step(f"structure from motion: {step.what}{detail}", _SOLVED_AT * step.done)
    assert step is not None
    assert step.scene is not None
    assert step.facts is not None
    return dataclasses.replace(step.scene, source=request.source), step.facts
