"""Which models there are: those with a place on Earth are items, the others lie in the folders of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geolab import catalog, jobs
from geolab.apps import words
from geolab.maps import origin
from geolab.settings import Settings
from geolab.splats import find, names

MOST = 100

Row = dict[str, Any]


def models(settings: Settings) -> list[Row]:
    """Cards of all models, the newest first. id: what opens it."""
    items = _items(settings)
    known = set(map(_run, items))
    loose = [row for view in _runs(settings) if view.run_id not in known and (row := _of_run(view))]
    return [*map(_of_item, items), *loose]


def _items(settings: Settings) -> list[Any]:
    kind = {"op": "=", "args": [{"property": "geolab:product"}, names.KIND]}
    search = catalog.Search(filter=kind, sortby=("-datetime",), limit=MOST)
    with catalog.open_catalog(settings) as opened:
        found = opened.search(search).items
    runs = {_run(item) for item in found if item["properties"].get("geolab:result") == "splats"}
    return [item for item in found if not _is_copy(item, runs)]


def _is_copy(item: Any, runs: set[str]) -> bool:
    """Whether a run has reported this model in another format too."""
    return _run(item) in runs - {""} and item["properties"].get("geolab:result") != "splats"


def _run(item: Any) -> str:
    return str(item["properties"].get("geolab:run") or "")


def _of_item(item: Any) -> Row:
    count = item["properties"].get("geolab:gaussians")
    told = [origin.day(item), f"{count:,} Gaussians" if isinstance(count, int) else ""]
    note = ", ".join(filter(None, told))
    thumb = origin.preview_url(item)
    return {"id": str(item["id"]), "title": origin.title(item), "note": note, "thumb": thumb}


def _runs(settings: Settings) -> list[Any]:
    return jobs.runs("succeeded", notebook="05_train_splats", limit=MOST, settings=settings)


def _of_run(view: Any) -> Row | None:
    path = Path(view.folder) / find.FILE
    if not path.is_file():
        return None
    note = f"{view.created[:10]}, {words.size(path.stat().st_size)}, without a place on Earth"
    title = str(view.parameters.get("name") or "splats")
    thumb = origin.run_file_url(view.run_id, "held_out.png")
    return {"id": str(path), "title": title, "note": note, "thumb": thumb}
