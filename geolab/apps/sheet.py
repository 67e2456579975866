"""Some fields of a form as one widget of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import traitlets as t

from geolab.apps import faults
from geolab.apps.fields import Field, Said
from geolab.apps.parts import assets
from geolab.apps.parts.base import Part

LONGEST = 1_000_000  # characters of one value that a page may send
_PARTS = ("dom", "pick", "fields")


@cache
def _script() -> str:
    return "\n".join((assets.STATIC / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS)


@cache
def _style() -> str:
    return (assets.STATIC / "fields.css").read_text(encoding="utf-8")


class Sheet(Part):
    """Fields. said: what each holds; problems: what is wrong with it; cards: what a name stands for.

    folded: the title of a fold around them, "" for none. on_find(name, text, page, number): someone looks
    for what a field may name; `found` answers. on_ask(name, what): someone wants to draw, upload or choose.
    """

    _esm = _script()
    _css = _style()

    fields = t.List(t.Dict()).tag(sync=True)
    said = t.Dict().tag(sync=True)
    problems = t.Dict().tag(sync=True)
    cards = t.Dict().tag(sync=True)
    looked = t.Dict().tag(sync=True)
    busy = t.Bool(False).tag(sync=True)
    folded = t.Unicode("").tag(sync=True)
    opened = t.Bool(False).tag(sync=True)

    def __init__(
        self,
        fields: Sequence[Field],
        said: Mapping[str, Said],
        *,
        modes: Mapping[str, str] | None = None,
        folded: str = "",
        on_find: Callable[[str, str, int, int], None] | None = None,
        on_ask: Callable[[str, str], None] | None = None,
    ):
        self.on_find, self.on_ask = on_find, on_ask
        self.shown = {field.name: field for field in fields}
        self._last: dict[str, Said] = {}
        super().__init__(fields=self._described(modes or {}), said=dict(said), folded=folded)

    def _described(self, modes: Mapping[str, str]) -> list[dict[str, Any]]:
        return [asdict(field) | {"mode": modes.get(name, "")} for name, field in self.shown.items()]

    def write(self, name: str, held: Said, mode: str = "") -> None:
        """Put something into a field. mode: how a list is written."""
        if (now := self._described({**self.modes, name: mode})) != self.fields:
            self.fields = now
        self.said = {**self.said, name: held}

    @property
    def modes(self) -> dict[str, str]:
        """How each list is written now."""
        return {field["name"]: field["mode"] for field in self.fields}

    def look_at(self, name: str) -> None:
        """Move the reader to a field."""
        self.looked = {"name": name, "number": self.looked.get("number", 0) + 1}

    def found(self, name: str, number: int, answer: Mapping[str, Any]) -> None:
        """Answer a search: rows, words, more, page, or a problem."""
        self.send({"kind": "found", "name": name, "number": number, **answer})

    def get_state(self, *args: Any, **named: Any) -> dict[str, Any]:
        return whole(super().get_state(*args, **named))

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the page."""
        super().send(whole(content), buffers)

    @t.validate("said")
    def _sound(self, proposal: Any) -> dict[str, Said]:
        """A browser may send anything: only what its control could hold is taken."""
        given = {name: held for name, held in proposal["value"].items() if name in self.shown}
        # `self.said` is what the page sent already (ipywidgets 8), so what was sound before is kept apart
        self._last = self._last | {name: held for name, held in given.items() if fits(self.shown[name], held)}
        return self._last

    def _heard(self, kind: str, content: Mapping[str, Any]) -> None:
        name = content.get("name")
        if not isinstance(name, str) or name not in self.shown:
            return
        field = self.shown[name]
        items = field.control == "lines" and field.reference == "item"
        asks = {"map": field.draws, "upload": field.upload, "items": items}
        if kind == "ask" and asks.get(str(content.get("what"))):
            faults.call(self.on_ask, name, content["what"])
        elif (
            kind == "find" and field.reference not in ("", "source") and isinstance(content.get("text"), str)
        ):
            page, number = (content.get(key) for key in ("page", "number"))
            if type(page) is int and type(number) is int and 0 <= page < 100_000:
                faults.call(self.on_find, name, content["text"][:200], page, number)


def whole(value: Any) -> Any:
    """The value with '?' for halves of characters, which no message to a page can hold."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(name): whole(one) for name, one in value.items()}
    return [whole(one) for one in value] if isinstance(value, list | tuple) else value


def fits(field: Field, held: Any) -> bool:
    """Whether a control can hold this."""
    if held is None:
        return field.optional
    if field.control == "switch":
        return isinstance(held, bool)
    if field.control == "checks":
        return isinstance(held, list) and all(isinstance(one, str) for one in held)
    return isinstance(held, str) and len(held) <= LONGEST
