"""Axes: what the matrix is made of - cells of a grid, years, numbers, a column of a table, or a list."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from geolab.errors import GeolabError, one_line
from geolab.pipeline import templates
from geolab.pipeline.model import Axis, Value
from geolab.pipeline.yamlfile import Field

MOST_VALUES = 1_000_000
LONGEST_LABEL = 300
_YEARS = re.compile(r"(-?\d{1,4})(?:\s*(?:-|\.\.)\s*(\d{1,4}))?")
_FORMS = ("grid", "bbox", "years", "range", "table")
_WITH = {"bbox": ("side_m",), "table": ("column",)}

Look = Callable[[str], Any]


def axis(name: str, field: Field, look: Look, folder: Path) -> Axis:
    """The axis that a field describes. look: parameters by name; folder: that relative paths start from.

    Raises PipelineError.
    """
    try:
        values = tuple(_limited(field, _values(field, look, folder)))
    except GeolabError as error:
        raise error if getattr(error, "file", "") == field.file else field.error(str(error)) from error
    except (LookupError, ValueError) as error:
        raise field.error(one_line(error.args[0] if error.args else error)) from error
    if not values:
        raise field.error("has no value; give at least one")
    return _distinct(field, Axis(name, values))


def path_of(field: Field) -> Field | None:
    """The field of an axis that holds a path, if it has one."""
    mapping = field.value if isinstance(field.value, dict) else {}
    return mapping.get("grid") or mapping.get("table")


def _values(field: Field, look: Look, folder: Path) -> Iterable[Any]:
    if not isinstance(field.value, dict):
        found = templates.fill(field.plain, look)
        if isinstance(found, list):
            return found
        what = f"{found!r} is no list; write [a, b], {{years: 2021-2024}} or {{grid: cells.gpkg}}"
        raise field.error(what)
    form = next((name for name in field.value if name in _FORMS), "")
    allowed = (form, *_WITH.get(form, ()))
    for name, one in field.value.items():
        if not form or name not in allowed:
            raise one.error(f"an axis is a list, or a mapping with one of {', '.join(_FORMS)}")
    for name in allowed:
        if name not in field.value:
            raise field.error(f"{form} needs {name} beside it")
    filled = {name: templates.fill(one.plain, look) for name, one in field.value.items()}
    return _READERS[form](filled, folder)


def _limited(field: Field, values: Iterable[Any]) -> Iterator[Value]:
    for number, value in enumerate(values):
        if number >= MOST_VALUES:
            raise field.error(f"more than {MOST_VALUES:,} values; split the pipeline")
        if not isinstance(value, str | int | float) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            raise field.error(
                f"value {number + 1} is {one_line(repr(value), 60)}; expected a text or a number"
            )
        yield value


def _distinct(field: Field, found: Axis) -> Axis:
    """The axis, every label of which stands once and can be printed."""
    seen: set[str] = set()
    for value, one in zip(found.values, found.labels, strict=True):
        if one in seen:
            raise field.error(f"the value {one_line(one, 60)!r} stands twice; keep one")
        if not one.strip() or not one.isprintable() or len(one) > LONGEST_LABEL:
            what = f"expected a printable text of 1 to {LONGEST_LABEL} characters"
            raise field.error(f"the value {one_line(repr(value), 60)} names no place; {what}")
        seen.add(one)
    return found


# ---------------------------------------------------------------- one reader per form


def years(given: Any) -> list[int]:
    """The years of '2021-2024', '2018, 2021-2024', 2021 or a list. Raises ValueError."""
    parts = given if isinstance(given, list) else str(given).strip("[] ").split(",")
    found: list[int] = []
    for part in parts:
        ends = _YEARS.fullmatch(str(part).strip()) if type(part) in (str, int) else None
        if ends is None:
            raise ValueError(f"years is {one_line(repr(given), 60)}; expected 2021-2024, or a list of years")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first:
            raise ValueError(f"years is {part}; expected the earlier year first: {last}-{first}")
        found += range(first, last + 1)
    return found


def _range(given: Mapping[str, Any], _folder: Path) -> Iterator[Value]:
    """First to last, both included, by 1 or by the step that stands third."""
    ends = given["range"]
    numbers = (
        isinstance(ends, list) and len(ends) in (2, 3) and all(type(one) in (int, float) for one in ends)
    )
    if not numbers:
        raise ValueError(
            f"range is {one_line(repr(ends), 60)}; expected [first, last] or [first, last, step]"
        )
    first, last, step = (*ends, 1)[:3]
    if step == 0 or (last - first) / step < 0:
        raise ValueError(f"range {ends} never reaches its last value; change the sign of the step")
    count = min(math.floor((last - first) / step + 1e-9), MOST_VALUES) + 1
    for number in range(count):
        value = first + number * step
        yield round(value, 12) if isinstance(value, float) else value


def _grid(given: Mapping[str, Any], folder: Path) -> list[str]:
    from geolab.raster import cells  # rasterio loads with it

    return cells.ids(located(given["grid"], folder))


def _bbox(given: Mapping[str, Any], _folder: Path) -> list[str]:
    from geolab.raster import cells

    bbox, side_m = given["bbox"], given["side_m"]
    if not isinstance(bbox, list) or type(side_m) not in (int, float):
        raise ValueError("expected bbox: [west, south, east, north] in degrees and side_m: metres")
    return [cell.id for cell in cells.over(bbox, side_m=side_m)]


def _table(given: Mapping[str, Any], folder: Path) -> Iterable[Any]:
    path, column = located(given["table"], folder), given["column"]
    if path.suffix.lower() in (".parquet", ".pq"):
        return _of_parquet(path, column)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _of_csv(path, column)
    raise ValueError(f"the table {path.name} is neither .csv, .tsv nor .parquet")


def _of_csv(path: Path, column: Any) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            _check_column(path, column, rows.fieldnames or ())
            for row in rows:
                if row[column] is None:
                    raise ValueError(f"{path.name}, line {rows.line_num}: no value in the column {column}")
                yield row[column]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"the table {path} can't be read: {error}") from error


def _of_parquet(path: Path, column: Any) -> list[Any]:
    import pyarrow  # half a second
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        _check_column(path, column, file.schema_arrow.names)
        if file.metadata.num_rows > MOST_VALUES:
            raise ValueError(f"the table {path.name} has more than {MOST_VALUES:,} rows; split it")
        return file.read(columns=[column]).column(column).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"the table {path} can't be read: {error}") from error


def _check_column(path: Path, column: Any, known: Iterable[str]) -> None:
    if column not in known:
        raise ValueError(f"the table {path.name} has no column {column!r}; it has {', '.join(known)}")


def located(path: Any, folder: Path) -> Path:
    """The path, from the folder on if it is relative. Raises ValueError."""
    if not isinstance(path, str) or not path or not path.isprintable():
        raise ValueError(f"{one_line(repr(path), 60)} is no path of a file")
    return folder / Path(path).expanduser()


_READERS: dict[str, Callable[[Mapping[str, Any], Path], Iterable[Any]]] = {
    "grid": _grid,
    "bbox": _bbox,
    "years": lambda given, _: years(given["years"]),
    "range": _range,
    "table": _table,
}
