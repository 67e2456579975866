"""The routes of the STAC API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from geolab.catalog import Page, Search
from geolab.errors import BadInput, GeolabError, NotFound
from geolab.service.archive import about, question
from geolab.service.archive.faults import Faults
from geolab.service.archive.holdings import Document, Holdings

GEOJSON = "application/geo+json"
LARGEST_BODY = 1_000_000


def make_app(holdings: Holdings, faults: Faults) -> Starlette:
    """The application that answers for an archive."""
    api = _Api(holdings)
    routes = [
        Route("/", api.landing),
        Route("/conformance", api.conformance),
        Route("/api", api.routes),
        Route("/queryables", api.queryables),
        Route("/collections", api.collections),
        Route("/collections/{collection}", api.collection),
        Route("/collections/{collection}/items", api.items),
        Route("/collections/{collection}/items/{item}", api.item),
        Route("/search", api.search, methods=["GET", "POST"]),
        Route("/assets/{collection}/{item}/{name}", api.asset),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        Middleware(_Failing, faults=faults),
    ]
    handlers = {NotFound: _not_found, GeolabError: _mistake, HTTPException: _http_error}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


class _Failing:
    """Answers for the application where a fault is on."""

    def __init__(self, app: ASGIApp, faults: Faults):
        self.app, self.faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = self.faults.status(scope["path"]) if scope["type"] == "http" else None
        if status is None:
            await self.app(scope, receive, send)
        else:
            await _error(status, "a fault that was asked for")(scope, receive, send)


class _Api:
    """What the routes call."""

    def __init__(self, holdings: Holdings):
        self.holdings, self.origin = holdings, holdings.origin

    def landing(self, _request: Request) -> Response:
        facts = {key: value for key, value in self.holdings.about.items() if key != "links"}
        names = [c["id"] for c in self.holdings.catalog.collections()]
        links = [
            self._link("self", "/"),
            self._link("root", "/"),
            self._link("conformance", "/conformance"),
            self._link("service-desc", "/api", about.OPENAPI),
            self._link(about.QUERYABLES, "/queryables", "application/schema+json"),
            self._link("data", "/collections"),
            {**self._link("search", "/search", GEOJSON), "method": "GET"},
            {**self._link("search", "/search", GEOJSON), "method": "POST"},
            *(self._link("child", f"/collections/{quote(name, safe='')}") for name in names),
        ]
        return JSONResponse({**facts, "conformsTo": about.CONFORMANCE, "links": links})

    def conformance(self, _request: Request) -> Response:
        return JSONResponse({"conformsTo": about.CONFORMANCE})

    def routes(self, _request: Request) -> Response:
        title = str(self.holdings.about.get("title", "STAC API"))
        return JSONResponse(about.openapi(title), media_type=about.OPENAPI)

    def queryables(self, _request: Request) -> Response:
        found = about.queryables(f"{self.origin}/queryables")
        return JSONResponse(found, media_type="application/schema+json")

    def collections(self, _request: Request) -> Response:
        found = self.holdings.catalog.collections()
        links = [self._link("self", "/collections"), self._link("root", "/")]
        return JSONResponse({"collections": found, "links": links})

    def collection(self, request: Request) -> Response:
        return JSONResponse(self._collection(request.path_params["collection"]))

    def items(self, request: Request) -> Response:
        name = self._collection(request.path_params["collection"])["id"]
        given = question.from_text(request.query_params)
        if "collections" in given:
            raise BadInput("items", found="collections", expected="the one collection of the path")
        path = f"/collections/{quote(name, safe='')}/items"
        return self._found(question.search({**given, "collections": [name]}), path, request.query_params)

    def item(self, request: Request) -> Response:
        name = self._collection(request.path_params["collection"])["id"]
        item = self.holdings.catalog.get(request.path_params["item"], name)
        return JSONResponse(item, media_type=GEOJSON)

    async def search(self, request: Request) -> Response:
        if request.method != "POST":
            asked = question.search(question.from_text(request.query_params))
            return await run_in_threadpool(self._found, asked, "/search", request.query_params)
        body = await _body(request)
        return await run_in_threadpool(self._found, question.search(body), "/search", None, body)

    def asset(self, request: Request) -> Response:
        names = (request.path_params[part] for part in ("collection", "item", "name"))
        path = self.holdings.asset(*names)
        if path is None:
            raise NotFound("asset", request.url.path)
        return FileResponse(path, media_type="image/tiff")

    # ------------------------------------------------------------ parts of answers

    def _collection(self, name: str) -> Document:
        for found in self.holdings.catalog.collections():
            if found["id"] == name:
                return found
        raise NotFound("collection", name)

    def _found(
        self, asked: Search, path: str, parameters: Mapping[str, str] | None, body: Document | None = None
    ) -> Response:
        """A page of items; it links to the next one in the way it was asked for."""
        page = self.holdings.catalog.search(asked)
        links = [self._link("root", "/"), self._link("self", path, GEOJSON)]
        if page.next_token is not None:
            links.append(self._next(path, page, parameters, body))
        answer = {
            "type": "FeatureCollection",
            "features": page.items,
            "links": links,
            "numberMatched": page.matched,
            "numberReturned": len(page.items),
        }
        return JSONResponse(answer, media_type=GEOJSON)

    def _next(
        self, path: str, page: Page, parameters: Mapping[str, str] | None, body: Document | None
    ) -> Document:
        if body is None:
            asked = urlencode({**(parameters or {}), "token": page.next_token})
            return {**self._link("next", f"{path}?{asked}", GEOJSON), "method": "GET"}
        link = self._link("next", path, GEOJSON)
        return {**link, "method": "POST", "body": {**body, "token": page.next_token}}

    def _link(self, rel: str, path: str, kind: str = "application/json") -> Document:
        return {"rel": rel, "href": self.origin + path, "type": kind}


async def _body(request: Request) -> Any:
    """The JSON of a POST request. Raises BadInput."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > LARGEST_BODY:
            raise BadInput("body", found="more", expected=f"at most {LARGEST_BODY} bytes")
    try:
        return json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadInput("body", found="text that is none", expected="JSON") from error


# ---------------------------------------------------------------- errors


def _error(status: int, words: str) -> JSONResponse:
    return JSONResponse({"code": str(status), "description": words}, status_code=status)


def _not_found(_request: Request, error: Exception) -> Response:
    return _error(404, str(error))


def _mistake(_request: Request, error: Exception) -> Response:
    return _error(400 if isinstance(error, BadInput) else 500, str(error))


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)
