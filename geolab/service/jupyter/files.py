"""Files that may be sent: found in listings, opened without following a link, wherever they lie."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote, urlsplit

from geolab import store
from geolab.errors import BadInput, NotFound
from geolab.ingest.unzip import label
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger
from geolab.settings import Settings

OTHER = "application/octet-stream"
KINDS = {
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".jsonl": "application/x-ndjson",
    ".ipynb": "application/x-ipynb+json",
    ".parquet": "application/vnd.apache.parquet",
    ".gpkg": "application/geopackage+sqlite3",
    ".glb": "model/gltf-binary",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
SHOWN = ("image/png", "image/jpeg", "image/webp")  # may be shown in a page; all others are saved
BLOCK_BYTES = 8 << 20  # of a remote file, held in memory
WHILE_IT_RUNS = ("log.txt", "events.jsonl")  # of a run's folder, besides pictures


@dataclass(frozen=True)
class File:
    """An open file. tag: of this version, without quotes; modified: seconds since 1970."""

    stream: IO[bytes]
    size: int
    tag: str
    modified: float
    name: str

    @property
    def kind(self) -> str:
        return KINDS.get(PurePosixPath(self.name).suffix.lower(), OTHER)


def disposition(name: str, *, inline: bool = False) -> str:
    """Content-Disposition with a name of any letters: RFC 6266, and RFC 8187 for its encoding."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", label(name))
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(label(name), safe='')}"


# ---------------------------------------------------------------- assets


@contextmanager
def asset(settings: Settings, uri: str, name: str, version: str) -> Iterator[File]:
    """The bytes of an asset: in the workspace or in a bucket. Raises NotFound, BadInput."""
    path = store.local_path(uri)
    if path is not None:
        below, parts = _inside(settings, path)
        with opened(below, parts, name, version=version) as file:
            yield file
        return
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https"):
        raise BadInput("download", found=f"a file of another server: {uri}", expected="one of ours")
    with store.open_read(uri, block_bytes=BLOCK_BYTES) as stream:
        known = store.remote_stamp(uri)
        yield File(stream, known.size_bytes, version or known.version, known.modified, name)


def _inside(settings: Settings, path: Path) -> tuple[Path, tuple[str, ...]]:
    """Which of the workspace's folders a file lies in, and its way from there."""
    data = store.local_path(settings.data)
    for folder in (data, settings.runs, settings.home):
        if folder is None or not path.is_relative_to(folder.absolute()):
            continue
        parts = path.relative_to(folder.absolute()).parts
        # not the workspace's own files: databases, settings, keys; nor what is being written
        if len(parts) > 1 and not any(part.startswith(".") for part in parts):
            return folder, parts
    raise NotFound("file", path.name, remedy="it lies outside the workspace, from which alone files are sent")


@contextmanager
def opened(folder: Path, parts: tuple[str, ...], name: str, *, version: str = "") -> Iterator[File]:
    """A regular file below a folder; each part is looked up in a listing, and no link is followed.

    Raises NotFound.
    """
    missing = NotFound("file", name)
    try:
        handle = _descend(folder, parts)
    except OSError as error:
        raise missing from error
    if handle is None:
        raise missing
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise missing
    with os.fdopen(handle, "rb") as stream:
        tag = version or f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
        yield File(stream, status.st_size, tag, status.st_mtime, name)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer must not wait


def _descend(folder: Path, parts: tuple[str, ...]) -> int | None:
    if not parts:
        return None
    here = os.open(folder, _FOLDER)
    try:
        for part in parts[:-1]:
            if part not in os.listdir(here):  # noqa: PTH208 (of an open folder, which can't be exchanged)
                return None
            there = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = there
        listed = parts[-1] in os.listdir(here)  # noqa: PTH208
        return os.open(parts[-1], _PLAIN, dir_fd=here) if listed else None
    finally:
        os.close(here)


# ---------------------------------------------------------------- runs


@contextmanager
def of_run(settings: Settings, run_id: str, name: str) -> Iterator[File]:
    """A file of a run's folder; while it runs only its log and its pictures. Raises NotFound."""
    parts = tuple(name.split("/"))
    if any(part.startswith(".") or not part for part in parts):
        raise NotFound("file", name)
    folder, unfinished = _folder(settings, run_id)
    kind = KINDS.get(PurePosixPath(name).suffix.lower(), OTHER)
    if unfinished and name not in WHILE_IT_RUNS and kind not in SHOWN:
        raise NotFound("file", name, remedy="the run is not done yet")
    with opened(folder, parts, parts[-1]) as file:
        yield file


def _folder(settings: Settings, run_id: str) -> tuple[Path, bool]:
    run = open_ledger(settings).get(run_id)
    if run.id != run_id:
        raise NotFound("run", run_id)
    if run.active or not run.folder:
        return folders.private(settings, run.id), True
    return Path(run.folder), False


def name_of(item: dict[str, Any], asset_name: str, uri: str) -> str:
    """What an asset is called once it is saved: the item's title, the asset, the kind of file."""
    title = str(item["properties"].get("title") or item["id"])
    suffix = PurePosixPath(urlsplit(uri).path).suffix.lower()
    stem = title[: -len(suffix)] if suffix and title.lower().endswith(suffix) else title
    return label(f"{stem}{'' if asset_name == 'data' else f' {asset_name}'}{suffix}".replace("/", "_"))
