"""Pieces of SQL with the values of their question marks, and Python functions for SQL to call.

The text of a piece is made of constants of this package only; whatever a user wrote is a value.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

Function = Callable[[Any], Any]


class Piece(NamedTuple):
    """SQL text and the values of its question marks, in order."""

    text: str
    values: tuple[Any, ...] = ()


def piece(template: str, *parts: Piece | int | float | str) -> Piece:
    """The template with every `{}` replaced: by a piece, or by a question mark for a value."""
    pieces = [part if isinstance(part, Piece) else Piece("?", (part,)) for part in parts]
    text = template.format(*(p.text for p in pieces))
    return Piece(text, tuple(value for p in pieces for value in p.values))


def joined(word: str, pieces: Iterable[Piece]) -> Piece:
    """The pieces in brackets with AND or OR between, as a balanced tree: SQLite limits the depth."""
    pieces = list(pieces)
    if len(pieces) == 1:
        return pieces[0]
    middle = len(pieces) // 2
    return piece(f"({{}} {word} {{}})", joined(word, pieces[:middle]), joined(word, pieces[middle:]))


class Functions:
    """The Python functions of one statement; in SQL, `call(number, argument)`."""

    def __init__(self) -> None:
        self._known: list[Function] = []
        self._error: BaseException | None = None

    def call(self, function: Function, argument: Piece) -> Piece:
        """The function's result for the argument; null for null."""
        self._known.append(function)
        return piece("call({}, {})", len(self._known) - 1, argument)

    @contextmanager
    def on(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Make the functions known to the connection, and raise what they raise."""
        if self._known:
            connection.create_function("call", 2, self._run)
        try:
            yield
        except sqlite3.OperationalError:
            if self._error is not None:
                raise self._error from None
            raise

    def _run(self, number: int, argument: Any) -> Any:
        try:
            return None if argument is None else self._known[number](argument)
        except BaseException as error:
            self._error = error  # SQLite only says that a function raised
            raise


# ---------------------------------------------------------------- fields of the document

DOCUMENT = Piece("document")
_TOP = {"assets", "bbox", "collection", "geometry", "id", "links", "stac_extensions", "stac_version", "type"}


def members(name: str) -> tuple[str, ...]:
    """The way to a field in the item: ("properties", "gsd") for gsd; dots go deeper."""
    parts = tuple(name.split("."))
    if parts[0] in _TOP or (parts[0] == "properties" and len(parts) > 1):
        return parts
    return ("properties", *parts)


def path(name: str) -> str | None:
    """The field's path for SQLite's JSON functions; None if they can't express it."""
    parts = members(name)
    if any(char in '"\\' or ord(char) < 32 for part in parts for char in part):
        return None
    return "$" + "".join(f'."{part}"' for part in parts)


def member(document: str, parts: tuple[str, ...]) -> Any:
    """The member of a JSON document that lies that way; None if there is none."""
    found = json.loads(document)
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def scalar(value: Any) -> Any:
    """A JSON value as one that SQLite can compare: as its own json_extract would."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value
