"""What is in a file of splats, in numbers that people and machines read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab import store
from geolab.splats.gaussians import Gaussians

if TYPE_CHECKING:
    from geolab.splats.io import Splats

PERCENTILES = (1, 10, 50, 90, 99)
_BULK = (0.5, 99.5)  # percentiles between which a model is said to lie; floaters are outside
_COARSE_M = 1e4  # float32 steps by 1 mm there
_FAINT = 0.005  # 3DGS prunes what is more transparent


def describe(path: str | Path, splats: Splats) -> dict[str, Any]:
    """format, bytes, sha256, gaussians, sh_degree, bounds, bulk, extent_m, frame, lonlat, opacity, ...

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
        "bytes": next(iter(store.iter_files(uri))).size_bytes,
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
