"""A scene on the Earth: from the photos' positions, or surveyed points, to metres east, north and up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geolab.errors import BadInput
from geolab.splats import gcp as control
from geolab.splats import leveling
from geolab.splats.frame import Frame
from geolab.splats.georef_report import CONTROL, POSITIONS, Report, measure
from geolab.splats.photo import Photo, read
from geolab.splats.similarity import Similarity, exact, refine, robust
from geolab.splats.views import Camera, Floats, Points, Scene

LEAST_POSITIONS = 3
SAME_PLACE_M = 1.0  # positions that differ by less than that tell nothing
SAME_PLACE = 1e-3  # and cameras by that share of their distance from the points
TURN_DEG = 3.0  # uncertainty of the turn about the flight line beyond which more than positions is needed
LEAST_TILT_DEG = 8.0  # between positions and cameras that is not worth a doubt
UNRELATED = 0.85  # residuals across, as a share of the positions' own scatter
WORSE = 1.2  # times the residuals across that level cameras may leave where heights are in doubt
CONTROL_SIGMA_M = (0.05, 0.1)  # of surveyed points as they are marked: across, up
SEA_LEVEL = "sea level, geoid not stated"

__all__ = ["Report", "locate"]


@dataclass(frozen=True)
class _Positions:
    """What the photos [V] say of their places. indices [P] of those views that state a position; lonlat,
    sigma [P, 3]."""

    photos: tuple[Photo, ...]
    indices: np.ndarray
    lonlat: Floats
    sigma: Floats
    datum: str


def locate(scene: Scene, *, gcp: Path | None = None, required: bool = False) -> tuple[Scene, Report]:
    """The scene in metres east, north, up, its origin on the ground below the middle of the cameras.

    The similarity is robust: photos whose position disagrees are named and not used. With three control
    points or more (a file as in `gcp`) these decide, and the photos' positions are only compared. Photos on
    one line do not tell how the scene is turned about it: then gimbal angles do, or cameras that were level.
    A scene that has a frame already stays as it is and is only measured.
    Where neither tells the place, or which way is up, the scene stays in its own frame and says so in its
    warnings; with `required` that is BadInput. Raises NotFound, BadInput and FileRejected for control points.
    """
    known = _positions(scene)
    points = control.read(Path(gcp)) if gcp is not None else None
    seen, notes = control.locate(points, scene.views) if points is not None else ([], [])
    datum = points.datum if points is not None and len(seen) >= 3 else known.datum
    if scene.frame is not None:
        return _with(scene, notes), measure(
            scene, known.photos, seen, used=None, method="the scene's own frame"
        )
    fit = _by_control(known, seen) if len(seen) >= 3 else _by_positions(scene, known)
    if isinstance(fit, str):
        if required:
            raise BadInput(
                "positions", found=fit, expected=f"{LEAST_POSITIONS} or more photos with GPS, on two flight "
                "lines or with gimbal angles, or as many ground control points",
            )  # fmt: skip
        line = f"the model is not placed on the Earth and has no scale: {fit}"
        return _with(scene, [*notes, line]), Report(photos=len(scene.views), warnings=(line,))
    moved = _on_the_ground(_moved(scene, fit), dataclasses.replace(fit.frame, vertical_datum=datum))
    seen, _ = control.locate(points, moved.views) if points is not None else ([], [])
    report = measure(
        moved, known.photos, seen, used=fit.used, method=fit.method, rotation_from=fit.rotation_from,
        scale=fit.similarity.scale, notes=fit.notes,
    )  # fmt: skip
    frame = dataclasses.replace(moved.frame or fit.frame, uncertainty_m=report.sigma_m)
    return _with(dataclasses.replace(moved, frame=frame), [*notes, *report.warnings]), report


def _with(scene: Scene, notes: Sequence[str]) -> Scene:
    return dataclasses.replace(scene, warnings=(*scene.warnings, *notes))


# ---------------------------------------------------------------- what the photos say


def _positions(scene: Scene) -> _Positions:
    photos = tuple(read(view.image, view.name) for view in scene.views)
    indices, lonlat, sigma = [], [], []
    for k, (view, photo) in enumerate(zip(scene.views, photos, strict=True)):
        place = photo.measured or view.measured
        if place is None:
            continue
        across, up = photo.sigma_m
        indices.append(k)
        lonlat.append(place)
        sigma.append((across, across, up))
    told = np.array(lonlat, np.float64).reshape(-1, 3)
    stated = np.isfinite(told[:, 2])
    kept = stated if stated.any() else np.zeros(len(told), np.bool_)
    return _Positions(
        photos, np.array(indices, np.int64)[kept], told[kept],
        np.array(sigma, np.float64).reshape(-1, 3)[kept],
        _datum([p for p in photos if p.measured is not None]),
    )  # fmt: skip


def _datum(photos: Sequence[Photo]) -> str:
    """In words, as the photos state it: nothing is guessed."""
    told = {p.datum for p in photos}
    if told == {"ellipsoid"}:
        return "ellipsoid"
    return SEA_LEVEL if told == {"sea level"} else "unknown"


def _problem(scene: Scene, known: _Positions) -> str:
    """Why positions can't place the scene; "" if they might."""
    total, n = len(known.photos), len(known.indices)
    if n < LEAST_POSITIONS:
        return f"{n} of {total} photos state where they were taken"
    frame = _frame(known)
    if np.ptp(frame.enu(known.lonlat)[:, :2], axis=0).max() < SAME_PLACE_M:
        return f"{n} photos all state the same place"
    if scene.points is not None and len(scene.points):
        places = scene.positions
        depth = np.median(np.linalg.norm(scene.points.xyz - places.mean(axis=0), axis=1))
        if np.ptp(places, axis=0).max() < SAME_PLACE * depth:
            return f"{total} photos were all taken from one place"
    return ""


def _frame(known: _Positions) -> Frame:
    """At the middle of the positions, where the outliers do not count."""
    lon, lat, height = (float(v) for v in np.median(known.lonlat, axis=0))
    days = sorted(p.taken[:10] for p in known.photos if p.taken)
    return Frame(lon, lat, height, epoch=days[-1] if days else "")


# ---------------------------------------------------------------- the similarity


@dataclass(frozen=True)
class _Fit:
    """A similarity from the scene to a frame. used: indices of the views whose positions agree, None: all."""

    similarity: Similarity
    frame: Frame
    used: frozenset[int] | None
    method: str
    rotation_from: str
    notes: tuple[str, ...] = ()


def _by_positions(scene: Scene, known: _Positions) -> _Fit | str:
    """By positions alone where they tell which way is up, else also by how the cameras were held.

    Or why they can't place the scene.
    """
    problem = _problem(scene, known)
    if problem:
        return problem
    frame = _frame(known)
    source, target = scene.positions[known.indices], frame.enu(known.lonlat)
    found, agreed = robust(source, target, known.sigma)
    how, up = POSITIONS, _up(scene, known)
    turn = _turn_deg(found, source[agreed], target[agreed], known.sigma[agreed])
    doubtful = turn > TURN_DEG
    if up is not None and (doubtful or leveling.tilt_deg(found, up.direction) > _most_tilt_deg(turn, up)):
        level, kept = leveling.leveled(source, target, known.sigma, up.direction)
        if doubtful or _across_m(level, source[kept], target[kept]) < WORSE * _across_m(
            found, source[agreed], target[agreed]
        ):
            up = up if up.by == leveling.GIMBAL else leveling.by_flight(up, scene.positions)
            found, agreed = leveling.leveled(source, target, known.sigma, up.direction)
            how = f"{POSITIONS} across and {up.by}"
    elif doubtful:
        return f"photos near one line, the turn about which is known to {turn:.0f}° only"
    misfit, spread = _across_m(found, source[agreed], target[agreed]), _spread_m(target[agreed])
    if misfit > UNRELATED * spread:
        return f"photos state positions that have nothing to do with their cameras ({misfit:.0f} m off)"
    used = frozenset(int(k) for k in known.indices[agreed])
    heights = found.apply(source)[:, 2] - target[:, 2]
    notes = () if how == POSITIONS else _doubts(float(heights.std()), float(known.sigma[:, 2].max()))
    return _Fit(found, frame, used, "positions of the photos (GPS)", how, notes)


def _doubts(scatter_m: float, sigma_m: float) -> tuple[str, ...]:
    """What to tell of heights that were not followed."""
    if scatter_m <= 2 * sigma_m:
        return ()
    return (
        f"the heights that the photos state scatter by {scatter_m:.0f} m: only their middle is used, and up "
        "is taken from the cameras",
    )


def _up(scene: Scene, known: _Positions) -> leveling.Up | None:
    """Up by the gimbals, else by how cameras are usually held."""
    rotations = [view.camera.world_to_camera[:3, :3] for view in scene.views]
    xmps = [photo.xmp for photo in known.photos]
    points = None if scene.points is None else scene.points.xyz
    sideways = [photo.orientation >= 5 for photo in known.photos]
    return leveling.by_gimbal(rotations, xmps) or leveling.by_cameras(rotations, sideways, points)


def _turn_deg(found: Similarity, source: Floats, target: Floats, sigma: Floats) -> float:
    """How well positions determine the turn about the line that they are nearest to."""
    places = found.apply(source)
    scatter = float(np.sqrt(((places - target) ** 2).mean()))
    return leveling.turn_error_deg(places, max(scatter, 0.5 * float(sigma.min())))


def _most_tilt_deg(turn: float, up: leveling.Up) -> float:
    """The tilt between positions and cameras from which on they contradict each other."""
    return max(LEAST_TILT_DEG, 3 * float(np.hypot(turn, up.sigma_deg)))


def _across_m(found: Similarity, source: Floats, target: Floats) -> float:
    return float(np.sqrt(((found.apply(source) - target)[:, :2] ** 2).mean()))


def _spread_m(places: Floats) -> float:
    return float(np.sqrt(places[:, :2].var(axis=0).mean()))


def _by_control(known: _Positions, seen: Sequence[control.Seen]) -> _Fit:
    """By the surveyed points alone: the photos' heights may count from another datum, and are metres off."""
    places = np.array([s.point.place for s in seen])
    lon, lat, height = (float(v) for v in places.mean(axis=0))
    days = sorted(p.taken[:10] for p in known.photos if p.taken)
    frame = Frame(lon, lat, height, epoch=days[-1] if days else "")
    source, target = np.stack([s.xyz for s in seen]), frame.enu(places)
    spread = leveling.line(target)
    if spread[1] < 10 * CONTROL_SIGMA_M[0]:
        raise BadInput(
            "ground control points", found=f"{len(seen)} on one line", expected="3 or more that span an area"
        )
    across, up = CONTROL_SIGMA_M
    sigma = np.tile([across, across, up], (len(seen), 1))
    found = exact(source, target)
    return _Fit(refine(found, source, target, sigma), frame, None, "ground control points", CONTROL)


# ---------------------------------------------------------------- the scene moved


def _moved(scene: Scene, fit: _Fit) -> Scene:
    s = fit.similarity
    views = tuple(dataclasses.replace(v, camera=_camera(v.camera, s)) for v in scene.views)
    points = None if scene.points is None else Points(s.apply(scene.points.xyz), scene.points.rgb)
    return dataclasses.replace(scene, views=views, points=points, frame=fit.frame)


def _camera(camera: Camera, s: Similarity) -> Camera:
    pose = np.eye(4)
    pose[:3, :3] = camera.world_to_camera[:3, :3] @ s.rotation.T
    pose[:3, 3] = s.scale * camera.world_to_camera[:3, 3] - pose[:3, :3] @ s.translation
    return dataclasses.replace(camera, world_to_camera=pose)


def _on_the_ground(scene: Scene, frame: Frame) -> Scene:
    """The scene in a frame whose origin lies below the mean of the cameras, at the points' median height."""
    middle = scene.positions.mean(axis=0)
    if scene.points is not None and len(scene.points):
        middle[2] = np.median(scene.points.xyz[:, 2])
    lon, lat, height = (float(v) for v in frame.lonlat(middle)[0])
    target = dataclasses.replace(frame, lon=lon, lat=lat, height_m=height)
    turn = target.axes @ frame.axes.T
    shift = (frame.origin_ecef - target.origin_ecef) @ target.axes.T
    return _moved(scene, _Fit(Similarity(1.0, turn, shift), target, None, "", ""))
