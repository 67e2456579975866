"""Where very many items lie, as arrays: what a map needs of each before it asks for any in full."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geolab.catalog.select import Select
from geolab.catalog.sql import Piece, piece

COLUMNS = Piece(
    "collection, id, title, coalesce(datetime, start), west, south, east, north, "
    """json_extract(document, '$.properties."geolab:role"', '$.properties."geolab:position"', """
    """'$.properties."geolab:result"', '$.properties."geolab:product"')"""
)


def _none() -> NDArray[np.float64]:
    return np.empty((0, 4))


@dataclass(frozen=True)
class Places:
    """Items that lie somewhere, newest first; row i of everything is one item.

    names: (collection, id). titles: plain text, the id where there is none. roles: image, photo, ...
    kinds: what a product shows: mask, probability, splats, ...; "" for anything else. times: microseconds
    since 1970. boxes: [N, 4] west, south, east, north in degrees, east > 180 across the date line.
    points: [N, 2] longitude, latitude of a photo's camera, of anything else the middle of its box.
    matched: how many the search found in all; more than there are here when it was cut.
    """

    names: tuple[tuple[str, str], ...] = ()
    titles: tuple[str, ...] = ()
    roles: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "U8"))
    kinds: tuple[str, ...] = ()
    times: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    boxes: NDArray[np.float64] = field(default_factory=_none)
    points: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    matched: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def within(self, west: float, south: float, east: float, north: float) -> NDArray[np.intp]:
        """The rows whose box touches this one, newest first; the date line is no edge."""
        w, s, e, n = self.boxes.T
        rows = (n >= south) & (s <= north)
        across = np.zeros(len(self), bool)
        for turn in (-360, 0, 360):
            across |= (e + turn >= west) & (w + turn <= east)
        return np.flatnonzero(rows & across)


def select_places(statement: Select, limit: int) -> Piece:
    """Lines of COLUMNS of what the search finds and lies somewhere, newest first."""
    return piece(
        "SELECT {} FROM items WHERE west IS NOT NULL AND {} "
        "ORDER BY coalesce(datetime, start) DESC, collection, id LIMIT {}",
        COLUMNS,
        statement.where,
        limit,
    )


def read_places(connection: sqlite3.Connection, statement: Select, limit: int) -> Places:
    """The first `limit` places that the statement finds."""
    lines = connection.execute(*select_places(statement, limit)).fetchall()
    matched = len(lines)
    if matched == limit:
        matched = int(connection.execute(*statement.count()).fetchone()[0])
    return of_lines(lines, matched)


def of_lines(lines: list[tuple], matched: int) -> Places:
    """Places from lines of COLUMNS."""
    if not lines:
        return Places(matched=matched)
    collections, ids, titles, times, west, south, east, north, facts = zip(*lines, strict=True)
    told = [json.loads(text) for text in facts]
    boxes = np.array([west, south, east, north], np.float64).T
    boxes[:, 2] += np.where(boxes[:, 0] > boxes[:, 2], 360.0, 0.0)
    return Places(
        names=tuple(zip(collections, ids, strict=True)),
        titles=tuple(title or name for title, name in zip(titles, ids, strict=True)),
        roles=np.array([str(role or "image")[:16] for role, *_ in told]),
        kinds=tuple(str(result or product or "")[:40] for _, _, result, product in told),
        times=np.array(times, np.int64),
        boxes=boxes,
        points=_points(boxes, (position for _, position, *_ in told)),
        matched=matched,
    )


def _points(boxes: NDArray[np.float64], cameras: Iterable[object]) -> NDArray[np.float64]:
    points = np.column_stack([boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]]) / 2
    for row, camera in enumerate(cameras):
        if isinstance(camera, list) and len(camera) >= 2 and _plain(camera[0], 180) and _plain(camera[1], 90):
            points[row] = camera[:2]
    return points


def _plain(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most
