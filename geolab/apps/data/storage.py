"""The store as folders: what lies below the workspace's data, how large, page by page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

import ipywidgets as widgets

from geolab import catalog, store
from geolab.apps import parts
from geolab.apps.data import facts
from geolab.apps.shell import Page
from geolab.errors import BadInput, NotFound, one_line
from geolab.ingest.work import ID_DIGITS
from geolab.settings import Settings

PAGE_ENTRIES = 100
MOST_COUNTED = 1000  # files of one folder
_DIGEST = re.compile(r"[0-9a-f]{64}")
COLUMNS = (
    parts.Column("name", "Name"),
    parts.Column("kind", "What it is"),
    parts.Column("size", "Size"),
    parts.Column("item", "Item", "link"),
)


class Storage:
    """One folder of the store at a time."""

    def __init__(self, page: Page):
        self.page = page
        self.prefix, self.starts = "", [""]
        self.where = widgets.Text(placeholder="ab/", layout={"width": "auto", "flex": "1 1 220px"})
        self.where.continuous_update = False
        self.where.tooltip = "Beginning of the name"
        self.where.observe(lambda change: self._typed(change["new"]), "value")
        self.table = parts.Table(COLUMNS, on_open=self.open, page_rows=PAGE_ENTRIES, label="Objects")
        self.table.empty = "Nothing lies here."
        self.way, self.note = parts.row(), parts.text("", soft=True)
        self.before = parts.button("Previous", lambda: self.turn(-1))
        self.after = parts.button("Next", lambda: self.turn(1))
        root = parts.text(
            f"Objects lie below {page.settings.data}, by the SHA-256 of their content.", soft=True
        )
        turning = parts.row(self.before, self.note, self.after)
        self.widget = parts.stack(root, parts.row("Prefix", self.where), self.way, self.table, turning)
        self.go("")

    def _typed(self, text: str) -> None:
        if text.strip().strip("/") != self.prefix.strip("/"):
            self.page.guard(self.go)(text)

    def go(self, prefix: str) -> None:
        """Show what lies below a prefix. Raises BadInput for one that leads elsewhere."""
        self.prefix, self.starts = checked(prefix), [""]
        self.show()

    def turn(self, by: int) -> None:
        """The next page of a long folder, or the one before."""
        if by > 0 and self.table.rows:
            self.starts.append(self.table.rows[-1]["id"])
        elif len(self.starts) > 1:
            self.starts.pop()
        self.show()

    def open(self, name: str) -> None:
        """Go into a folder."""
        if name.endswith("/"):
            self.go(f"{self.prefix}{name}")

    def show(self) -> None:
        """List the folder."""
        uri = f"{self.page.settings.data.rstrip('/')}/{self.prefix}"
        try:
            found = store.list_folder(uri, after=self.starts[-1], limit=PAGE_ENTRIES + 1)
        except NotFound:
            found = []
        shown = found[:PAGE_ENTRIES]
        self.where.value = self.prefix
        self.table.rows = rows(self.page, self.prefix, shown)
        self.before.disabled, self.after.disabled = len(self.starts) == 1, len(found) <= PAGE_ENTRIES
        self.note.value = parts.text(_counted(shown), soft=True).value
        self.way.children = tuple(self._way())

    def _way(self) -> list[widgets.Widget]:
        """The folders above, as buttons."""
        names = self.prefix.strip("/").split("/") if self.prefix else []
        above = [("data", "")] + [(name, "/".join(names[: i + 1]) + "/") for i, name in enumerate(names)]
        return [parts.button(label, lambda to=to: self.go(to)) for label, to in above]


def checked(prefix: str) -> str:
    """The prefix as "" or "a/b/". Raises BadInput for one that could lead out of the store."""
    names = [name for name in prefix.strip().split("/") if name]
    for name in names:
        if name.startswith(".") or not name.isprintable() or any(c in name for c in "\\*?[]#%:"):
            found = repr(one_line(prefix, 60))
            raise BadInput("prefix", found=found, expected="names of folders of the store, such as ab/")
    return "".join(f"{name}/" for name in names)


def rows(page: Page, prefix: str, found: list[store.Listed]) -> list[dict[str, Any]]:
    """One row for each entry; a folder's tells what lies in it, an object's leads to its item."""
    return [_row(page, prefix, entry) for entry in found]


def _row(page: Page, prefix: str, entry: store.Listed) -> dict[str, Any]:
    name, inside = entry.name, Inside()
    if entry.is_folder:
        inside = look_inside(page.settings, f"{prefix}{name}")
    row: dict[str, Any] = {
        "id": name,
        "name": one_line(name, 120),
        "kind": inside.words if entry.is_folder else _kind(name),
        "size": facts.size(inside.size_bytes or "") if entry.is_folder else facts.size(entry.size_bytes),
    }
    items = _items(page.settings, digests(f"{prefix}{name}") or inside.digests)
    if items:
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        href = page.link("data", collection=items[0].get("collection"), item=items[0]["id"])
        title = one_line(items[0]["properties"].get("title") or items[0]["id"], 60)
        row["item"] = {"text": f"{title}{more}", "href": href}
    return row


@dataclass(frozen=True)
class Inside:
    """What lies below a folder. size_bytes: 0 where it was not counted."""

    words: str = "folder"
    size_bytes: int = 0
    digests: tuple[str, ...] = ()


def look_inside(settings: Settings, prefix: str) -> Inside:
    """Files below a folder, counted; only on this machine, a bucket would be asked once for each."""
    uri = f"{settings.data.rstrip('/')}/{prefix}"
    if store.local_path(uri) is None:
        return Inside()
    found = list(islice(store.iter_files(uri), MOST_COUNTED))
    size = sum(entry.size_bytes for entry in found)
    named = dict.fromkeys(one for entry in found for one in digests(entry.uri))
    more = "more than " if len(found) == MOST_COUNTED else ""
    return Inside(more + _number(len(found), "file"), size, tuple(named))


def digests(path: str) -> tuple[str, ...]:
    """The parts of a path that are a SHA-256: an item's id begins with one."""
    return tuple(part for part in path.split("/") if _DIGEST.fullmatch(part))


def _items(settings: Settings, found: tuple[str, ...]) -> list[dict[str, Any]]:
    """The items that objects belong to."""
    if not found:
        return []
    ids = tuple(digest[:ID_DIGITS] for digest in found)
    return catalog.open_catalog(settings).search(catalog.Search(ids=ids, limit=100)).items


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _kind(name: str) -> str:
    kinds = {"tif": "raster", "jpg": "photo", "webp": "small picture", "json": "JSON", "ply": "splats"}
    return kinds.get(name.rpartition(".")[2].lower(), "file")


def _counted(found: list[store.Listed]) -> str:
    folders = sum(entry.is_folder for entry in found)
    files = [entry.size_bytes for entry in found if not entry.is_folder]
    told = [_number(folders, "folder")] if folders else []
    told += [f"{_number(len(files), 'file')}, {facts.size(sum(files))}"] if files else []
    return ", ".join(told) or "empty"
