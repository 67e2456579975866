"""One candidate as a local file with a neutral name, together with the sidecar files that matter."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from geolab import store
from geolab.errors import FileRejected
from geolab.ingest.sources import Candidate
from geolab.raster import Info, read_info

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,6}", re.ASCII)


@dataclass(frozen=True)
class Local:
    """A candidate under a neutral name in a folder of its own: links to the file and its sidecars.

    Names come from strangers: GDAL reads meanings into some of them, and finds sidecars by them.
    """

    candidate: Candidate
    path: Path
    source: Path | None  # None: downloaded
    sidecars: tuple[Path, ...] = ()

    @property
    def modified(self) -> datetime | None:
        """When the file was last written; None for remote files."""
        return (
            None if self.source is None else datetime.fromtimestamp(int(self.source.stat().st_mtime), tz=UTC)
        )


@contextmanager
def local_file(candidate: Candidate, staging: Path) -> Iterator[Local]:
    """The candidate in a folder below `staging`, which is gone afterwards.

    Raises FileRejected if the file changes in the meantime.
    """
    with TemporaryDirectory(dir=staging) as name:
        source = candidate.path
        path = Path(name, "data" + _suffix(candidate.name))
        if source is None:
            with store.open_read(candidate.uri) as stream, path.open("wb") as out:
                shutil.copyfileobj(stream, out, store.CHUNK_BYTES)
            yield Local(candidate, path, None)
            return
        before = _stamp(source)
        path.symlink_to(source)
        yield Local(candidate, path, source)
        if _stamp(source) != before:
            raise FileRejected(
                candidate.href, "it changed while it was read; ingest it again when it is complete"
            )


def _suffix(name: str) -> str:
    suffix = Path(name).suffix
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else ""


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def with_sidecars(file: Local) -> Local:
    """The file with links to the sidecars that its content depends on.

    A mask (.msk) always; world files, .aux.xml and ENVI headers only if the file alone has no
    georeference or can't be opened, so that statistics which a viewer left behind change nothing.
    """
    if file.source is None:
        return file
    alone = _try_info(file.path)
    placed = alone is not None and alone.crs is not None and alone.has_transform
    wanted = [s for s in _siblings(file.source) if s.suffix.lower() == ".msk" or not placed]
    return _linked(file, wanted)


def _try_info(path: Path) -> Info | None:
    try:
        return read_info(str(path))
    except FileRejected:
        return None


_SIDECARS = (
    ".msk",
    ".aux.xml",
    ".hdr",
    ".prj",
    ".tfw",
    ".tifw",
    ".jgw",
    ".jpgw",
    ".pgw",
    ".pngw",
    ".wld",
    ".clr",
)


def _siblings(source: Path) -> list[Path]:
    """The sidecars of a file that are there: 'a.tif' may have 'a.tif.aux.xml', 'a.hdr' or 'a.TFW'."""
    names = [source.name + s for s in _SIDECARS] + [source.stem + s for s in _SIDECARS]
    found = []
    for name in dict.fromkeys(names):
        for variant in (name, source.stem + name[len(source.stem) :].upper()):
            path = source.with_name(variant)
            if variant != source.name and path not in found and path.is_file():
                found.append(path)
    return found


def _linked(file: Local, sidecars: list[Path]) -> Local:
    assert file.source is not None
    links = []
    for sidecar in sidecars:
        if sidecar.name.startswith(file.source.name):
            name = file.path.name + sidecar.name[len(file.source.name) :].lower()
        else:
            name = file.path.stem + sidecar.name[len(file.source.stem) :].lower()
        link = file.path.with_name(name)
        if not link.exists():
            link.symlink_to(sidecar)
        if link not in links:
            links.append(link)
    return Local(file.candidate, file.path, file.source, _used(file.path, links))


def _used(path: Path, links: list[Path]) -> tuple[Path, ...]:
    """Those links that GDAL counts among the files of the raster; the others are removed."""
    info = _try_info(path) if links else None
    named = {Path(name).name for name in info.files} if info else set()
    for link in links:
        if link.name not in named:
            link.unlink()
    return tuple(sorted(link for link in links if link.name in named))


def has_world_file(file: Local) -> bool:
    """Whether a picture has a sidecar that may say where it lies."""
    return file.source is not None and any(s.suffix.lower() != ".msk" for s in _siblings(file.source))


def content_sha256(file: Local) -> str:
    """The SHA-256 of the file's bytes, followed by those of its sidecars, if there are any, by name."""
    if not file.sidecars:
        return store.sha256(file.path)
    digest = hashlib.sha256()
    for path in (file.path, *file.sidecars):
        with path.open("rb") as stream:
            while chunk := stream.read(store.CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
