"""A table: sorted, filtered and turned page by page in the browser; cards on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import traitlets as t

from geolab.apps import faults
from geolab.apps.parts import assets
from geolab.apps.parts.base import Part, texts
from geolab.errors import BadInput

KINDS = ("text", "short", "number", "date", "state", "bar", "thumb", "link")
SELECT = ("none", "one", "many")


@dataclass(frozen=True)
class Column:
    """One column. kind: text, short (on one line), number, date (RFC 3339), state, bar (0..1),
    thumb (an address on this origin) or link ({"text", "href"}); unit: behind each number."""

    key: str
    title: str
    kind: str = "text"
    unit: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"column {self.key}", found=self.kind, expected=f"one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Action:
    """A button: on each row, or above a table of which many rows can be chosen.

    A row's "actions" (names), where it has them, are those that it may be asked for.
    """

    name: str
    label: str
    danger: bool = False


class Table(Part):
    """Rows are {"id": ..., key: value}; what a value holds is shown as text.

    on_open(id): a row was opened. on_action(name, ids): a button of these rows was pressed.
    """

    _esm = assets.module("table")

    columns = t.List().tag(sync=True)
    rows = t.List().tag(sync=True)
    select = t.Enum(SELECT, "none").tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    actions = t.List().tag(sync=True)
    empty = t.Unicode("Nothing here yet.").tag(sync=True)
    page_rows = t.Int(50).tag(sync=True)
    opens = t.Bool(False).tag(sync=True)
    label = t.Unicode("").tag(sync=True)

    def __init__(
        self,
        columns: Iterable[Column],
        rows: Iterable[Mapping[str, Any]] = (),
        *,
        select: str = "none",
        on_open: Callable[[str], None] | None = None,
        actions: Iterable[Action] = (),
        on_action: Callable[[str, list[str]], None] | None = None,
        empty: str = "Nothing here yet.",
        page_rows: int = 50,
        label: str = "",
    ):
        self.on_open, self.on_action = on_open, on_action
        super().__init__(
            columns=[asdict(column) for column in columns],
            rows=checked(rows),
            select=select,
            actions=[asdict(action) for action in actions],
            empty=empty,
            page_rows=page_rows,
            opens=on_open is not None,
            label=label,
        )

    @t.validate("rows")
    def _rows(self, proposal: Any) -> list[dict[str, Any]]:
        return checked(proposal["value"])

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        known = {row["id"]: row for row in self.rows}
        ids, name = [one for one in texts(content.get("ids")) if one in known], content.get("name")
        if kind == "open" and len(ids) == 1:
            faults.call(self.on_open, ids[0])
        elif kind == "action" and isinstance(name, str):
            may = [one for one in ids if name in known[one].get("actions", self._names())]
            if may and name in self._names():
                faults.call(self.on_action, name, may)

    def _names(self) -> list[str]:
        return [action["name"] for action in self.actions]


def checked(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose ids are texts. Raises BadInput for one without."""
    found = [{**row, "id": str(row["id"])} for row in rows if "id" in row]
    if len(found) != len(list(rows)):
        raise BadInput("rows", found="one without an id", expected="an id in each")
    return found
