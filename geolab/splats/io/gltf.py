"""The Gaussians in a glTF document: nodes, accessors and what KHR_gaussian_splatting allows of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from geolab.errors import FileRejected
from geolab.splats.gaussians import SH_DEGREES, Gaussians
from geolab.splats.io import axes, values
from geolab.splats.transform import transform

EXTENSION = "KHR_gaussian_splatting"
EXTRAS = "geolab"
_UNDERSTOOD = {EXTENSION, "KHR_mesh_quantization"}
_MOST_NODES = 10_000
_EXACT = 1e-6  # a node within this of undoing the change of axes leaves the numbers as they are
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
_TINY = float(np.finfo(np.float32).tiny)

Matrix = NDArray[np.float64]


def coefficient(k: int) -> str:
    """The attribute of the harmonic no. k, counted from the constant over all degrees."""
    degree = math.isqrt(k)
    return f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{k - degree**2}"


def gaussians(document: dict[str, Any], binary: memoryview, href: str) -> tuple[Gaussians, list[str]]:
    """The one set of Gaussians that the document shows, with z up, and notes. Raises FileRejected."""
    try:
        return _gaussians(document, binary, href)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FileRejected(
            href, f"a glTF whose structure is damaged ({type(error).__name__}: {error})"
        ) from error


def _gaussians(document: dict[str, Any], binary: memoryview, href: str) -> tuple[Gaussians, list[str]]:
    foreign = sorted({str(e) for e in document.get("extensionsRequired", [])} - _UNDERSTOOD)
    if foreign:
        raise FileRejected(
            href, f"needs the glTF extensions {', '.join(foreign)[:120]}; save it without them"
        )
    shown = list(_shown(document, href))
    if len(shown) != 1:
        what = (
            "no Gaussians (no primitive with KHR_gaussian_splatting)" if not shown else f"{len(shown)} sets"
        )
        raise FileRejected(href, f"a glTF that shows {what}; expected one set of Gaussians")
    primitive, matrix = shown[0]
    told = primitive["extensions"][EXTENSION]
    if told.get("extensions"):
        raise FileRejected(
            href, f"Gaussians with {', '.join(told['extensions'])[:120]}; save them without it"
        )
    if told.get("kernel", "ellipse") != "ellipse":
        raise FileRejected(href, f"Gaussians of the kernel {str(told['kernel'])[:40]!r}; expected 'ellipse'")
    notes = []
    if told.get("colorSpace") == "lin_rec709_display":
        notes.append("its colours are linear light, not sRGB as all others here: they will look dark")
    return _placed(_decoded(document, primitive["attributes"], binary, href), matrix, href), notes


def _decoded(
    document: dict[str, Any], attributes: dict[str, int], binary: memoryview, href: str
) -> Gaussians:
    def read(name: str) -> NDArray[np.float64]:
        if name not in attributes:
            raise FileRejected(href, f"Gaussians without the attribute {name}")
        return _accessor(document, attributes[name], binary, href)

    means = read("POSITION")
    parts = {name: read(f"{EXTENSION}:{name}") for name in ("ROTATION", "SCALE", "OPACITY")}
    given = sum(name.startswith(f"{EXTENSION}:SH_DEGREE_") for name in attributes)
    if given not in SH_DEGREES:
        raise FileRejected(href, f"{given} coefficients of colour; expected 1, 4, 9 or 16")
    sh = np.stack([read(coefficient(k)) for k in range(given)], axis=1)
    shapes = [a.shape for a in (means, *parts.values(), sh)]
    n = len(means)
    if shapes != [(n, 3), (n, 4), (n, 3), (n, 1), (n, given, 3)]:
        raise FileRejected(href, f"attributes of different shapes: {shapes}")
    scale, opacity = parts["SCALE"], parts["OPACITY"][:, 0]
    if (scale < 0).any() or ((opacity < 0) | (opacity > 1)).any():
        raise FileRejected(href, "a scale below 0 or an opacity outside 0..1")
    opacity = np.clip(opacity, 1e-12, 1 - 2.0**-25)  # 0 and 1 have no logit
    return values.checked(
        href,
        means=means,
        quats=np.roll(parts["ROTATION"], 1, axis=1),
        log_scales=np.log(np.maximum(scale, math.exp(-values.LARGEST_LOG_SCALE))),
        logit_opacities=np.log(opacity / (1 - opacity)),
        sh=sh,
    )


def _placed(found: Gaussians, matrix: Matrix, href: str) -> Gaussians:
    """The Gaussians after their node's matrix [4, 4] and the turn to z up."""
    whole = axes.Y_UP_TO_Z_UP @ matrix[:3, :3]
    shift = axes.Y_UP_TO_Z_UP @ matrix[:3, 3]
    if np.allclose(whole, np.eye(3), atol=_EXACT, rtol=0) and not shift.any():
        return found
    return transform(found, *rigid(whole, href), shift)


def rigid(matrix: Matrix, href: str) -> tuple[Matrix, float]:
    """Rotation [3, 3] and scale of a matrix that is their product. Raises FileRejected."""
    scale = float(np.cbrt(np.linalg.det(matrix))) if np.isfinite(matrix).all() else -1.0
    rotation = matrix / scale if scale > 0 else matrix
    if not scale > 0 or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
        raise FileRejected(href, "its matrix mirrors, shears or stretches; Gaussians can only turn and grow")
    return rotation, scale


# ---------------------------------------------------------------- scene graph


def _shown(document: dict[str, Any], href: str) -> Iterator[tuple[dict[str, Any], Matrix]]:
    """Each primitive of Gaussians in the scene with its global matrix."""
    nodes, meshes = document.get("nodes", []), document.get("meshes", [])
    scenes = document.get("scenes") or [{"nodes": range(len(nodes))}]
    waiting = [(i, np.eye(4)) for i in _at(scenes, document.get("scene", 0)).get("nodes", [])]
    seen = 0
    while waiting:
        number, above = waiting.pop()
        seen += 1
        if seen > _MOST_NODES:
            raise FileRejected(href, f"a glTF of more than {_MOST_NODES} nodes, or of nodes in a circle")
        node = _at(nodes, number)
        matrix = above @ _matrix(node)
        waiting += [(child, matrix) for child in node.get("children", [])]
        if "mesh" in node:
            for primitive in _at(meshes, node["mesh"])["primitives"]:
                if EXTENSION in primitive.get("extensions", {}):
                    yield primitive, matrix


def _at(items: list[Any], number: Any) -> Any:
    """The item; unlike a list's own indexing, no number below 0 counts from the end."""
    if not isinstance(number, int) or number < 0:
        raise IndexError(f"no item {str(number)[:20]}")
    return items[number]


def _matrix(node: dict[str, Any]) -> Matrix:
    if "matrix" in node:
        made = np.array(node["matrix"], np.float64).reshape(4, 4).T
    else:
        made = np.eye(4)
        turn = Rotation.from_quat(np.array(node.get("rotation", [0, 0, 0, 1]), np.float64)).as_matrix()
        made[:3, :3] = turn * np.array(node.get("scale", [1, 1, 1]), np.float64)
        made[:3, 3] = np.array(node.get("translation", [0, 0, 0]), np.float64)
    if not np.isfinite(made).all():
        raise ValueError("a node's matrix is not finite")
    return made


# ---------------------------------------------------------------- accessors


def _accessor(document: dict[str, Any], number: Any, binary: memoryview, href: str) -> NDArray[np.float64]:
    """The values [N, width] of an accessor, with integers that are normalised as fractions."""
    told = _at(document["accessors"], number)
    if "sparse" in told or "bufferView" not in told:
        raise FileRejected(href, "a sparse accessor; save the file without them")
    view = _at(document["bufferViews"], told["bufferView"])
    if _at(document["buffers"], view["buffer"]).get("uri") is not None or view["buffer"] != 0:
        raise FileRejected(href, "data outside the file; save it as one GLB")
    width, kind = _WIDTHS[told["type"]], np.dtype(_TYPES[told["componentType"]])
    count, stride = int(told["count"]), int(view.get("byteStride", width * kind.itemsize))
    start = int(view.get("byteOffset", 0)) + int(told.get("byteOffset", 0))
    end = start + stride * (count - 1) + width * kind.itemsize
    if count < 1 or start < 0 or stride < width * kind.itemsize or end > len(binary):
        raise FileRejected(href, f"a damaged glTF: an accessor of {count} values leaves its buffer")
    raw = np.ndarray((count, width), kind, binary, start, (stride, kind.itemsize))
    made = raw.astype(np.float64)
    if told.get("normalized") and kind.kind != "f":
        made = np.maximum(made / np.iinfo(kind).max, -1)
    return made
