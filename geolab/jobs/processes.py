"""Processes: who owns a run, whether that owner still lives, and ending all that a run started."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Owner:
    """A process, distinguishable from a later one with the same pid and from one of another container."""

    host: str  # name of the machine, its boot and the space its pids are counted in
    pid: int
    started: str  # when it started, as the operating system counts it

    @property
    def name(self) -> str:
        """The machine's name, for people."""
        return self.host.rsplit(" ", 1)[0]


def owner(pid: int | None = None, *, host: str = "") -> Owner:
    """The owner that this process (or the one with this pid) is.

    host: the machine's name in the settings; its own name where that is empty.
    """
    pid = pid or os.getpid()
    return Owner(place(host), pid, _started(pid) or "")


def place(host: str = "") -> str:
    """Where pids mean what they mean here: two containers may share a name, or a machine, but not this."""
    name = host or platform.node()
    try:
        space = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
        return f"{name} {_boot()[:8]}.{space}"
    except OSError:  # not Linux
        return name


def is_here(one: Owner, *, host: str = "") -> bool:
    """Whether the owner is, or was, a process whose pid this process can look up."""
    return one.host in (place(host), platform.node())  # older geolabs wrote the bare name


def is_dead(one: Owner, *, host: str = "") -> bool:
    """Whether the owner certainly lives no more; False for an owner on another machine."""
    return is_here(one, host=host) and (not one.started or _started(one.pid) != one.started)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(pid: int) -> str | None:
    """Boot and clock ticks of the process's start; None if it is gone or a zombie.

    Not psutil's create_time() on Linux: that moves when the clock is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = _boot()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _started_elsewhere(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.1f}"
    except psutil.NoSuchProcess:
        return None


def kill_tree(pid: int, *, itself: bool) -> None:
    """Kill the children of a process, theirs too (a kernel has its own session), and itself if asked."""
    try:
        root = psutil.Process(pid)
        family = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return
    _kill([root, *family] if itself else family)


def kill_owner(one: Owner, *, host: str = "") -> None:
    """Kill the owner with all its children, if it lives on this machine and is not this process."""
    if one.pid != os.getpid() and is_here(one, host=host) and not is_dead(one, host=host):
        kill_tree(one.pid, itself=True)


def kill_leftovers(described: Path) -> None:
    """Kill every process whose GEOLAB_RUN is this file: a kernel outlives a killed runner for a while."""
    wanted = str(described)
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("GEOLAB_RUN") == wanted:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # another user's process, or one that has just ended
    _kill(found)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)
