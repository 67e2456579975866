"""What a run takes: processor, memory and GPU of all its processes, read from the system in a millisecond.

Memory is the sum of what each process holds. Processes that share pages (a kernel forked from a
template, workers of a loader) count them each, so a limit is judged by the exact share instead,
which costs more and is read only near it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from geolab.jobs import gpus

EVERY_S = 2.0  # between events, at first
EVENTS = 500  # after so many they become rarer: a week takes some thousands

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One look. cpu_pct: since the look before; 100 is one core. Memory in units of 1e6 bytes."""

    cpu_pct: float
    memory_mb: float
    gpu_pct: float | None = None  # of all visible devices together; None where there is none
    gpu_memory_mb: float | None = None

    def facts(self) -> dict[str, float]:
        """The values that are known, in sensible digits."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: round(value, 1) for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class _Process:
    pid: int
    started: int  # clock ticks after boot
    cpu_s: float  # its own and that of its children that have ended
    memory_mb: float


class Meter:
    """The use of the processes that this one starts from now on. Holds what was seen so far."""

    def __init__(self) -> None:
        self.before = frozenset((one.pid, one.started) for one in _tree(os.getpid()))
        self.began = self._looked = time.monotonic()
        self._emitted = -EVERY_S
        self._lock = threading.Lock()
        self._cpu_s: dict[tuple[int, int], float] = {}  # of each process, as last seen
        self._sums = [0.0, 0.0, 0.0]  # seconds of processor; MB x seconds; GPU percent x seconds
        self._peaks: dict[str, float] = {}

    def family(self, but: int | None = None) -> list[_Process]:
        """The processes of the run. but: one that serves it and others."""
        found = _tree(os.getpid())
        return [one for one in found if one.pid != but and (one.pid, one.started) not in self.before]

    def look(self, but: int | None = None) -> Sample:
        """What the run takes now."""
        with self._lock:
            return self._look(but)

    def _look(self, but: int | None) -> Sample:
        now = time.monotonic()
        seconds, self._looked = now - self._looked, now
        family = self.family(but)
        used = sum(max(0.0, one.cpu_s - self._cpu_s.get((one.pid, one.started), 0.0)) for one in family)
        self._cpu_s |= {(one.pid, one.started): one.cpu_s for one in family}
        device = gpus.use()
        sample = Sample(
            cpu_pct=100 * used / seconds if seconds > 0 else 0.0,
            memory_mb=sum(one.memory_mb for one in family),
            gpu_pct=device.pct if device else None,
            gpu_memory_mb=device.memory_mb if device else None,
        )
        self._add(sample, used, seconds)
        return sample

    def _add(self, sample: Sample, used: float, seconds: float) -> None:
        gpu = (sample.gpu_pct or 0.0) * seconds
        self._sums = [a + b for a, b in zip(self._sums, (used, sample.memory_mb * seconds, gpu), strict=True)]
        for name, value in sample.facts().items():
            self._peaks[name] = max(value, self._peaks.get(name, 0.0))

    def due(self) -> bool:
        """Whether it is time for an event; they become rarer as the run becomes long."""
        elapsed = time.monotonic() - self.began
        if elapsed - self._emitted < max(EVERY_S, elapsed / EVENTS):
            return False
        self._emitted = elapsed
        return True

    def exact_mb(self, but: int | None = None) -> float:
        """The memory of the run with shared pages counted once; milliseconds for many gigabytes."""
        return sum(_share_mb(one) for one in self.family(but))

    def summary(self) -> dict[str, float]:
        """Means over the run, and peaks; nothing if it ended before the first look."""
        if not self._peaks:
            return {}
        seconds = max(self._looked - self.began, 1e-9)
        cpu_s, memory, gpu = self._sums
        found = {
            "cpu_s": cpu_s,
            "cpu_pct": 100 * cpu_s / seconds,
            "cpu_pct_peak": self._peaks.get("cpu_pct", 0.0),
            "memory_mb": memory / seconds,
            "memory_mb_peak": self._peaks.get("memory_mb", 0.0),
        }
        if "gpu_pct" in self._peaks:
            found |= {"gpu_pct": gpu / seconds, "gpu_pct_peak": self._peaks["gpu_pct"]}
            found |= {"gpu_memory_mb_peak": self._peaks.get("gpu_memory_mb", 0.0)}
        return {name: round(value, 2) for name, value in found.items()}


# ---------------------------------------------------------------- processes


def _tree(root: int) -> Iterator[_Process]:
    """All descendants of a process, each before its children."""
    waiting = _children(root)
    while waiting:
        pid = waiting.pop()
        found = _look(pid)
        if found is not None:
            yield found
            waiting += _children(pid)


def _children(pid: int) -> list[int]:
    """The children of a process: from its threads' lists, which spares a look at all processes."""
    found: list[int] = []
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            for thread in threads:
                found += map(int, Path(thread.path, "children").read_bytes().split())
    except FileNotFoundError:
        return _children_elsewhere(pid) if not _HAS_LISTS else found
    except (ProcessLookupError, PermissionError):
        return found
    return found


_HAS_LISTS = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _children_elsewhere(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _look(pid: int) -> _Process | None:
    """One process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return _look_elsewhere(pid) if not Path("/proc/self/stat").exists() else None
    ticks = sum(map(int, fields[11:15]))  # user, system; the same of children that have ended
    return _Process(pid, int(fields[19]), ticks / _TICKS, int(fields[21]) * _PAGE_MB)


def _look_elsewhere(pid: int) -> _Process | None:
    try:
        one = psutil.Process(pid)
        times = one.cpu_times()
        return _Process(
            pid, round(one.create_time() * 100), times.user + times.system, one.memory_info().rss / 1e6
        )
    except psutil.Error:
        return None


def _share_mb(one: _Process) -> float:
    """The memory of a process, a page that n processes share counted as 1/n."""
    try:
        for line in Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        return one.memory_mb
    return one.memory_mb
