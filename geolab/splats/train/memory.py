"""How much memory this process has used at most."""

from __future__ import annotations

import resource
import sys

import torch


def peak_mb(device: torch.device | str = "cpu") -> float:
    """Megabytes: on CUDA the most that torch has allocated, else the most the process has held (RSS)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
