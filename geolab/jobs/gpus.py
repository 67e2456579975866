"""NVIDIA devices of this machine, asked through the driver's own library: no process, no package."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Use:
    """What all visible devices do together. pct: mean over them. memory_mb: in use, units of 1e6 bytes."""

    pct: float
    memory_mb: float


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def count() -> int:
    """How many devices the processes started from here may use."""
    return len(visible())


def visible() -> list[int]:
    """The numbers of these devices."""
    return _visible(_count())


def use() -> Use | None:
    """What the visible devices do now; None where there are none."""
    found = [_use(number) for number in visible()]
    known = [one for one in found if one is not None]
    if not known:
        return None
    return Use(sum(one.pct for one in known) / len(known), sum(one.memory_mb for one in known))


def _visible(present: int) -> list[int]:
    """The numbers of the devices that CUDA_VISIBLE_DEVICES leaves; all where it names them by other ids."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(range(present))
    numbers = [text.strip() for text in named.split(",") if text.strip()]
    if all(text.isdecimal() for text in numbers):
        return [int(text) for text in numbers if int(text) < present]
    return list(range(present)) if any(text.startswith(("GPU-", "MIG-")) for text in numbers) else []


@cache
def _library() -> Any:
    """NVML, begun; None without a driver."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None


@cache
def _count() -> int:
    library, number = _library(), ctypes.c_uint()
    if library is None or library.nvmlDeviceGetCount_v2(ctypes.byref(number)) != 0:
        return 0
    return number.value


def _use(number: int) -> Use | None:
    library, device, rates, memory = _library(), ctypes.c_void_p(), _Rates(), _Memory()
    if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) != 0:
        return None
    known = library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(rates)) == 0  # a MIG slice has none
    if library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) != 0:
        return None
    return Use(float(rates.gpu) if known else 0.0, memory.used / 1e6)
