"""What a request asks of the archive, as a search of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from geolab.catalog import Search, cql, parse_bbox
from geolab.errors import BadInput, one_line

USUAL_LIMIT, LARGEST_LIMIT = 100, 1000
LISTS = ("ids", "collections")
KNOWN = {*LISTS, "bbox", "intersects", "datetime", "limit", "query", "filter", "filter-lang", "filter-crs"}
KNOWN |= {"sortby", "token", "fields", "conf"}
OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}

Body = Mapping[str, Any]


def from_text(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a GET request as the body of a POST request. Raises BadInput."""
    body: dict[str, Any] = dict(parameters)
    for name in LISTS:
        if name in body:
            body[name] = [part for part in body[name].split(",") if part]
    if "bbox" in body:
        body["bbox"] = parse_bbox(body["bbox"])
    for name in ("intersects", "query"):
        if name in body:
            body[name] = _json(name, body[name])
    if body.get("filter-lang") == "cql2-json" and "filter" in body:
        body["filter"] = _json("filter", body["filter"])
    if "sortby" in body:
        body["sortby"] = [part.strip() for part in body["sortby"].split(",")]
    if "limit" in body:
        body["limit"] = _whole(body["limit"])
    return body


def search(body: Any) -> Search:
    """The search that a body asks for. Raises BadInput for anything in it that is not understood."""
    if not isinstance(body, Mapping):
        raise BadInput("body", found=one_line(repr(body), 60), expected="a JSON object")
    if unknown := set(body) - KNOWN:
        names = one_line(", ".join(sorted(map(str, unknown))), 100)
        raise BadInput("search", found=names, expected=f"some of {', '.join(sorted(KNOWN))}")
    given = {name: value for name, value in body.items() if value is not None}
    limit = given.get("limit", USUAL_LIMIT)
    return Search(
        ids=given.get("ids"),
        collections=given.get("collections"),
        bbox=_list("bbox", given.get("bbox")),
        intersects=given.get("intersects"),
        datetime=_text("datetime", given.get("datetime")),
        filter=_filter(given),
        sortby=_sortby(given.get("sortby", ())),
        limit=min(limit, LARGEST_LIMIT) if isinstance(limit, int) else limit,
        token=_text("token", given.get("token")),
    )


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(name, found=one_line(repr(text), 80), expected="JSON") from error


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BadInput("limit", found=one_line(repr(text), 40), expected="a whole number") from error


def _list(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, list | tuple):
        raise BadInput(name, found=one_line(repr(value), 60), expected="a list")
    return value


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadInput(name, found=one_line(repr(value), 60), expected="a text")
    return value


def _sortby(value: Any) -> tuple[str, ...]:
    """As +name and -name, from such texts or from objects with field and direction."""
    names = []
    for key in _list("sortby", value) or ():
        if isinstance(key, Mapping):
            name, direction = key.get("field"), key.get("direction", "asc")
            if direction not in ("asc", "desc"):
                raise BadInput("sortby", found=one_line(repr(key), 60), expected="direction asc or desc")
            names.append(f"{'-' if direction == 'desc' else '+'}{name}")
        else:
            names.append(key)
    return tuple(names)


def _filter(body: Body) -> Any:
    """The filter and the query of a body, both of which must hold, as CQL2."""
    given, query = body.get("filter"), body.get("query")
    if given is not None and not isinstance(given, str | Mapping):
        raise BadInput("filter", found=one_line(repr(given), 60), expected="CQL2 as text or JSON")
    if not query:
        return given
    conditions = _conditions(query)
    if given is not None:
        conditions.append(cql.parse(given))
    return conditions[0] if len(conditions) == 1 else {"op": "and", "args": conditions}


def _conditions(query: Any) -> list[Any]:
    """The query extension's {property: {operator: value}} as CQL2."""
    if not isinstance(query, Mapping) or not all(isinstance(tests, Mapping) for tests in query.values()):
        raise BadInput("query", found=one_line(repr(query), 80), expected="{property: {operator: value}}")
    return [_condition(name, *test) for name, tests in query.items() for test in tests.items()]


def _condition(name: str, operator: str, value: Any) -> Any:
    field = {"property": name}
    if operator in OPERATORS:
        return {"op": OPERATORS[operator], "args": [field, value]}
    if operator == "in":
        return {"op": "in", "args": [field, value]}
    if operator in PATTERNS and isinstance(value, str):
        plain = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return {"op": "like", "args": [field, PATTERNS[operator].format(plain)]}
    known = ", ".join([*OPERATORS, "in", *PATTERNS])
    raise BadInput("query", found=one_line(f"{name} {operator} {value!r}", 80), expected=f"one of {known}")
