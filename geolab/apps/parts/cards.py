"""Cards with pictures: what is in the workspace, at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import traitlets as t

from geolab.apps import faults
from geolab.apps.parts import assets
from geolab.apps.parts.base import Part, texts
from geolab.apps.parts.table import SELECT, checked


class Cards(Part):
    """Rows are {"id", "title", "note", "thumb", "href", "state"}, all but the id optional.

    thumb, href: addresses on this origin; others are not shown. on_open(id): a card was opened.
    """

    _esm = assets.module("cards")

    rows = t.List().tag(sync=True)
    select = t.Enum(SELECT, "none").tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    empty = t.Unicode("Nothing here yet.").tag(sync=True)
    opens = t.Bool(False).tag(sync=True)
    label = t.Unicode("").tag(sync=True)

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]] = (),
        *,
        select: str = "none",
        on_open: Callable[[str], None] | None = None,
        empty: str = "Nothing here yet.",
        label: str = "",
    ):
        self.on_open = on_open
        super().__init__(
            rows=checked(rows), select=select, empty=empty, opens=on_open is not None, label=label
        )

    @t.validate("rows")
    def _rows(self, proposal: Any) -> list[dict[str, Any]]:
        return checked(proposal["value"])

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        known = {row["id"] for row in self.rows}
        ids = [one for one in texts(content.get("ids")) if one in known]
        if kind == "open" and len(ids) == 1:
            faults.call(self.on_open, ids[0])
