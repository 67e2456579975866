"""GLB: glTF 2.0 in one file, with the Khronos extension KHR_gaussian_splatting.

What is kept: positions, rotation (made unit length) and colour as float32; scale as itself and opacity as
0..1 instead of logarithm and logit, both float32: a scale comes back within 1e-6 of itself, an opacity
within 1e-7. Numbers stay in our axes (z up); the node that shows them turns them to glTF's (y up), as the
extension asks of viewers for the harmonics too. COLOR_0 shows the colour as points elsewhere.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput, FileRejected
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.io import gltf, sidecar, values

MAGIC = b"glTF"
EXTENSION = gltf.EXTENSION
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_LARGEST_JSON = 64 << 20
_LARGEST = (1 << 32) - 1
_HALF = 0.7071067811865476
_TURN = [-_HALF, 0.0, 0.0, _HALF]  # x, y, z, w: -90 degrees about x, from z up to y up


def write(path: Path, gaussians: Gaussians, told: sidecar.Told | None = None) -> None:
    """Write one node with one primitive of points; told: kept in asset.extras."""
    held = values.arrays(gaussians)
    attributes = _attributes(held)
    views, accessors, offset = [], [], 0
    for name, array in attributes.items():
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": 34962})
        accessors.append(_accessor(len(views) - 1, name, array))
        offset += array.nbytes
    document = _document(attributes, views, accessors, size=offset, told=told)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + offset
    if total > _LARGEST:
        raise BadInput(
            "GLB", found=f"{total / 1e9:.1f} GB", expected="at most 4.29 GB", remedy="write a .ply"
        )
    with path.open("wb") as stream:
        stream.write(struct.pack("<4sII", MAGIC, 2, total))
        stream.write(struct.pack("<II", len(text), _JSON) + text)
        stream.write(struct.pack("<II", offset, _BIN))
        for array in attributes.values():
            stream.write(array.tobytes())


def _attributes(held: dict[str, values.Floats]) -> dict[str, NDArray[Any]]:
    """Every attribute by its semantic; each is a multiple of 4 bytes long."""
    quats = held["quats"].astype(np.float64)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    opacity = 1 / (1 + np.exp(-np.clip(held["logit_opacities"].astype(np.float64), -80, 80)))
    made = {
        "POSITION": held["means"],
        "COLOR_0": _fallback(held["sh"][:, 0], opacity),
        f"{EXTENSION}:ROTATION": np.roll(quats, -1, axis=1).astype("<f4"),
        f"{EXTENSION}:SCALE": np.exp(held["log_scales"].astype(np.float64)).astype("<f4"),
        f"{EXTENSION}:OPACITY": opacity.astype("<f4"),
    }
    for k in range(held["sh"].shape[1]):
        made[gltf.coefficient(k)] = np.ascontiguousarray(held["sh"][:, k], "<f4")
    return made


def _fallback(constant: values.Floats, opacity: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Red, green, blue (linear, as glTF's colours are) and opacity [N, 4], 0..255."""
    shown = np.clip(constant.astype(np.float64) * SH_C0 + 0.5, 0, 1)
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return np.round(np.concatenate([linear, opacity[:, None]], axis=1) * 255).astype(np.uint8)


def _accessor(view: int, name: str, array: NDArray[Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "bufferView": view,
        "componentType": 5121 if array.dtype == np.uint8 else 5126,
        "count": len(array),
        "type": "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}",
    }
    if array.dtype == np.uint8:
        made["normalized"] = True
    if name == "POSITION":
        made |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
    return made


def _document(
    attributes: dict[str, NDArray[Any]],
    views: list[dict[str, Any]],
    accessors: list[dict[str, Any]],
    *,
    size: int,
    told: sidecar.Told | None,
) -> dict[str, Any]:
    extras = {} if told is None else {"extras": {gltf.EXTRAS: sidecar.as_json(told)}}
    primitive = {
        "attributes": {name: i for i, name in enumerate(attributes)},
        "mode": 0,
        "extensions": {
            EXTENSION: {
                "kernel": "ellipse",
                "colorSpace": "srgb_rec709_display",
                "projection": "perspective",
                "sortingMethod": "cameraDistance",
            }
        },
    }
    return {
        "asset": {"version": "2.0", "generator": "geolab", **extras},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "east north up", "rotation": _TURN, "mesh": 0}],
        "meshes": [{"name": "splats", "primitives": [primitive]}],
        "buffers": [{"byteLength": size}],
        "bufferViews": views,
        "accessors": accessors,
    }


# ---------------------------------------------------------------- reading


def read(path: Path, href: str) -> tuple[Gaussians, sidecar.Told, list[str]]:
    """The Gaussians with z up, what asset.extras tells, and a line for each thing to know.

    Raises FileRejected.
    """
    document, binary = _chunks(path.read_bytes(), href)
    gaussians, notes = gltf.gaussians(document, binary, href)
    return gaussians, _told(document, href), notes


def _told(document: dict[str, Any], href: str) -> sidecar.Told:
    asset = document.get("asset")
    extras = asset.get("extras") if isinstance(asset, dict) else None
    if not isinstance(extras, dict) or gltf.EXTRAS not in extras:
        return sidecar.Told()
    return sidecar.from_json(extras[gltf.EXTRAS], href)


def _chunks(data: bytes, href: str) -> tuple[dict[str, Any], memoryview]:
    """The JSON document and the binary chunk, empty if there is none."""
    if len(data) < 20:
        raise FileRejected(href, "a truncated GLB: no whole header")
    _, version, total, length, kind = struct.unpack("<4sIIII", data[:20])
    if version != 2:
        raise FileRejected(href, f"glTF version {version}; expected 2")
    if total > len(data) or 20 + length > len(data):
        raise FileRejected(href, f"a truncated GLB: its header announces {total} bytes, it has {len(data)}")
    if kind != _JSON or length > _LARGEST_JSON:
        raise FileRejected(href, "a GLB that does not begin with JSON of at most 64 MB")
    try:
        document = json.loads(data[20 : 20 + length])
    except (ValueError, RecursionError) as error:
        raise FileRejected(href, f"a GLB whose JSON is damaged: {error}") from error
    if not isinstance(document, dict):
        raise FileRejected(href, "a GLB whose JSON is no object")
    start = 20 + length
    if start + 8 > len(data):
        return document, memoryview(b"")
    size, kind = struct.unpack("<II", data[start : start + 8])
    if kind != _BIN or start + 8 + size > len(data):
        raise FileRejected(href, "a truncated GLB: its binary chunk is not whole")
    return document, memoryview(data)[start + 8 : start + 8 + size]
