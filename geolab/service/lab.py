"""Cards of JupyterLab's launcher: the notebooks and the apps, one click each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
