"""What this machine does: processor, memory, disk, GPU."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets
import psutil

from geolab.apps import parts, words
from geolab.jobs import gpus
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.apps.shell import Page

LOOK_S = 5.0


class Machine(widgets.Box):
    """The figures of the machine that the page's kernel is on."""

    def __init__(self, page: Page):
        super().__init__([parts.card("This machine", parts.skeleton(2))])
        self.add_class("geolab-box")
        page.every(LOOK_S, self._show, work=lambda: look(page.settings))

    def _show(self, found: dict[str, str]) -> None:
        self.children = (parts.card("This machine", parts.facts(found)),)


def look(settings: Settings) -> dict[str, str]:
    """What is in use now."""
    memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
    used = memory.total - memory.available
    folder = next(one for one in (settings.home, *settings.home.parents) if Path(one).exists())
    disk, gpu = shutil.disk_usage(folder), gpus.use()
    found = {
        "processor": f"{psutil.cpu_percent(interval=0.2) / 100 * cores:.1f} of {cores} cores busy",
        "memory": f"{words.size(used)} of {words.size(memory.total)} in use",
        "disk": f"{words.size(disk.free)} of {words.size(disk.total)} free",
    }
    if gpu is not None:
        found["GPU"] = f"{gpu.pct:.0f} % busy, {words.size(gpu.memory_mb * 1e6)} in use"
    return found
