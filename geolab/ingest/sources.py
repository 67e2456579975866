"""Which files an ingest will look at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from geolab import store
from geolab.errors import NotFound, one_line

# In a folder, files of these names are looked at even if they turn out to be damaged.
IMAGE_SUFFIXES = frozenset(
    """.tif .tiff .gtiff .tiff8 .btf .cog .jp2 .j2k .jpg .jpeg .jpe .jfif .mpo .png .webp .avif .heic .heif
    .bmp .img .nc .nc4 .asc .bil .bip .bsq .vrt .dng""".split()  # noqa: SIM905
)
# They accompany an image; .ovr and .msk even begin like one.
SIDECAR_SUFFIXES = frozenset(
    ".ovr .msk .aux .xml .hdr .tfw .jgw .jpgw .jpegw .pgw .pngw .wld .prj .rrd".split()  # noqa: SIM905
)
_SIGNATURES = (
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",  # TIFF, BigTIFF
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0cjP  ",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A file to look at. `href` is how people know it: a local path, else the URI."""

    uri: str
    path: Path | None  # None: remote
    href: str
    name: str  # the last part of the path, printable


def plan(sources: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Candidate]:
    """The files that an ingest of files, folders, globs and URIs will look at, each once.

    A file named by itself is always looked at; of a folder or a glob those that look like an image by
    suffix or first bytes. Raises NotFound for a source that does not exist.
    """
    named = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    found: dict[str, Candidate] = {}
    for source in named:
        for uri in _expand(os.fspath(source)):
            found.setdefault(uri, _candidate(uri))
    return list(found.values())


def _expand(source: str) -> Iterator[str]:
    path = store.local_path(source)
    if path is not None and path.is_file():
        yield path.as_uri()
    elif path is None and _is_remote_file(source):
        yield source
    else:
        try:
            yield from (entry.uri for entry in store.iter_files(source) if _looks_like_image(entry.uri))
        except NotFound as error:
            raise NotFound("file or folder", source) from error


def _is_remote_file(uri: str) -> bool:
    return not any(c in uri for c in "*?[") and not uri.endswith("/") and store.exists(uri)


def _candidate(uri: str) -> Candidate:
    path = _exact_path(uri)
    name = path.name if path is not None else unquote(urlsplit(uri).path).rsplit("/", 1)[-1]
    href = uri if path is None else str(path).encode("utf-8", "replace").decode("utf-8")
    return Candidate(uri, path, href, printable_name(name or "unnamed"))


def _exact_path(uri: str) -> Path | None:
    """The path of a file:// URI, byte for byte: names need not be text."""
    if urlsplit(uri).scheme != "file":
        return None
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def printable_name(name: str) -> str:
    """The name without what can't be shown or stored: control characters, broken encodings."""
    return one_line(name.encode("utf-8", "replace").decode("utf-8"), 255)


def _looks_like_image(uri: str) -> bool:
    path = _exact_path(uri)
    suffix = Path(uri).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    if path is None or suffix in SIDECAR_SUFFIXES:
        return False
    return _has_signature(path) or _has_envi_header(path)


def _has_signature(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(12).startswith(_SIGNATURES)
    except OSError:
        return False


def _has_envi_header(path: Path) -> bool:
    for header in (path.with_suffix(".hdr"), path.with_name(path.name + ".hdr")):
        try:
            with header.open("rb") as stream:
                if stream.read(4) == b"ENVI":
                    return True
        except OSError:
            continue
    return False
