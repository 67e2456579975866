"""A private folder for work in progress, from which finished objects are published by one rename."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from geolab import store

_PREFIX = ".tmp-ingest-"
_OWNER = re.compile(r"\.tmp-ingest-(?P<host>.+)~(?P<pid>\d+)~(?P<started>\d+)~\w+", re.ASCII)


@contextmanager
def staging(data: str) -> Iterator[Path]:
    """A folder of our own, gone afterwards, on the same disk as the object store where that is local.

    Those that dead processes left behind are removed.
    """
    root = store.local_path(data)
    if root is None:
        with tempfile.TemporaryDirectory(prefix="geolab-ingest-") as name:
            yield Path(name)
        return
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    folder = Path(
        tempfile.mkdtemp(prefix=f"{_PREFIX}{_host()}~{os.getpid()}~{_started(os.getpid())}~", dir=root)
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> list[Path]:
    """The folders removed below `root` because the process of this machine that made them is gone."""
    removed = []
    for folder in root.glob(f"{_PREFIX}*"):
        owner = _OWNER.fullmatch(folder.name)
        if owner is None or owner["host"] != _host():
            continue
        if not _alive(int(owner["pid"]), int(owner["started"])):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())


def _started(pid: int) -> int:
    """When a process began, seconds since 1970; -1 if there is none of this number."""
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return -1


def _alive(pid: int, started: int) -> bool:
    """Whether that very process runs: numbers are used again, and clocks are set by a second or two."""
    return abs(_started(pid) - started) <= 5


def publish(staged: Path, *, data: str, digest: str, name: str) -> str:
    """The URI of a staged file moved into the object store; an object already there stays."""
    uri = store.object_uri(data, digest, name)
    target = store.local_path(uri)
    if target is None:
        return store.put_object(staged, data=data, digest=digest, name=name)
    if not target.exists():
        with staged.open("rb") as stream:
            os.fsync(stream.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
    return uri
