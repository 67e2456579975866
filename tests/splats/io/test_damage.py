"""Files that are damaged anywhere: a model or one FileRejected, quickly and within their own size."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geolab.errors import FileRejected
from geolab.splats import io
from geolab.splats.frame import Frame

NAMES = ("m.ply", "m.spz", "m.glb", "tileset.json", "m.ply.geo.json")
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WORST_S = 2.0


def damaged(data: bytes, cuts: list[tuple[int, bytes]], end: int | None) -> bytes:
    """The bytes with some replaced, from places given as fractions of 2**16, and perhaps cut off."""
    changed = bytearray(data)
    for place, new in cuts:
        at = place * len(changed) >> 16
        changed[at : at + len(new)] = new
    return bytes(changed if end is None else changed[: end * len(changed) >> 16])


def attempt(path: Path) -> str:
    """What became of reading a file: read, or why not; a warning or another error fails the test."""
    started, outcome = time.process_time(), "read"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            io.info(path)
        except FileRejected as error:
            outcome = str(error)
    assert time.process_time() - started < WORST_S
    assert "\n" not in outcome
    return outcome


@pytest.fixture(scope="module", params=NAMES)
def written(request, tmp_path_factory) -> tuple[Path, Path]:
    """A model, and the one of its files that is to be damaged."""
    import torch

    from geolab.splats.gaussians import Gaussians

    folder = tmp_path_factory.mktemp("damage")
    drawn = torch.Generator().manual_seed(0)
    shapes = [(6, 3), (6, 4), (6, 3), (6,), (6, 4, 3)]
    model = Gaussians(*(torch.randn(*s, generator=drawn) for s in shapes))
    name = request.param.removesuffix(".geo.json")
    path = io.write(folder / name, model, Frame(8.9, 49.1, 300.0), meta={"a": [1, {"b": None}]})
    if not request.param.endswith(".geo.json"):  # its hash would refuse all changes of the model
        io.sidecar_path(path).unlink(missing_ok=True)
    return path, folder / request.param


PIECES = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from(
        [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"nan", b"-1", b"1e999", b"[[[[", b"null", b"\n", b'"']
    ),
)


@FUZZ
@given(
    cuts=st.lists(st.tuples(st.integers(0, 65_535), PIECES), max_size=4),
    end=st.none() | st.integers(0, 65_535),
)
def test_bytes_changed_anywhere(written, cuts, end):
    path, target = written
    whole = target.read_bytes()
    try:
        target.write_bytes(damaged(whole, cuts, end))
        attempt(path)
    finally:
        target.write_bytes(whole)


@FUZZ
@given(cuts=st.lists(st.tuples(st.integers(0, 65_535), PIECES), min_size=1, max_size=4))
def test_bytes_changed_inside_a_compressed_file(written, cuts):
    path, _ = written
    if path.suffix != ".spz":
        return
    whole = path.read_bytes()
    try:
        path.write_bytes(gzip.compress(damaged(gzip.decompress(whole), cuts, None)))
        attempt(path)
    finally:
        path.write_bytes(whole)


def test_every_length_of_every_file(written):
    path, target = written
    whole = target.read_bytes()
    try:
        for length in sorted({*range(0, min(len(whole), 120)), *range(0, len(whole), 37)}):
            target.write_bytes(whole[:length])
            assert attempt(path) != "read" or length == len(whole)
    finally:
        target.write_bytes(whole)


def test_random_bytes_after_every_magic(tmp_path):
    drawn = np.random.default_rng(0)
    for magic in (b"ply\n", b"\x1f\x8b", b"NGSP", b"glTF", b"{", b"", b"PK\3\4", b"\x80\4\x95"):
        for length in (0, 1, 30, 3000):
            path = tmp_path / "m"
            path.write_bytes(magic + drawn.bytes(length))
            assert attempt(path) != "read"


def test_the_announced_size_allocates_nothing(tmp_path):
    """In a process that may use little memory more than torch needs."""
    header = "ply\nformat {} 1.0\nelement vertex 900000000000\n{}end_header\n"
    names = ["x", "y", "z", *(f"f_dc_{i}" for i in range(3)), "opacity", *(f"scale_{i}" for i in range(3))]
    names += [f"rot_{i}" for i in range(4)]
    floats = "".join(f"property float {n}\n" for n in names)
    files = []
    for i, kind in enumerate(("ascii", "binary_little_endian", "binary_big_endian")):
        files.append(tmp_path / f"{i}.ply")
        files[-1].write_text(header.format(kind, floats) + "0 " * 500)
    first = "ply\nformat binary_little_endian 1.0\nelement face 900000000\nproperty list uchar int i\n"
    files.append(tmp_path / "list.ply")
    files[-1].write_text(first + f"element vertex 1\n{floats}end_header\n" + "0" * 900)
    program = (
        "import resource, sys\nfrom geolab.errors import FileRejected\nfrom geolab.splats import io\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        io.read(name)\n    except FileRejected as error:\n        print(error.reason)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here to learn a process's size from")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, files)],
        capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a truncated PLY") == 4
