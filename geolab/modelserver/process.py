"""Starting it: one process on a machine for each of its users, for as long as somebody stays."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import geolab
from geolab.errors import Unreachable
from geolab.modelserver import wire
from geolab.modelserver.client import WHAT

START_TIMEOUT_S = 120.0
POLL_S = 0.05


class Stay:
    """Keeps the process: an open connection. `address` is what others are told."""

    def __init__(self, address: Path, connection: socket.socket):
        self.address, self._connection = address, connection

    def close(self) -> None:
        """Need it no more."""
        self._connection.close()

    def __enter__(self) -> Stay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stay(folder: Path | None = None, *, grace_s: float | None = None) -> Stay:
    """The machine's process, started if it is not there; it goes some seconds after the last one let go.

    folder: where its socket lies; this user's own by default. Raises Unreachable.
    """
    folder = _private(folder or default_folder())
    address = folder / socket_name()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two that start at once would make two
        connection = _joined(address)
        if connection is None:
            address.unlink(missing_ok=True)  # of one that was killed
            connection = _started(folder, address, grace_s)
    return Stay(address, connection)


def default_folder() -> Path:
    """A folder of this user on this machine."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = (
        Path(runtime) if runtime.startswith("/") and Path(runtime).is_dir() else Path(tempfile.gettempdir())
    )
    return base / f"geolab-{os.getuid()}"


def socket_name() -> str:
    """The name of this geolab's socket: another version or environment has a process of its own."""
    here = Path(__file__).parent
    code = [(path.name, path.stat().st_mtime_ns) for path in sorted(here.glob("*.py"))]
    told = repr((geolab.__version__, sys.prefix, str(here), code))
    return f"models-{hashlib.sha256(told.encode()).hexdigest()[:12]}.sock"


def _private(folder: Path) -> Path:
    """The folder, made; nobody else may have made it, or look into it. Raises Unreachable."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise Unreachable(WHAT, f"{folder} belongs to somebody else; set XDG_RUNTIME_DIR")
    folder.chmod(0o700)
    return folder


def _joined(address: Path) -> socket.socket | None:
    """A connection that stays; None where nobody answers."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    try:
        connection.connect(str(address))
        connection.sendall(wire.frame({"do": "stay"}))
        with connection.makefile("rb") as stream:
            wire.take(stream)
    except (OSError, EOFError):
        connection.close()
        return None
    connection.settimeout(None)
    return connection


def _started(folder: Path, address: Path, grace_s: float | None) -> socket.socket:
    command = [sys.executable, "-m", "geolab.modelserver", str(address)]
    command += [str(grace_s)] if grace_s is not None else []
    with (folder / "models.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    threading.Thread(target=process.wait, name="geolab-models-end", daemon=True).start()  # no zombie
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        ended = process.poll()
        connection = _joined(address) if ended is None and address.exists() else None
        if connection is not None:
            return connection
        if ended is not None:
            said = (folder / "models.log").read_text(errors="replace").strip().splitlines()
            raise Unreachable(WHAT, f"it ended with {ended}: {said[-1] if said else 'without a word'}")
        time.sleep(POLL_S)
    process.kill()
    raise Unreachable(WHAT, f"it was not ready in {START_TIMEOUT_S:.0f} s")
