"""Files that a page sent: received piece by piece, checked, and kept under an id until they are ingested.

    uploads/.part-<random>/     one that arrives, locked by its process; nobody's after that process has died
    uploads/<id>/<name>         one that is whole, or the files that a zip held; .upload.json says which

The name is the sender's, reduced to letters, digits and ' ._-' : it can't lead out of its folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from geolab.errors import NotFound, StorageError, TooLarge
from geolab.ingest import unzip, work
from geolab.settings import Settings

KEEP_FREE_BYTES = 500_000_000  # of the disk: runs need some to end well
UNUSED = timedelta(days=7)
_ID = re.compile(r"[0-9a-f]{32}")
_ABOUT, _PART, _RAW = ".upload.json", ".part-", ".raw"


@dataclass(frozen=True)
class Upload:
    """One file that was received whole. name: as it is stored; zip: it held several files."""

    id: str
    name: str
    size: int  # bytes, as sent
    sha256: str  # of what was sent
    zip: bool = False


def root(settings: Settings) -> Path:
    """The folder of all uploads."""
    return settings.home / "uploads"


def largest_bytes(settings: Settings) -> int:
    """The size of the largest file that is received."""
    return settings.largest_upload_mb * 1_000_000


def path(settings: Settings, upload_id: str) -> Path:
    """The file of an upload, or the folder of the files that a zip held; ingest takes both.

    Raises NotFound.
    """
    about, folder = describe(settings, upload_id), root(settings) / upload_id
    return folder if about.zip else folder / about.name


def describe(settings: Settings, upload_id: str) -> Upload:
    """What is known of an upload. Raises NotFound."""
    missing = NotFound("upload", upload_id[:40], remedy="upload the file again")
    if not _ID.fullmatch(upload_id):
        raise missing
    try:
        return Upload(**json.loads((root(settings) / upload_id / _ABOUT).read_bytes()))
    except FileNotFoundError as error:
        raise missing from error


def remove(settings: Settings, upload_id: str) -> None:
    """Forget an upload: it was ingested, or nobody wants it. Raises NotFound."""
    describe(settings, upload_id)
    shutil.rmtree(root(settings) / upload_id)


def create(settings: Settings, name: str, *, size: int | None = None) -> Receiving:
    """An upload that is about to arrive. size: bytes, if the sender says so.

    Raises TooLarge, or StorageError when the disk has no room for it.
    """
    check_size(settings, size or 0)
    _check_room(settings, size or 0)
    return Receiving(settings, unzip.label(name))


def check_size(settings: Settings, size: int) -> None:
    """Raise TooLarge for more bytes than an upload may have."""
    most = largest_bytes(settings)
    if size > most:
        raise TooLarge(
            "upload",
            found=f"{size / 1e6:.0f} MB",
            expected=f"at most {most / 1e6:.0f} MB",
            remedy="ingest it from a folder or a bucket, or raise GEOLAB_LARGEST_UPLOAD_MB",
        )


def _check_room(settings: Settings, more: int) -> None:
    folder = settings.home
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    if free - more < KEEP_FREE_BYTES:
        reason = f"the disk has no room for an upload of {more / 1e6:.0f} MB ({free / 1e6:.0f} MB free)"
        raise StorageError(str(root(settings)), f"{reason}; free some space", full=True)


class Receiving:
    """A file while it arrives: write(), then commit() or abort(). Not for two threads at once."""

    def __init__(self, settings: Settings, name: str):
        self._settings, self.name, self.size = settings, name, 0
        self._digest = hashlib.sha256()
        self._folder, self._lock = _locked_folder(root(settings))
        self._file = (self._folder / _RAW).open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Add bytes. Raises TooLarge, StorageError."""
        check_size(self._settings, self.size + len(data))
        _check_room(self._settings, len(data))
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            reason = f"the upload can't be written ({error.strerror})"
            raise StorageError(str(root(self._settings)), reason) from error
        self._digest.update(data)
        self.size += len(data)

    def commit(self) -> Upload:
        """The upload, checked by opening, whole on disk. Raises FileRejected for what no ingest takes."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            packed = self._unpack()
            done = Upload(secrets.token_hex(16), self.name, self.size, self._digest.hexdigest(), packed)
            (self._folder / _ABOUT).write_text(json.dumps(asdict(done)), encoding="utf-8")
            self._folder.rename(root(self._settings) / done.id)
            os.close(self._lock)
            return done
        except BaseException:
            self.abort()
            raise

    def _unpack(self) -> bool:
        raw, target = self._folder / _RAW, self._folder / self.name
        raw.rename(target)
        if not unzip.is_zip(target):
            work.check(target, self.name)
            return False
        packed = target.rename(self._folder / ".zip")
        most = largest_bytes(self._settings)
        room = lambda more: _check_room(self._settings, more)  # noqa: E731
        for found in unzip.unpack(packed, self._folder, most_bytes=most, room=room):
            if not unzip.is_sidecar(found.name):
                work.check(found, found.name)
        packed.unlink()
        return True

    def abort(self) -> None:
        """Remove what has arrived so far; may be called twice."""
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1


def _locked_folder(parent: Path) -> tuple[Path, int]:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PART, dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # a sweep may have come between
            return folder, lock
        os.close(lock)


def clear(settings: Settings, *, unused: timedelta = UNUSED) -> list[str]:
    """Remove what dead processes left half received, and uploads older than `unused`; their names."""
    parent, removed = root(settings), []
    for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
        old = _ID.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > unused.total_seconds()
        if old or (folder.name.startswith(_PART) and not _in_use(folder)):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    return removed


def _in_use(folder: Path) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
