"""The standard PLY of 3-D Gaussian splatting (Kerbl et al., 2023).

One element `vertex` of float32: x y z, nx ny nz (zeros, which the original viewer wants), f_dc_0..2,
f_rest_0.. (all coefficients of red, then of green, then of blue), opacity (logit), scale_0..2 (natural
logarithm), rot_0..3 (w, x, y, z). Nothing is lost: the numbers of the file are those of `Gaussians`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from geolab.errors import FileRejected
from geolab.splats.gaussians import SH_DEGREES, Gaussians
from geolab.splats.io import values

MAGIC = b"ply"
_LONGEST_HEADER = 1 << 16  # bytes
_FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
_SIZES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}
_POSITION = ("x", "y", "z")
_COLOUR = ("f_dc_0", "f_dc_1", "f_dc_2")
_SCALE = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
_NEEDED = (*_POSITION, *_COLOUR, "opacity", *_SCALE, *_ROTATION)
_IGNORED = ("nx", "ny", "nz")


@dataclass(frozen=True)
class Header:
    """format: ascii, ...; smallest_bytes: what the elements need at least; vertex: property names, count."""

    format: str
    smallest_bytes: int
    count: int
    vertex: tuple[str, ...]
    elements: tuple[str, ...]


def write(path: Path, gaussians: Gaussians) -> None:
    """Write binary little endian."""
    held = values.arrays(gaussians)
    count, k = len(gaussians), held["sh"].shape[1]
    rest = [f"f_rest_{i}" for i in range(3 * (k - 1))]
    names = [*_POSITION, *_IGNORED, *_COLOUR, *rest, "opacity", *_SCALE, *_ROTATION]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    lines += [f"property float {name}" for name in names]
    rows = np.concatenate(
        [
            held["means"],
            np.zeros((count, 3), np.float32),
            held["sh"][:, 0],
            held["sh"][:, 1:].transpose(0, 2, 1).reshape(count, -1),  # all of one channel together
            held["logit_opacities"][:, None],
            held["log_scales"],
            held["quats"],
        ],
        axis=1,
        dtype="<f4",
    )
    with path.open("wb") as stream:
        stream.write("\n".join([*lines, "end_header", ""]).encode())
        rows.tofile(stream)


def read(path: Path, href: str) -> tuple[Gaussians, list[str]]:
    """The Gaussians, and a line for each thing that was ignored. Raises FileRejected."""
    with path.open("rb") as stream:
        header = read_header(stream, href, size=path.stat().st_size)
    rest = _check_properties(header, href)
    table = _table(path, href, header)
    count = len(table)
    colour = _stack(table, _COLOUR)[:, None]  # [N, 1, 3]
    if rest:
        by_channel = _stack(table, rest).reshape(count, 3, -1)
        colour = np.concatenate([colour, by_channel.transpose(0, 2, 1)], axis=1)
    gaussians = values.checked(
        href,
        means=_stack(table, _POSITION),
        quats=_stack(table, _ROTATION),
        log_scales=_stack(table, _SCALE),
        logit_opacities=table["opacity"],
        sh=colour,
    )
    extra = [n for n in header.vertex if n not in {*_NEEDED, *_IGNORED, *rest}]
    others = [n for n in header.elements if n != "vertex"]
    return gaussians, [
        *([f"ignored the properties {', '.join(extra[:8])}"] if extra else []),
        *([f"ignored the elements {', '.join(others[:8])}"] if others else []),
    ]


def _stack(table: NDArray[np.void], names: tuple[str, ...]) -> values.Floats:
    made = np.empty((len(table), len(names)), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for i, name in enumerate(names):
            made[:, i] = table[name]
    return made


def _table(path: Path, href: str, header: Header) -> NDArray[np.void]:
    try:
        table = PlyData.read(str(path))["vertex"].data
    except (PlyParseError, ValueError, EOFError, OverflowError) as error:
        raise FileRejected(href, f"a PLY that can't be read: {error}") from error
    if len(table) != header.count:
        raise FileRejected(href, f"a truncated PLY: {len(table)} of {header.count} vertices")
    return table


def read_header(stream: IO[bytes], href: str, *, size: int) -> Header:
    """The header, checked against the size of the file in bytes before anything is allocated.

    Raises FileRejected.
    """
    raw = stream.read(_LONGEST_HEADER)
    found = re.search(rb"\r?\n?end_header(\r\n|\n|\r)", raw)
    if not raw.startswith(MAGIC) or not found:
        raise FileRejected(href, "not a PLY file: no header that begins with ply and ends with end_header")
    try:
        lines = raw[: found.start()].decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise FileRejected(href, "a PLY whose header is not ASCII text") from error
    header = _parse(lines, href)
    available = size - found.end() + (header.format == "ascii")  # the last line of text may lack its end
    if header.count == 0:
        raise FileRejected(href, "holds no Gaussians")
    if header.smallest_bytes > available:
        raise FileRejected(
            href,
            f"a truncated PLY: its header announces {header.count} vertices, at least "
            f"{header.smallest_bytes} bytes, but {available} follow it",
        )
    return header


def _parse(lines: list[str], href: str) -> Header:
    kind, elements = "", {}  # name -> (count, property names, smallest bytes a row)
    current = ""
    for line in lines[1:]:
        match line.split():
            case ["format", word, "1.0"] if word in _FORMATS and not kind:
                kind = word
            case ["element", name, count] if (
                kind and name not in elements and count.isascii() and count.isdigit() and len(count) < 16
            ):
                elements[name] = (int(count), [], [])
                current = name
            case ["property", word, name] if current and word in _SIZES and name not in elements[current][1]:
                elements[current][1].append(name)
                elements[current][2].append(2 if kind == "ascii" else _SIZES[word])
            case ["property", "list", length, item, name] if (
                current and {length, item} <= set(_SIZES) and name not in elements[current][1]
            ):
                elements[current][1].append(f"{name} (a list)")
                elements[current][2].append(2 if kind == "ascii" else _SIZES[length])
            case ["comment" | "obj_info", *_] | []:
                pass
            case _:
                raise FileRejected(href, f"a PLY whose header has the line {line[:60]!r}")
    if not kind or "vertex" not in elements:
        raise FileRejected(href, "a PLY whose header names no format or no element 'vertex'")
    smallest = sum(count * sum(sizes) for count, _, sizes in elements.values())
    count, names, _ = elements["vertex"]
    return Header(kind, smallest, count, tuple(names), tuple(elements))


def _check_properties(header: Header, href: str) -> tuple[str, ...]:
    """The names of the colour's higher coefficients in their order, none for degree 0."""
    names = set(header.vertex)
    missing = [name for name in _NEEDED if name not in names]
    if "packed_position" in names:
        raise FileRejected(href, "a compressed PLY; save it as a standard (uncompressed) PLY first")
    if len(missing) > len(_NEEDED) // 2:
        what = "a point cloud or mesh" if names >= set(_POSITION) else "a PLY"
        raise FileRejected(href, f"{what}, not Gaussians: it lacks {', '.join(missing)}")
    if missing:
        raise FileRejected(href, f"Gaussians without {', '.join(missing)}")
    count = sum(name.startswith("f_rest_") for name in names)
    rest = tuple(f"f_rest_{i}" for i in range(count))
    if count % 3 or count // 3 + 1 not in SH_DEGREES or not names >= set(rest):
        raise FileRejected(href, f"{count} properties f_rest_*; expected f_rest_0 to 8, 23 or 44, or none")
    return rest
