"""A small, real STAC API on loopback: items in pages, COGs over range requests, faults at will."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS

from geolab import raster
from geolab.raster.info import Info

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
]
PAGE = 3


@dataclass
class Api:
    """A running server. faults: path -> statuses that the next requests of it get; log: what was asked."""

    folder: Path
    url: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    collections: tuple[str, ...] = ("sentinel-2-l2a",)
    faults: dict[str, list[int]] = field(default_factory=dict)
    conforms: list[str] = field(default_factory=lambda: list(CONFORMS))
    log: list[str] = field(default_factory=list)

    def add(
        self, id: str, when: str, pixels: dict[str, np.ndarray], box: GeoBox, **facts: Any
    ) -> dict[str, Any]:
        """A scene: [y, x] arrays on the grid of `box`; one of fewer pixels has larger ones."""
        assets = {}
        for name, values in pixels.items():
            path = self.folder / f"{id}-{name}.tif"
            write(path, values, box, nodata=facts.get("nodata", 0))
            asset = {
                "href": f"{self.url}/files/{path.name}",
                "roles": ["data"],
                "type": "image/tiff; application=geotiff",
            }
            if name != "scl":
                scaling = facts.get(
                    "raster", {"scale": 0.0001, "offset": -0.1, "nodata": 0, "data_type": "uint16"}
                )
                asset |= {"raster:bands": [scaling]} if scaling else {}
            assets[name] = asset
        geometry = raster.footprint_lonlat(info_of(box))
        ring = np.array(geometry["coordinates"][0])
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": id, "collection": "sentinel-2-l2a",
            "geometry": geometry, "bbox": [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()],
            "properties": {"datetime": when, "eo:cloud_cover": facts.get("cloud", 10)},
            "assets": assets, "links": [],
        }  # fmt: skip
        self.items.append(item)
        return item

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(part) for part in asked["datetime"].split("/"))
        west, south, east, north = (float(edge) for edge in asked["bbox"])
        found = [
            item for item in self.items
            if item["collection"] in asked["collections"]
            and start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end
            and item["bbox"][0] < east and item["bbox"][2] > west
            and item["bbox"][1] < north and item["bbox"][3] > south
        ]  # fmt: skip
        at = int(asked.get("token", 0))
        links = []
        if at + PAGE < len(found):
            body = {**asked, "token": str(at + PAGE)}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": body}]
        return {"type": "FeatureCollection", "features": found[at : at + PAGE], "links": links}

    def document(self, path: str) -> dict[str, Any] | None:
        link = {"rel": "self", "href": self.url + path}
        root = {"rel": "root", "href": self.url + "/"}
        if path == "/":
            searches = [{"rel": "search", "href": f"{self.url}/search", "method": m} for m in ("GET", "POST")]
            return {
                "type": "Catalog", "id": "test", "stac_version": "1.0.0", "description": "test",
                "conformsTo": self.conforms,
                "links": [link, root, {"rel": "data", "href": f"{self.url}/collections"}, *searches],
            }  # fmt: skip
        if path == "/collections":
            return {
                "collections": [self.collection(name) for name in self.collections],
                "links": [link, root],
            }
        name = path.removeprefix("/collections/")
        return self.collection(name) if name in self.collections else None

    def collection(self, name: str) -> dict[str, Any]:
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        return {
            "type": "Collection", "id": name, "stac_version": "1.0.0", "description": name,
            "license": "other", "extent": extent,
            "links": [{"rel": "self", "href": f"{self.url}/collections/{name}"}],
        }  # fmt: skip


def info_of(box: GeoBox) -> Info:
    height, width = box.shape
    return Info(
        uri="", driver="", width=width, height=height, count=0, dtype="",
        crs=CRS.from_epsg(box.crs.to_epsg()), transform=box.transform, nodata=None,
        band_names=(), colorinterp=(), tags={},
    )  # fmt: skip


def write(path: Path, values: np.ndarray, box: GeoBox, *, nodata: float | None = 0) -> None:
    grid = info_of(box.zoom_to(values.shape))
    with raster.write_cog(path, like=grid, count=1, dtype=str(values.dtype), nodata=nodata) as writer:
        for window in raster.iter_windows(grid):
            writer.write(values[window.toslices()], window)


@contextmanager
def serve(folder: Path) -> Iterator[Api]:
    """The API of a folder, gone after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    api = Api(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["content-length"])))

        def answer(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            api.log.append(path)
            statuses = api.faults.get(path) or api.faults.get("*")
            if statuses:
                return self.send(statuses.pop(0), b"not now")
            if path.startswith("/files/"):
                return self.file(api.folder / Path(path).name)
            if path == "/search":
                asked = json.loads(body) if body else {k: v[0] for k, v in parse_qs(parts.query).items()}
                return self.send(200, json.dumps(api.search(asked)).encode(), "application/geo+json")
            document = api.document(path or "/")
            if document is None:
                return self.send(404, b"{}")
            return self.send(200, json.dumps(document).encode(), "application/json")

        def file(self, path: Path) -> None:
            if not path.is_file():
                return self.send(404, b"")
            data = path.read_bytes()
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
            if not asked:
                return self.send(200, data, "image/tiff")
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return self.send(416, b"")
            extra = {"content-range": f"bytes {first}-{last}/{len(data)}"}
            return self.send(206, data[first : last + 1], "image/tiff", extra)

        def send(self, status: int, body: bytes, kind: str = "text/plain", extra: dict | None = None) -> None:
            self.send_response(status)
            headers = {"content-type": kind, "content-length": str(len(body)), "accept-ranges": "bytes"}
            for name, value in (headers | (extra or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
