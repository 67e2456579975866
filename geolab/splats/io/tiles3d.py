"""3D Tiles 1.1 of a single tile: tileset.json with the place on Earth, and a GLB beside it.

The root's matrix leads from local east, north, up to geocentric axes (EPSG:4978) in float64. A runtime
turns glTF's y up to z up before it; our GLB turns z up to y up, so the two cancel and the box is in the
model's own axes. Precision is that of the GLB. A viewer that knows Gaussians only when they are compressed
(CesiumJS asks for KHR_gaussian_splatting_compression_spz_2, a draft) shows these as coloured points.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyproj import Transformer

from geolab import store
from geolab.errors import BadInput, FileRejected
from geolab.splats.frame import UNKNOWN_DATUM, Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import gltf, sidecar
from geolab.splats.transform import transform

SUFFIX = ".json"
_SIGMAS = 3  # the box holds a Gaussian to so many standard deviations, as glTF's kernel does
_NEAR_EARTH_M = (6.2e6, 6.5e6)
_SAME_PLACE_M, _SAME_AXES = 1e-3, 1e-9
_LARGEST_JSON = 64 << 20


def write(path: Path, gaussians: Gaussians, told: sidecar.Told) -> None:
    """Write the tileset at `path`, and its content beside it under a name with its hash.

    Raises BadInput without a frame.
    """
    from geolab.splats.io import glb

    if told.frame is None:
        raise BadInput("3D Tiles", found="a model without a place on Earth", expected="a frame")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        made = Path(folder, "content.glb")
        glb.write(made, gaussians, told)
        content = f"{path.stem}-{store.sha256(made)[:12]}.glb"
        store.put_file(made, path.with_name(content).as_uri())
    text = json.dumps(_tileset(gaussians, told, content), indent=1, ensure_ascii=False, allow_nan=False)
    store.write_bytes(path, text.encode())
    for old in path.parent.glob("*.glb"):  # of a model that lay here before
        if re.fullmatch(re.escape(path.stem) + "-[0-9a-f]{12}[.]glb", old.name) and old.name != content:
            old.unlink(missing_ok=True)


def _tileset(gaussians: Gaussians, told: sidecar.Told, content: str) -> dict[str, Any]:
    assert told.frame is not None
    low, high = bounds(gaussians, _SIGMAS)
    half, centre = (high - low) / 2, (high + low) / 2
    return {
        "asset": {"version": "1.1", "generator": "geolab", "extras": {gltf.EXTRAS: sidecar.as_json(told)}},
        "extensionsUsed": ["3DTILES_content_gltf"],
        "extensions": {"3DTILES_content_gltf": {"extensionsUsed": [gltf.EXTENSION]}},
        "geometricError": float(2 * np.linalg.norm(half)),  # without the tile, all of it is missing
        "root": {
            "boundingVolume": {"box": [*centre.tolist(), *np.diag(half).ravel().tolist()]},
            "transform": told.frame.enu_to_ecef.T.ravel().tolist(),  # column by column
            "refine": "REPLACE",
            "geometricError": 0.0,
            "content": {"uri": content},
        },
    }


def bounds(gaussians: Gaussians, sigmas: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners [3], [3] of the box that holds every Gaussian to so many standard deviations."""
    means = gaussians.means.double()
    w, x, y, z = torch.nn.functional.normalize(gaussians.quats.double(), dim=1).unbind(1)
    axes = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=1,
    ).reshape(-1, 3, 3)  # fmt: skip
    reach = sigmas * (axes * gaussians.scales.double()[:, None]).square().sum(dim=2).sqrt()  # [N, 3]
    return (means - reach).amin(dim=0).numpy(), (means + reach).amax(dim=0).numpy()


# ---------------------------------------------------------------- reading


def content_of(data: bytes, href: str) -> tuple[dict[str, Any], str]:
    """The root tile of a tileset and the name of its content, a file beside it. Raises FileRejected."""
    if len(data) > _LARGEST_JSON:
        raise FileRejected(href, f"a tileset of {len(data) >> 20} MB; expected one of a single tile")
    try:
        tileset = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileRejected(href, f"not JSON: {error}") from error
    root = tileset.get("root") if isinstance(tileset, dict) else None
    if not isinstance(root, dict) or "asset" not in tileset:
        raise FileRejected(href, "JSON, but not a tileset: it has no asset and root")
    content = root.get("content")
    if root.get("children") or not isinstance(content, dict):
        raise FileRejected(href, "a tileset of several tiles; expected a single one with its content")
    name = content.get("uri")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}", name):
        raise FileRejected(href, f"its content {str(name)[:60]!r} is not the plain name of a file beside it")
    extras = tileset["asset"].get("extras") if isinstance(tileset["asset"], dict) else None
    own = extras.get(gltf.EXTRAS) if isinstance(extras, dict) else None
    return {"transform": root.get("transform"), "told": own}, name


def place(root: dict[str, Any], gaussians: Gaussians, href: str) -> tuple[Gaussians, sidecar.Told, list[str]]:
    """The content in a local frame by the root's matrix, with what the tileset tells besides.

    Raises FileRejected.
    """
    told = sidecar.Told() if root["told"] is None else sidecar.from_json(root["told"], href)
    matrix = _matrix(root["transform"], href)
    if told.frame is not None and _same(matrix, told.frame.enu_to_ecef):
        return gaussians, told, []
    turn, scale = gltf.rigid(matrix[:3, :3], href)
    distance = float(np.linalg.norm(matrix[:3, 3]))
    if not _NEAR_EARTH_M[0] < distance < _NEAR_EARTH_M[1]:
        note = "its transform does not lead to the Earth's surface: left without a place"
        return gaussians, sidecar.Told(None, told.meta), [note]
    frame = _frame(matrix[:3, 3])
    notes = [] if told.frame is None else ["its transform and its extras disagree; the transform was taken"]
    return transform(gaussians, frame.axes @ turn, scale), sidecar.Told(frame, told.meta), notes


def _matrix(value: Any, href: str) -> NDArray[np.float64]:
    try:
        made = np.eye(4) if value is None else np.array(value, np.float64).reshape(4, 4).T
    except (TypeError, ValueError, OverflowError) as error:
        raise FileRejected(href, "its transform is not 16 numbers") from error
    if not np.isfinite(made).all() or np.abs(made).max() > 1e12:
        raise FileRejected(href, "its transform is not finite, or leads away from the Earth")
    return made


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    axes = np.allclose(one[:3, :3], other[:3, :3], rtol=0, atol=_SAME_AXES)
    return axes and float(np.abs(one[:3, 3] - other[:3, 3]).max()) < _SAME_PLACE_M


def _frame(ecef: NDArray[np.float64]) -> Frame:
    to_lonlat = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)
    lon, lat, height = (float(v) for v in to_lonlat.transform(*ecef))
    if not all(map(math.isfinite, (lon, lat, height))):
        return Frame(0.0, 0.0, 0.0, UNKNOWN_DATUM)
    return Frame(lon, lat, height, "ellipsoid")
