"""The process that kernels of pages are forked from: `python -m geolab.service.preheat SOCKET PARENT`.

It imports what pages import, widgets too: unlike a job's kernel, a page's kernel is told of them when
it starts, by the IPython extension that this module is as well.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, NoReturn

from geolab.jobs import template

NAME = "geolab.service.preheat"
STACK = (
    "numpy", "pandas", "rasterio", "shapely", "pyproj", "PIL.Image", "psutil",
    "ipywidgets", "anywidget", "ipyleaflet",
    "geolab.jobs.submission", "geolab.jobs.listing", "geolab.jobs.panel", "geolab.jobs.parameters",
    "geolab.catalog", "geolab.display", "geolab.maps.origin", "geolab.track.loaded",
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "ipykernel.iostream",
    "ipykernel.displayhook", "IPython.core.completerlib", "IPython.extensions.storemagic",
    "geolab.jobs.ending", "geolab.jobs.forked", NAME,
)  # fmt: skip

_log = logging.getLogger(__name__)


def main(descriptor: int, parent: int) -> None:
    """As the template of jobs, with what pages import."""
    template.main(descriptor, parent, chain(STACK, pages()))


def pages() -> Iterator[str]:
    """The modules of the apps, imported one by one; what is wrong with one its own page says."""
    apps = importlib.import_module("geolab.apps")
    for module in pkgutil.walk_packages(apps.__path__, f"{apps.__name__}."):
        try:
            importlib.import_module(module.name)
        except Exception:  # noqa: BLE001 (a page that can't be imported says so itself)
            _log.exception("%s is imported by each page anew", module.name)
        else:
            yield module.name
    if made := importlib.import_module("ipywidgets.widgets.widget")._instances:
        raise RuntimeError(f"imports made widgets, which no page would show: {list(made.values())}")


# ------------------------------------------------------------ in the kernel


def load_ipython_extension(shell: Any) -> None:
    """Make this kernel one of a page: it takes messages of widgets, and leaves the GPU alone."""
    import ipywidgets

    ipywidgets.load_ipython_extension(shell)
    if torch := sys.modules.get("torch"):
        torch.cuda._lazy_init = refuse


def refuse() -> NoReturn:
    """Stands where torch would open the GPU: many pages are open at once, and jobs need its memory."""
    raise RuntimeError("a page leaves the GPU alone: submit a job, or ask the model server")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
