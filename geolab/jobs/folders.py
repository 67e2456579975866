"""The folders of runs: private while one works, published by one rename, a short memory of the rest.

runs/.private/<id>/              what a run writes while it works
runs/.checkpoints/<key>/         what the next attempt at the same work may continue from
runs/<notebook>/<key>/           published, whole: report.json was written last
runs/<notebook>/attempts/<id>/   notebook and log of an attempt that did not succeed, or was replaced
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from geolab.errors import StorageError
from geolab.jobs.record import Record
from geolab.settings import Settings

REPORT, NOTEBOOK, LOG = "report.json", "notebook.ipynb", "log.txt"
DESCRIBED, SOURCE = "run.json", "source.ipynb"
KEY_DIGITS = 16

RESERVE = ".reserve"  # space that is given back when the disk is full, so that the end can be written down
RESERVE_BYTES = 256 * 1024

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)
_KEPT_OF_AN_ATTEMPT = (NOTEBOOK, LOG, "events.jsonl", REPORT)


def private_root(settings: Settings) -> Path:
    """The folder of all private folders."""
    return settings.runs / ".private"


def private(settings: Settings, run_id: str) -> Path:
    """The private folder of a run."""
    return private_root(settings) / run_id


def checkpoints(settings: Settings, key: str) -> Path:
    """Where attempts at the same work keep what a next attempt may continue from."""
    return settings.runs / ".checkpoints" / key[:KEY_DIGITS]


def published(settings: Settings, run: Record) -> Path:
    """Where the run's results are, or will be."""
    return settings.runs / run.notebook / run.key[:KEY_DIGITS]


def attempt(settings: Settings, run: Record) -> Path:
    """Where notebook and log of an unsuccessful run are kept."""
    return settings.runs / run.notebook / "attempts" / run.id


def runtime(run_id: str) -> Path:
    """Where the kernel's sockets are: short, because a socket's path has 107 bytes at most."""
    return Path(tempfile.gettempdir(), f"geolab-{run_id}")


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of a finished run; None if the folder holds none that can be read."""
    try:
        report = json.loads((folder / REPORT).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the block can't write comes out as a StorageError that says what to do."""
    try:
        yield
    except OSError as problem:
        raise trouble(folder, problem) or problem from problem


def trouble(folder: Path, problem: BaseException) -> StorageError | None:
    """The system's complaint about a folder of runs, in words; None if it is about something else."""
    code = problem.errno if isinstance(problem, OSError) else None
    if code in _FULL:
        return full(folder)
    if code not in _REFUSED:
        return None
    reason = (
        f"can't be written ({os.strerror(code)}); make it writable, or set GEOLAB_RUNS_FOLDER to one that is"
    )
    return StorageError(str(folder), reason)


def full(folder: Path) -> StorageError:
    """A disk without space, in words."""
    found = f"the disk is full ({free_mb(folder):.1f} MB free)"
    remedy = "free space, or set GEOLAB_RUNS_FOLDER to a larger disk"
    return StorageError(str(folder), f"{found}; {remedy}", full=True)


def missing(settings: Settings, run: Record) -> StorageError | None:
    """A queued run without a folder on this machine, in words; None if it has one."""
    folder = private(settings, run.id)
    if (folder / DESCRIBED).is_file():
        return None
    remedy = (
        "all workers of a ledger share one folder of runs: set GEOLAB_RUNS_FOLDER to it, or cancel the run"
    )
    return StorageError(str(folder), f"run {run.id} has no folder here; {remedy}")


def free_mb(folder: Path) -> float:
    """Space left on the disk of a folder that may not exist, in units of 1e6 bytes."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / 1e6


def reserve(folder: Path) -> None:
    """Set a little space aside for the end of the run."""
    with writing(folder), (folder / RESERVE).open("wb") as stream:
        stream.write(bytes(RESERVE_BYTES))


def shrink(folder: Path) -> None:
    """Remove all of a private folder that an attempt does not keep: a full disk needs the space."""
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        if entry.name not in _KEPT_OF_AN_ATTEMPT:
            with suppress(OSError):
                _remove(entry)


def is_of(run: Record, folder: Path) -> bool:
    """Whether the folder holds the finished results of this very run."""
    return (read_report(folder) or {}).get("run_id") == run.id


def publish(settings: Settings, run: Record) -> Path:
    """Give the private folder its published name; call it under the ledger's write lock.

    A folder published before stays, and this run becomes a mere attempt, unless the run was forced:
    then the two are exchanged in one step, so that there is never a moment without results.
    """
    source, target = private(settings, run.id), published(settings, run)
    if is_of(run, target):
        return target  # done before; the ledger could not be told
    target.parent.mkdir(parents=True, exist_ok=True)
    if read_report(target) is None:
        shutil.rmtree(target, ignore_errors=True)  # nobody publishes a folder without a report
        source.rename(target)
    elif run.force:
        _exchange(source, target)
    return target


def tidy(settings: Settings, run: Record, target: Path) -> None:
    """Reduce what is left of a private folder to notebook and log, and put it with the attempts.

    Two processes may do so at once. What a disk refuses now is left for the next who looks.
    """
    source = private(settings, run.id)
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        shrink(source)
        if not target.exists():
            source.rename(target)
    if target.exists():
        shutil.rmtree(source, ignore_errors=True)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def _exchange(one: Path, other: Path) -> None:
    """Exchange the names of two folders in one step; in two where the system has no such call."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(one), os.fsencode(other)
    if renameat2 and renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    aside = one.with_name(one.name + "-replaced")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
