"""Many small squares, one a node, coloured by state: what ten thousand runs are doing, at one glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets as t

from geolab.apps import faults
from geolab.apps.parts import assets
from geolab.apps.parts.base import Part
from geolab.errors import BadInput

NOTHING = "."


@dataclass(frozen=True)
class Grid:
    """One block of squares. cells: one letter of the matrix's states each, row by row; "." for none.

    A block of one row is broken into lines; one with several rows keeps them.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: str

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.rows) * len(self.columns):
            expected = f"{len(self.rows)} x {len(self.columns)}"
            raise BadInput(f"grid {self.name}", found=f"{len(self.cells)} cells", expected=expected)


class Matrix(Part):
    """states: {letter: word}. on_open(grid, row, column): a square was chosen, by its labels' positions."""

    _esm = assets.module("matrix")

    grids = t.List().tag(sync=True)
    states = t.Dict().tag(sync=True)

    def __init__(self, states: Mapping[str, str], on_open: Callable[[str, int, int], None] | None = None):
        self.on_open = on_open
        super().__init__(states=dict(states))

    def show(self, grids: Sequence[Grid]) -> None:
        """Draw these; those that have not changed don't travel again."""
        self.grids = [asdict(grid) for grid in grids]

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind != "open":
            return
        grid = next((one for one in self.grids if one["name"] == content.get("grid")), None)
        row, column = content.get("row"), content.get("column")
        if grid is None or type(row) is not int or type(column) is not int:
            return
        if 0 <= row < len(grid["rows"]) and 0 <= column < len(grid["columns"]):
            faults.call(self.on_open, grid["name"], row, column)
