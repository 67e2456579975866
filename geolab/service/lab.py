"""The apps inside JupyterLab: cards of its launcher, and the addresses by which pages find each other.

<base_url>voila/render/<page>.ipynb     leads to the page's notebook, wherever Lab shows it
<base_url>geolab/status                 what the header of each page shows
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import RedirectWithParams
from jupyter_server.utils import url_path_join

from geolab import settings as settings_module
from geolab.jobs import notebook
from geolab.service import status

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

_APPS = (
    ("home", "Home"),
    ("data", "Data"),
    ("map", "Map"),
    ("training", "Training"),
    ("models", "Models"),
    ("change", "Change"),
    ("splats", "Splats"),
    ("monitor", "Monitor"),
)


def cards(notebooks: Path, root: Path, icons: Path) -> dict[str, dict[str, Any]]:
    """Entries of the launcher, as jupyter-server-proxy takes them; none for what `root` does not hold.

    notebooks: their folder, apps in `apps/` below it. root: the folder that JupyterLab shows.
    """
    mlflow = _card("MLflow", "geolab apps", "mlflow/", icons / "models.svg")
    try:
        place = notebooks.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return {"geolab-mlflow": mlflow}
    found = {}
    for path in sorted(notebooks.glob("[0-9]*.ipynb")):
        address = f"lab/tree/{place}/{path.name}"
        found[f"geolab-notebook-{path.stem}"] = _card(
            title(path), "geolab notebooks", address, icons / "notebook.svg"
        )
    for name, words in _APPS:
        if (notebooks / "apps" / f"{name}.ipynb").is_file():
            address = f"voila/render/{place}/apps/{name}.ipynb"
            found[f"geolab-app-{name}"] = _card(words, "geolab apps", address, icons / f"{name}.svg")
    return found | {"geolab-mlflow": mlflow}


def title(path: Path) -> str:
    """What a notebook calls itself in its first line, after its number."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first = "".join(cells[0]["source"]).partition("\n")[0] if cells else ""
    return f"{path.stem.partition('_')[0]} {first.removeprefix('# ').strip() or path.stem}"


def _card(words: str, category: str, address: str, icon: Path) -> dict[str, Any]:
    """An entry that only leads to an address; no process belongs to it."""
    return {
        "command": [],
        "port": 1,
        "new_browser_tab": True,
        "launcher_entry": {
            "title": words,
            "category": category,
            "path_info": address,
            "icon_path": str(icon),
            "enabled": True,
        },
    }


# ---------------------------------------------------------------- the extension


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.lab"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    base_url, root = server.web_app.settings["base_url"], Path(server.root_dir)
    given = {"workspace": settings_module.load()}
    handlers: list[Any] = [(url_path_join(base_url, "geolab/status"), status.StatusHandler, given)]
    for name, place in pages(notebook.folder(), root).items():
        page, target = (url_path_join(base_url, "voila/render", one) for one in (f"{name}.ipynb", place))
        handlers.append((page, RedirectWithParams, {"url": target, "permanent": False}))
    server.web_app.add_handlers(".*$", handlers)


def pages(notebooks: Path, root: Path) -> dict[str, str]:
    """The pages by name with their places below root; none for what it does not hold, or holds at its top."""
    found = {name: notebooks.resolve() / "apps" / f"{name}.ipynb" for name, _ in _APPS}
    inside = {name: path for name, path in found.items() if path.is_relative_to(root.resolve())}
    places = {name: path.relative_to(root.resolve()).as_posix() for name, path in inside.items()}
    return {name: place for name, place in places.items() if "/" in place and inside[name].is_file()}
