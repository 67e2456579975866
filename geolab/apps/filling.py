"""The fields of a form with what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from geolab import jobs
from geolab.apps import fields
from geolab.apps.fields import Field
from geolab.apps.sheet import Sheet
from geolab.errors import NotFound
from geolab.jobs.parameters import Contract

MORE = "More options"


class Filling:
    """Sheets of fields: one of what everybody sets, one folded of the rest; and values that are not shown.

    advanced: names for the second; None for those that geolab knows to be technical.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        hidden: tuple[str, ...],
        advanced: tuple[str, ...] | None,
        on_find: Callable[[str, str, int, int], None],
        on_ask: Callable[[str, str], None],
    ):
        self.contract = contract
        self.parameters = {p.name: p for p in contract.parameters}
        self.kept: dict[str, Any] = {name: self.parameter(name).default for name in hidden}
        self._calls = {"on_find": on_find, "on_ask": on_ask}
        self.sheets = self._made(advanced)

    def parameter(self, name: str) -> jobs.Parameter:
        """The parameter of that name. Raises NotFound."""
        if name not in self.parameters:
            raise NotFound(f"parameter of {self.contract.name}", name, known=self.parameters)
        return self.parameters[name]

    def sheet_of(self, name: str) -> Sheet | None:
        """The sheet that shows a parameter; None for a hidden one."""
        return next((sheet for sheet in self.sheets if name in sheet.shown), None)

    def write(self, name: str, value: Any) -> None:
        """Fill in a typed value."""
        sheet, parameter = self.sheet_of(name), self.parameter(name)
        if sheet is None:
            self.kept[name] = value
        else:
            sheet.write(name, fields.said(parameter, value), fields.mode(parameter, value))

    def given(self) -> dict[str, Any]:
        """What jobs.parse is given: texts as on the command line, values where a control has them."""
        given = dict(self.kept)
        for sheet in self.sheets:
            for name, held in sheet.said.items():
                given[name] = fields.given_by(self.parameters[name], held, sheet.modes[name])
        return given

    def text(self, name: str) -> str:
        """The text that a field holds; "" for anything else."""
        sheet = self.sheet_of(name)
        held = sheet.said[name] if sheet is not None else self.kept[name]
        return held if isinstance(held, str) else ""

    def collections(self) -> tuple[str, ...]:
        """The collections that this run is about."""
        named = [p.name for p in self.parameters.values() if p.references == ("collection",)]
        named += ["collection"] if "collection" in self.parameters and "collection" not in named else []
        return tuple(text for name in named if (text := self.text(name)))

    def _made(self, advanced: tuple[str, ...] | None) -> list[Sheet]:
        for name in advanced or ():
            self.parameter(name)
        every = [f for f in fields.of(self.contract) if f.name not in self.kept]
        if advanced is not None:
            every = [replace(field, advanced=field.name in advanced) for field in every]
        if all(field.advanced for field in every):
            every = [replace(field, advanced=False) for field in every]
        groups = [("", [f for f in every if not f.advanced]), (MORE, [f for f in every if f.advanced])]
        return [self._sheet(title, group) for title, group in groups if group]

    def _sheet(self, title: str, group: list[Field]) -> Sheet:
        modes = {f.name: fields.mode(p := self.parameters[f.name], p.default) for f in group}
        return Sheet(group, {f.name: f.default for f in group}, modes=modes, folded=title, **self._calls)
