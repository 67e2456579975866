"""How well a scene lies on the Earth: residuals, tilt, heights, focal lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geolab.errors import one_line
from geolab.splats.gcp import Seen
from geolab.splats.photo import Photo
from geolab.splats.views import Floats, Scene

POSITIONS, CONTROL = "positions", "control points"
Indices = NDArray[np.int64]

NEAR = 50  # points below a camera that tell the height of the ground there
GROUND_PCT = 25.0  # of their heights: below trees and roofs
RATIO_OFF = 0.1  # of the heights above ground, from which on a warning is due
DRIFT_PCT = 5.0  # of the focal length
SCALE_PCT = 5.0
PARTS = 10  # of a flight, one after the other: errors of GPS last for seconds


@dataclass(frozen=True)
class Report:
    """Residuals are the model's places minus the stated ones, metres; None where nothing is known.

    method: what placed the scene, "none" if nothing did. rotation_from: what turned it. positions: photos
    that state one; used: of these; outliers: names of the others. tilt_deg: of the plane through the points
    against the horizontal: real ground slopes, too. focal_drift_pct: median from what the photos state.
    height_ratio: median over the photos of the height above ground by their XMP's RelativeAltitude. sigma_m:
    standard deviation of the frame's place, east, north, up. scale_sigma_pct: of lengths, by how well the
    positions agree on them; volumes err by three times that. control: residuals of each control point.
    """

    photos: int
    method: str = "none"
    rotation_from: str = ""
    positions: int = 0
    used: int = 0
    outliers: tuple[str, ...] = ()
    rmse_east_m: float | None = None
    rmse_north_m: float | None = None
    rmse_up_m: float | None = None
    max_m: float | None = None
    scale: float | None = None
    scale_sigma_pct: float | None = None
    tilt_deg: float | None = None
    focal_drift_pct: float | None = None
    height_above_ground_m: float | None = None
    height_ratio: float | None = None
    sigma_m: tuple[float, float, float] | None = None
    vertical_datum: str = "unknown"
    control: tuple[dict[str, Any], ...] = ()
    control_rmse_m: tuple[float, float, float] | None = None
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def summary(self) -> dict[str, str]:
        """In a few lines for people."""
        if self.method == "none":
            return {"place": self.warnings[0] if self.warnings else "none is known"}
        told = {
            "placed by": self.method + (f"; turned by {self.rotation_from}" if self.rotation_from else "")
        }
        if self.rmse_east_m is not None:
            told["residuals east, north, up"] = (
                f"{self.rmse_east_m:.2f}, {self.rmse_north_m:.2f}, {self.rmse_up_m:.2f} m "
                f"({self.used} of {self.positions} positions)"
            )
        if self.control_rmse_m is not None:
            east, north, up = self.control_rmse_m
            told["control points east, north, up"] = (
                f"{east:.3f}, {north:.3f}, {up:.3f} m ({len(self.control)})"
            )
        for name, value, form in (
            ("tilt of the ground", self.tilt_deg, "{:.1f}°"),
            ("lengths may be off by", self.scale_sigma_pct, "±{:.1f} %"),
            ("focal length off the photos' word", self.focal_drift_pct, "{:+.1f} %"),
            ("height above ground", self.height_above_ground_m, "{:.1f} m"),
            ("the same by the drone's altitude", self.height_ratio, "{:.2f}"),
        ):
            if value is not None:
                told[name] = form.format(value)
        if self.sigma_m is not None:
            told["uncertainty of the place"] = f"{self.sigma_m[0]:.2g} m across, {self.sigma_m[2]:.2g} m up"
        return told


def measure(
    scene: Scene,
    photos: Sequence[Photo],
    seen: Sequence[Seen],
    *,
    used: frozenset[int] | None,
    method: str,
    rotation_from: str = "",
    scale: float = 1.0,
    notes: Sequence[str] = (),
) -> Report:
    """The report of a scene that has a frame. used: views whose positions count; None: all."""
    names = [one_line(v.name, 80) for v in scene.views]
    stated, sigma, indices = _stated(scene, photos)
    counted = np.array([used is None or int(k) in used for k in indices], np.bool_)
    off = scene.positions[indices] - stated
    heights = _above_ground(scene)
    drift = _focal_drift(scene, photos)
    by_control = rotation_from == CONTROL
    spread = None if by_control else _scale_sigma_pct(scene.positions[indices][counted], stated[counted])
    ratio = _height_ratio(heights, photos)
    rows, control_rmse = _control(scene, seen)
    rmse = np.sqrt((off[counted] ** 2).mean(axis=0)) if counted.any() else None
    return Report(
        photos=len(scene.views), method=method, rotation_from=rotation_from,
        positions=len(indices), used=int(counted.sum()),
        outliers=tuple(names[k] for k in indices[~counted]) if used else (),
        rmse_east_m=None if rmse is None else float(rmse[0]),
        rmse_north_m=None if rmse is None else float(rmse[1]),
        rmse_up_m=None if rmse is None else float(rmse[2]),
        max_m=float(np.linalg.norm(off[counted], axis=1).max()) if counted.any() else None,
        scale=scale, scale_sigma_pct=spread, tilt_deg=_tilt_deg(scene), focal_drift_pct=drift,
        height_above_ground_m=float(np.median(heights)) if heights is not None else None, height_ratio=ratio,
        sigma_m=_sigma(rmse, sigma[counted], rows, control_rmse, by_control),
        vertical_datum=scene.frame.vertical_datum if scene.frame else "unknown",
        control=tuple(rows), control_rmse_m=control_rmse,
        warnings=(*notes, *_warnings(names, indices[~counted] if used else (), drift, ratio, spread)),
    )  # fmt: skip


def _stated(scene: Scene, photos: Sequence[Photo]) -> tuple[Floats, Floats, Indices]:
    """Places [P, 3] that photos state, in the scene's frame; their sigma [P, 3]; the views' indices [P]."""
    rows = [
        (k, place, photo.sigma_m)
        for k, (view, photo) in enumerate(zip(scene.views, photos, strict=True))
        if (place := photo.measured or view.measured) and np.isfinite(place).all()
    ]
    if not rows or scene.frame is None:
        return np.empty((0, 3)), np.empty((0, 3)), np.empty(0, np.int64)
    stated = scene.frame.enu(np.array([place for _, place, _ in rows]))
    sigma = np.array([(across, across, up) for _, _, (across, up) in rows], np.float64)
    return stated, sigma, np.array([k for k, _, _ in rows], np.int64)


def _above_ground(scene: Scene) -> Floats | None:
    """Heights [V] of the cameras above the ground below them; None without points."""
    if scene.points is None or len(scene.points) < NEAR:
        return None
    tree = KDTree(scene.points.xyz[:, :2])
    near = np.atleast_2d(tree.query(scene.positions[:, :2], k=NEAR)[1])
    ground = np.percentile(scene.points.xyz[:, 2][near], GROUND_PCT, axis=1)
    return scene.positions[:, 2] - ground


def _height_ratio(heights: Floats | None, photos: Sequence[Photo]) -> float | None:
    if heights is None:
        return None
    told = [photo.above_takeoff_m or 0.0 for photo in photos]
    ratios = [height / t for height, t in zip(heights, told, strict=True) if t > 5.0]
    return float(np.median(ratios)) if ratios else None


def _focal_drift(scene: Scene, photos: Sequence[Photo]) -> float | None:
    drifts = []
    for view, photo in zip(scene.views, photos, strict=True):
        if photo.focal_px:
            sides = max(photo.width, photo.height) / max(view.camera.width, view.camera.height)
            drifts.append(100 * (view.camera.K[0, 0] * sides / photo.focal_px - 1))
    return float(np.median(drifts)) if drifts else None


def _scale_sigma_pct(found: Floats, stated: Floats) -> float | None:
    """Of the scale that places [P, 3] across give in the order of the photos: a jackknife over PARTS of them.

    None for too few, or for places that do not differ.
    """
    if len(found) < PARTS:
        return None
    s, t = (p[:, 0] + 1j * p[:, 1] for p in (found, stated))
    part = np.arange(len(s)) * PARTS // len(s)
    scales = []
    for k in range(PARTS):
        ds, dt = (v[part != k] - v[part != k].mean() for v in (s, t))
        power = float((np.abs(ds) ** 2).sum())
        if not power > 0:
            return None
        scales.append(abs((np.conj(ds) * dt).sum()) / power)
    off = np.array(scales) / np.mean(scales) - 1
    return float(100 * np.sqrt((PARTS - 1) / PARTS * (off**2).sum()))


def _tilt_deg(scene: Scene) -> float | None:
    """Of the plane through the points without the highest and lowest tenth, against the horizontal."""
    if scene.points is None or len(scene.points) < NEAR:
        return None
    xyz, slope = scene.points.xyz, np.zeros(3)
    for _ in range(3):
        plane = np.column_stack([xyz[:, :2] - xyz[:, :2].mean(axis=0), np.ones(len(xyz))])
        slope = np.linalg.lstsq(plane, xyz[:, 2], rcond=None)[0]
        off = np.abs(xyz[:, 2] - plane @ slope)
        xyz = xyz[off <= np.percentile(off, 90)]
    return float(np.degrees(np.arctan(np.hypot(slope[0], slope[1]))))


def _control(
    scene: Scene, seen: Sequence[Seen]
) -> tuple[list[dict[str, Any]], tuple[float, float, float] | None]:
    if not seen or scene.frame is None:
        return [], None
    surveyed = scene.frame.enu(np.array([s.point.place for s in seen]))
    off = np.stack([s.xyz for s in seen]) - surveyed
    rows = [
        {"name": s.point.name, "east_m": float(e), "north_m": float(n), "up_m": float(u), "photos": s.photos,
         "reprojection_px": s.reprojection_px}
        for s, (e, n, u) in zip(seen, off, strict=True)
    ]  # fmt: skip
    east, north, up = (float(v) for v in np.sqrt((off**2).mean(axis=0)))
    return rows, (east, north, up)


def _sigma(
    rmse: Floats | None,
    sigma: Floats,
    rows: Sequence[object],
    control_rmse: tuple[float, ...] | None,
    by_control: bool,
) -> tuple[float, float, float] | None:
    """Of the frame's place. Positions err alike throughout a flight, so their number does not help."""
    if by_control and control_rmse is not None:
        found = np.array(control_rmse) / np.sqrt(len(rows))
    elif rmse is None:
        return None
    else:
        found = np.maximum(rmse, np.median(sigma, axis=0))
    return float(found[0]), float(found[1]), float(found[2])


def _warnings(
    names: Sequence[str],
    outliers: Iterable[int],
    drift: float | None,
    ratio: float | None,
    spread: float | None,
) -> tuple[str, ...]:
    lines = [f"photo {names[k]} states a position that the others contradict: not used" for k in outliers]
    if ratio is not None and abs(ratio - 1) > RATIO_OFF:
        lines.append(
            f"heights above ground are {ratio:.2f} times those of the drone's altitude: "
            "the focal length may be off, or the ground below the take-off"
        )
    if spread is not None and spread > SCALE_PCT:
        lines.append(
            f"the photos' positions tell the scale to ±{spread:.0f} % only: measure a known length, or give "
            "ground control points"
        )
    if drift is not None and abs(drift) > DRIFT_PCT:
        lines.append(f"the focal length is {drift:+.1f} % off what the photos state: heights may be, too")
    return tuple(lines)
