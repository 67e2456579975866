"""What the API says of itself: what it conforms to, its routes, what can be asked for."""

from __future__ import annotations

from typing import Any

CONFORMANCE = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0-rc.3/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
]
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_ROUTES = {
    "/": "The catalogue",
    "/conformance": "What the API conforms to",
    "/queryables": "What filters may name",
    "/collections": "The collections",
    "/collections/{collection}": "A collection",
    "/collections/{collection}/items": "Items of a collection, in pages",
    "/collections/{collection}/items/{item}": "An item",
    "/search": "Items by place, time and properties, in pages",
    "/assets/{collection}/{item}/{name}": "A file of an item; ranges of bytes are answered",
}


def openapi(title: str) -> dict[str, Any]:
    """The routes as an OpenAPI document."""
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1.0.0"},
        "paths": {path: _operations(path, words) for path, words in _ROUTES.items()},
    }


def _operations(path: str, words: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    operation: dict[str, Any] = {"summary": words, "responses": {"200": {"description": words}}}
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return dict.fromkeys(("get", "post") if path == "/search" else ("get",), operation)


def queryables(address: str) -> dict[str, Any]:
    """What filters may name: every property of the items."""
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": address,
        "title": "Queryables",
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "datetime": {"type": "string", "format": "date-time"},
            "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100},
        },
        "additionalProperties": True,
    }
