"""What is in a file of splats, in numbers that people and machines read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geolab import store
from geolab.splats.gaussians import SH_C0, Gaussians

if TYPE_CHECKING:
    from geolab.splats.io import Splats

PERCENTILES = (1, 10, 50, 90, 99)
_BULK = (0.5, 99.5)  # percentiles between which a model is said to lie; floaters are outside
_COARSE_M = 1e4  # float32 steps by 1 mm there
_ROUNDING = 1e-5  # of float32, in any of the units below
_FAINT = 0.005  # 3DGS prunes what is more transparent


def describe(path: str | Path, splats: Splats) -> dict[str, Any]:
    """Numbers of a model: file, format, bytes (of all its files), sha256, gaussians, sh_degree, and more.

    bounds: of the centres [[x, y, z], [x, y, z]]; bulk: the same without the outermost half per cent on
    each side of each axis; extent_m: the size of the bulk. frame: None, or as `Frame.as_json`.
    lonlat: [west, south, low, east, north, high] of the bulk. opacity, scale_m: values by percentile.
    """
    held, uri = splats.gaussians, str(path)
    means = held.means.double().numpy()
    low, high = bulk(held)
    return {
        "file": uri,
        "format": splats.format,
        "bytes": size_bytes(splats),
        "sha256": store.sha256(uri),
        "gaussians": len(held),
        "sh_degree": held.sh_degree,
        "bounds": [means.min(axis=0).tolist(), means.max(axis=0).tolist()],
        "bulk": [low.tolist(), high.tolist()],
        "extent_m": (high - low).tolist(),
        "frame": None if splats.frame is None else splats.frame.as_json(),
        "lonlat": None if splats.frame is None else lonlat_box(splats),
        "opacity": _percentiles(held.opacities.double().numpy()),
        "scale_m": _percentiles(held.scales.double().numpy().max(axis=1)),
        "meta": splats.meta,
        "warnings": [*splats.warnings, *_warnings(splats)],
    }


def size_bytes(splats: Splats) -> int:
    """Of all files that hold the model."""
    return sum(next(iter(store.iter_files(one))).size_bytes for one in splats.files)


def bulk(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    """The corners [3], [3] of the box that holds 99 % of the centres along each axis."""
    low, high = np.percentile(gaussians.means.double().numpy(), _BULK, axis=0)
    return low, high


def lonlat_box(splats: Splats) -> list[float]:
    """West, south, lowest, east, north, highest of the bulk: degrees and metres."""
    assert splats.frame is not None
    low, high = bulk(splats.gaussians)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    places = splats.frame.lonlat(corners)
    return [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]


def _percentiles(values: np.ndarray) -> dict[str, float]:
    found = np.percentile(values, PERCENTILES)
    return {f"p{p}": float(v) for p, v in zip(PERCENTILES, found, strict=True)}


def _warnings(splats: Splats) -> list[str]:
    held, found = splats.gaussians, []
    if splats.frame is None:
        found.append("it does not say where on Earth it lies; its unit may not be the metre")
    reach = float(held.means.abs().max())
    if reach > _COARSE_M:
        step = np.spacing(np.float32(reach))
        found.append(f"centres up to {reach:,.0f} from the origin, where float32 steps by {step:.1g}")
    faint = float((held.opacities < _FAINT).double().mean())
    if faint > 0.1:
        found.append(f"{faint:.0%} of the Gaussians are all but transparent (opacity below {_FAINT})")
    return found


def difference(before: Gaussians, after: Gaussians) -> dict[str, float]:
    """The largest change of each attribute between two models of the same Gaussians in the same order.

    position_m; rotation_deg; scale, as a fraction of it; opacity, 0..1; colour, of its constant, 0..1;
    harmonics, of the other coefficients. A change of 1e-5 and less is none.
    """
    one, other = before.map(lambda t: t.double()), after.map(lambda t: t.double())
    turns = torch.nn.functional.normalize(one.quats, dim=1), torch.nn.functional.normalize(other.quats, dim=1)
    sine = torch.minimum((turns[0] - turns[1]).norm(dim=1), (turns[0] + turns[1]).norm(dim=1)) / 2
    found = {
        "position_m": (one.means - other.means).abs(),
        "rotation_deg": torch.rad2deg(4 * torch.arcsin(sine.clamp(max=1))),
        "scale": (one.log_scales - other.log_scales).abs().expm1(),
        "opacity": (one.opacities - other.opacities).abs(),
        "colour": (one.sh[:, 0] - other.sh[:, 0]).abs() * SH_C0,
        "harmonics": (one.sh[:, 1:] - other.sh[:, 1:]).abs(),
    }
    largest = {name: float(t.max()) if t.numel() else 0.0 for name, t in found.items()}
    return {name: value if value > _ROUNDING else 0.0 for name, value in largest.items()}


def summary(found: Mapping[str, Any]) -> dict[str, str]:
    """What `describe` found, in a few lines for people."""
    frame, extent = found["frame"], " x ".join(f"{one:,.1f}" for one in found["extent_m"])
    unit = " m" if frame else ""
    lines = {
        "format": f"{found['format']}, {size(found['bytes'])}",
        "Gaussians": f"{found['gaussians']:,}, colour of degree {found['sh_degree']}",
        "extent": f"{extent}{unit} (99 % of the centres along each axis)",
    }
    if frame:
        lines["origin"] = f"{frame['lon']:.7f}, {frame['lat']:.7f}, {frame['height_m']:.2f} m"
        lines["heights above"] = frame["vertical_datum"]
        lines["epoch"] = frame["epoch"] or "unknown"
    lines["opacity"] = _spread(found["opacity"], "")
    lines["largest scale"] = _spread(found["scale_m"], unit)
    photos, psnr = (found["meta"].get(name) for name in ("photos", "psnr"))
    if isinstance(photos, int):
        lines["photos"] = f"{photos:,}"
    if isinstance(psnr, float):
        lines["held out"] = f"PSNR {psnr:.1f} dB on photos it has not seen"
    return lines


def _spread(values: Mapping[str, float], unit: str) -> str:
    return ", ".join(f"{values[p]:.3g}{unit} ({p[1:]} %)" for p in ("p1", "p50", "p99"))


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
