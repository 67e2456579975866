"""The page's code that is built from js/: whether it is there, and its bytes."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

BUNDLE = Path(__file__).with_name("static") / "viewer.js"
MISSING = (
    "The viewer's bundle is not built: install Node.js with npm, then run `make setup` in geolab's checkout"
)


def name() -> str:
    """A text that changes when the bundle does; "" where none is built."""
    if not BUNDLE.is_file():
        return ""
    status = BUNDLE.stat()
    return hashlib.sha256(f"{status.st_size}-{status.st_mtime_ns}".encode()).hexdigest()[:16]


def packed() -> bytes:
    """The bundle, gzipped."""
    return _packed(BUNDLE, BUNDLE.stat().st_mtime_ns)


@lru_cache(1)
def _packed(path: Path, stamp: int) -> bytes:  # noqa: ARG001
    return gzip.compress(path.read_bytes(), 6, mtime=0)
