"""SPZ, a small file for the web (Niantic, https://github.com/nianticlabs/spz).

What is kept: positions in steps of 2^-12 m (coarser only beyond 2 km), opacity in 255 steps, the colour's
constant in steps of 0.026 within +-3.3 and its higher coefficients in steps of 1/128 within -1..0.99, the
logarithm of scale in steps of 1/16 (6 %) from 45 micrometres to 380 m, rotation to about 0.2 degrees.
The axes are right, up, back (y up), so a model is turned on its way.

gsply writes. Reading is done here: gsply's decoder compiles itself for seconds, allocates before it
checks, and runs in numba threads that are not safe beside our own.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray

from geolab.errors import BadInput, FileRejected
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import axes, values
from geolab.splats.transform import transform

MAGICS = (b"\x1f\x8b", b"NGSP")
MOST_GAUSSIANS = 50_000_000
_NGSP = 0x5053474E
_FRACTION = 12
_POSITION_BITS = 23
_COLOUR_STEP = 0.15 * 255
_COEFFICIENTS = (0, 3, 8, 15)  # above the constant, by degree
_ANTIALIASED, _EXTENDED = 1, 2
_LARGEST_GROWTH, _SLACK = 100, 64 << 20  # decompressed bytes: a file of zeros grows a thousandfold

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Header:
    """Of either container. sizes: bytes of positions, alphas, colours, scales, rotations, harmonics."""

    version: int
    count: int
    degree: int
    fraction: int
    flags: int

    @property
    def sizes(self) -> tuple[int, ...]:
        rotation = 3 if self.version < 3 else 4
        each = (9, 1, 3, 3, rotation, 3 * _COEFFICIENTS[self.degree])
        return tuple(self.count * n for n in each)


def write(path: Path, gaussians: Gaussians) -> None:
    """Write version 3 (gzip)."""
    import gsply  # numba loads with it

    turned = values.arrays(transform(gaussians, axes.Z_UP_TO_Y_UP))
    data = gsply.GSData.from_arrays(
        means=turned["means"],
        scales=turned["log_scales"],
        quats=turned["quats"],
        opacities=np.clip(turned["logit_opacities"], -80, 80),  # exp must not overflow
        sh0=turned["sh"][:, 0],
        shN=turned["sh"][:, 1:] if gaussians.sh_degree else None,
        format="ply",
    )
    reach = max(float(np.abs(turned["means"]).max()), 1e-6)
    fraction = min(_FRACTION, math.floor(_POSITION_BITS - math.log2(reach) - 1e-6))
    if fraction < 1:
        raise BadInput(
            "SPZ", found=f"positions up to {reach:.3g} m", expected="a model within 4,000 km of its origin"
        )
    gsply.write_spz(path, data, version=3, fractional_bits=fraction)


def read(path: Path, href: str) -> tuple[Gaussians, list[str]]:
    """The Gaussians with z up, and a line for each thing to know. Raises FileRejected."""
    data = path.read_bytes()
    header, sections = (_gzip if data.startswith(MAGICS[0]) else _zstd)(data, href)
    decoded = values.checked(
        href,
        means=_positions(sections[0], header.fraction),
        quats=_old_rotations(sections[4]) if header.version < 3 else _rotations(sections[4]),
        log_scales=sections[3].reshape(-1, 3) / np.float32(16) - 10,
        logit_opacities=_logits(sections[1]),
        sh=_colours(sections[2], sections[5]),
    )
    notes = []
    if header.flags & _ANTIALIASED:
        notes.append("trained with anti-aliasing; render it with rasterize_mode='antialiased'")
    if header.flags & _EXTENDED:
        notes.append("ignored the vendor's extensions; one of them may say that the axes are others")
    return transform(decoded, axes.Y_UP_TO_Z_UP), notes


# ---------------------------------------------------------------- containers


def _header(raw: bytes, href: str, *, size: int, known: tuple[int, ...]) -> Header:
    if len(raw) < 16:
        raise FileRejected(href, "a truncated SPZ: no whole header")
    magic, version, count, degree, fraction, flags, _ = struct.unpack("<IIIBBBB", raw[:16])
    if magic != _NGSP:
        raise FileRejected(href, "not an SPZ file: its compressed content does not begin with NGSP")
    if version not in known:
        raise FileRejected(href, f"SPZ version {version}; expected 2, 3 or 4")
    if degree >= len(_COEFFICIENTS):
        raise FileRejected(href, f"spherical harmonics of degree {degree}; expected 0 to 3")
    if not 1 <= fraction <= _POSITION_BITS:
        raise FileRejected(href, f"an SPZ with {fraction} fractional bits; expected 1 to {_POSITION_BITS}")
    header = Header(version, count, degree, fraction, flags)
    if count == 0:
        raise FileRejected(href, "holds no Gaussians")
    if count > MOST_GAUSSIANS or sum(header.sizes) > _LARGEST_GROWTH * size + _SLACK:
        raise FileRejected(href, f"an SPZ whose header announces {count} Gaussians in {size} bytes")
    return header


def _gzip(data: bytes, href: str) -> tuple[Header, list[Bytes]]:
    stream = zlib.decompressobj(31)
    try:
        start = stream.decompress(data, 16)
        header = _header(start, href, size=len(data), known=(2, 3))
        wanted = sum(header.sizes)
        body = stream.decompress(stream.unconsumed_tail, max(wanted, 1)) if wanted else b""
    except zlib.error as error:
        raise FileRejected(href, f"a damaged SPZ: {error}") from error
    if len(body) < wanted:
        raise FileRejected(href, f"a truncated SPZ: {len(body)} of {wanted} bytes for its Gaussians")
    ends = np.cumsum(header.sizes)
    content = np.frombuffer(body, np.uint8)[:wanted]
    return header, [content[end - size : end] for end, size in zip(ends, header.sizes, strict=True)]


def _zstd(data: bytes, href: str) -> tuple[Header, list[Bytes]]:
    header = _header(data, href, size=len(data), known=(4,))
    if len(data) < 32:
        raise FileRejected(href, "a truncated SPZ: no whole header")
    streams, offset = data[15], struct.unpack("<I", data[16:20])[0]
    sizes = [size for size in header.sizes if size]
    if streams < len(sizes) or offset + 16 * streams > len(data):
        raise FileRejected(href, "an SPZ whose table of contents does not fit")
    place, sections = offset + 16 * streams, []
    for i, size in enumerate(sizes):
        packed, unpacked = struct.unpack_from("<QQ", data, offset + 16 * i)
        if unpacked != size or place + packed > len(data):
            raise FileRejected(href, f"a damaged SPZ: its stream no. {i} has another size than expected")
        sections.append(_unpack(data[place : place + packed], size, href))
        place += packed
    return header, sections + [np.zeros(0, np.uint8)] * (6 - len(sections))


def _unpack(data: bytes, size: int, href: str) -> Bytes:
    try:
        made = pyarrow.decompress(data, decompressed_size=size, codec="zstd", asbytes=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise FileRejected(href, f"a damaged SPZ: {error}") from error
    if len(made) != size:
        raise FileRejected(href, f"a damaged SPZ: {len(made)} of {size} bytes in a stream")
    return np.frombuffer(made, np.uint8)


# ---------------------------------------------------------------- values


def _positions(section: Bytes, fraction: int) -> values.Floats:
    parts = section.reshape(-1, 3, 3).astype(np.int32)
    whole = parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16
    signed = np.where(whole >= 1 << 23, whole - (1 << 24), whole)
    return (signed / np.float64(1 << fraction)).astype(np.float32)


def _logits(section: Bytes) -> values.Floats:
    alpha = np.clip(section / 255.0, 1e-6, 1 - 1e-6)
    return np.log(alpha / (1 - alpha)).astype(np.float32)


def _colours(constant: Bytes, rest: Bytes) -> values.Floats:
    count = len(constant) // 3
    first = (constant.reshape(count, 1, 3) - 127.5) / _COLOUR_STEP
    others = (rest.reshape(count, -1, 3) - 128.0) / 128
    return np.concatenate([first, others], axis=1).astype(np.float32)


def _rotations(section: Bytes) -> values.Floats:
    """w, x, y, z [N, 4]: the three smallest of x, y, z, w as sign and 9 bits, the largest by its index."""
    packed = section.view("<u4").astype(np.uint32)
    largest = packed >> 30
    found = np.zeros((len(packed), 4))
    for axis in (3, 2, 1, 0):
        here = largest != axis
        size = (packed & 511) / 511 * math.sqrt(0.5)
        found[:, axis] = np.where(here, np.where(packed & 512, -size, size), 0)
        packed = np.where(here, packed >> 10, packed)
    rest = np.sqrt(np.maximum(0, 1 - (found**2).sum(axis=1)))
    np.put_along_axis(found, largest[:, None].astype(np.int64), rest[:, None], axis=1)
    return np.roll(found, 1, axis=1).astype(np.float32)


def _old_rotations(section: Bytes) -> values.Floats:
    """w, x, y, z [N, 4] of version 2: x, y, z in 8 bits each, w positive."""
    vector = section.reshape(-1, 3) / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (vector**2).sum(axis=1)))
    return np.concatenate([w[:, None], vector], axis=1).astype(np.float32)
