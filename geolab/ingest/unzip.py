"""A zip of images, unpacked within limits: what a hostile one claims is never believed, only what it does."""

from __future__ import annotations

import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from geolab.errors import FileRejected
from geolab.ingest.sources import IMAGE_SUFFIXES, SIDECAR_SUFFIXES

MOST_FILES = 5000
MOST_RATIO = 200  # unpacked to packed, once more than BOMB_BYTES have come out
BOMB_BYTES = 200_000_000
LONGEST_NAME = 120  # bytes
CHUNK_BYTES = 1 << 20
_MOST_DIRECTORY_BYTES = MOST_FILES * 512
_END, _LOCATOR_64 = b"PK\5\6", b"PK\6\7"
_END_BYTES, _LOCATOR_BYTES, _COMMENT_BYTES = 22, 20, 1 << 16
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError)


def label(name: str) -> str:
    """A stranger's name for a file as a plain name: letters, digits and ' ._-', never hidden, no folder."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    plain = "".join(c if c.isalnum() or c in "._-" else " " if c == " " else "_" for c in last).lstrip(". ")
    stem, dot, suffix = plain.rpartition(".")
    kept, end = (stem, dot + suffix) if dot and len(suffix.encode()) <= 10 else (plain, "")
    short = kept.encode()[: LONGEST_NAME - len(end.encode())].decode("utf-8", "ignore").rstrip(" ")
    return (short + end) or "unnamed"


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\3\4", _END)


def unpack(archive: Path, folder: Path, *, most_bytes: int, room: Callable[[int], None]) -> list[Path]:
    """The images and sidecars of a zip, as plain files in `folder`; hidden files and others are left out.

    room: is told how many bytes come next, and raises if they have no place. Raises FileRejected: in one
    line for a bomb, a name that leads elsewhere, a link, a password, folders in folders, a damaged zip.
    """
    try:
        _check_directory(archive)
        with zipfile.ZipFile(archive) as packed:
            return _Unpacking(packed, archive, folder, most_bytes, room).all()
    except _DAMAGED as error:
        raise _refused(archive, f"this zip is damaged, pack it again ({error})") from error


def _refused(archive: Path, reason: str) -> FileRejected:
    return FileRejected(archive.name, reason)


def _check_directory(archive: Path) -> None:
    """Refuse a table of contents that is too long to be read: Python's zipfile reads all of it at once."""
    size = archive.stat().st_size
    with archive.open("rb") as stream:
        stream.seek(max(0, size - _COMMENT_BYTES - _END_BYTES - _LOCATOR_BYTES))
        tail = stream.read()
    bare = len(tail) - _END_BYTES
    start = bare if tail[bare:].startswith(_END) and tail.endswith(b"\0\0") else tail.rfind(_END)
    if bare < 0 or start < 0 or start + _END_BYTES > len(tail):
        raise _refused(archive, "this zip has no table of contents: it is cut off, pack or send it again")
    entries, length = struct.unpack_from("<HI", tail, start + 10)
    if tail[max(0, start - _LOCATOR_BYTES) :].startswith(_LOCATOR_64) and start >= _LOCATOR_BYTES:
        raise _refused(archive, "this zip is of the 64-bit kind; pack it in parts of less than 4 GB")
    if entries > MOST_FILES or length > _MOST_DIRECTORY_BYTES:
        raise _refused(archive, f"this zip holds more than {MOST_FILES} files; pack it in parts")


class _Unpacking:
    def __init__(
        self,
        packed: zipfile.ZipFile,
        archive: Path,
        folder: Path,
        most_bytes: int,
        room: Callable[[int], None],
    ):
        self._packed, self._archive, self._folder = packed, archive, folder
        self._most, self._room = most_bytes, room
        self._size, self._done = archive.stat().st_size, 0

    def all(self) -> list[Path]:
        entries = [e for e in self._packed.infolist() if not e.is_dir()]
        if len(entries) > MOST_FILES:
            raise _refused(self._archive, f"this zip holds more than {MOST_FILES} files; pack it in parts")
        for entry in entries:
            self._check(entry)
        wanted = [e for e in entries if _is_wanted(e.filename)]
        if not any(PurePosixPath(e.filename).suffix.lower() in IMAGE_SUFFIXES for e in wanted):
            raise _refused(self._archive, f"none of the {len(entries)} files in this zip is an image")
        return [self._write(entry) for entry in wanted]

    def _check(self, entry: zipfile.ZipInfo) -> None:
        name, parts = entry.orig_filename, PurePosixPath(entry.orig_filename).parts
        outside = name.startswith("/") or ".." in parts or re.search(r"[\\\0]|^[A-Za-z]:", name)
        if outside:
            raise _refused(self._archive, f"this zip holds a name that leads out of it: {name[:60]!r}")
        if len(parts) > 2:
            raise _refused(
                self._archive, f"this zip holds folders in folders ({name[:60]!r}); pack the files themselves"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refused(self._archive, f"this zip holds a link ({name[:60]!r}); pack the file itself")
        if not 0 <= entry.header_offset < self._size:
            raise zipfile.BadZipFile(f"no place for {name[:60]!r}")
        if entry.flag_bits & 1:
            raise _refused(self._archive, "this zip wants a password; pack it without")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(self._archive, "this zip is packed by a rare method; pack it as a plain zip")

    def _write(self, entry: zipfile.ZipInfo) -> Path:
        path = self._folder / label(entry.filename)
        if path.exists():
            raise _refused(self._archive, f"two files in this zip are called {path.name!r}")
        with self._packed.open(entry) as source, path.open("xb") as target:
            while chunk := source.read(CHUNK_BYTES):
                self._count(len(chunk))
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return path

    def _count(self, more: int) -> None:
        self._done += more
        if self._done > self._most:
            raise _refused(self._archive, f"this zip unpacks to more than {self._most / 1e6:.0f} MB")
        if self._done > max(BOMB_BYTES, MOST_RATIO * self._size):
            raise _refused(self._archive, f"this zip unpacks to more than {MOST_RATIO} times its size")
        self._room(more)


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES or is_sidecar(name)


def is_sidecar(name: str) -> bool:
    """Whether a file accompanies an image: it can't be opened by itself."""
    return PurePosixPath(name).suffix.lower() in SIDECAR_SUFFIXES
