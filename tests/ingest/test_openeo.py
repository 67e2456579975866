"""The second source, against an openEO back-end on loopback that checks and computes the process graph."""

from __future__ import annotations

import base64
import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geolab.errors import BadInput, FileRejected, GridMismatch
from geolab.ingest import acquire, composite
from geolab.raster import cells

CELL = cells.make("c1", 32632, left=690_000, top=5_320_000, width=12, height=9, gsd_m=10)
BANDS = ("blue", "green", "red", "nir", "swir16")


class Backend:
    """Scenes in memory: [time, band, y, x] numbers, [time, y, x] classes; a slow, literal interpreter."""

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        self.stored = rng.integers(200, 6000, (6, 5, 9, 12)).astype(float)
        self.classes = rng.choice([0, 3, 4, 5, 6, 9, 10], (6, 9, 12))
        self.shift_m = 0.0
        self.graphs: list[dict] = []
        self.log: list[tuple[str, str]] = []
        self.url = ""

    def result(self, graph: dict[str, dict]) -> np.ndarray:
        """[band, y, x] of the node that is saved."""
        self.graphs.append(graph)
        values: dict[str, Any] = {}

        def value(argument: Any) -> Any:
            return (
                node(argument["from_node"])
                if isinstance(argument, dict) and "from_node" in argument
                else argument
            )

        def node(name: str) -> Any:
            if name not in values:
                step = graph[name]
                arguments = {key: value(one) for key, one in step["arguments"].items()}
                values[name] = getattr(self, "do_" + step["process_id"])(**arguments)
            return values[name]

        saved = next(name for name, step in graph.items() if step["process_id"] == "save_result")
        return node(saved)

    def do_load_collection(
        self, id: str, spatial_extent: dict, temporal_extent: list, bands: list, **more: Any
    ) -> Any:
        assert id == "SENTINEL2_L2A"
        assert spatial_extent == {
            "west": 690_000, "south": 5_319_910, "east": 690_120, "north": 5_320_000, "crs": 32632
        }  # fmt: skip
        assert temporal_extent == ["2021-06-01", "2021-09-01"]
        assert more["properties"]["eo:cloud_cover"]["process_graph"]
        picked = [self.stored[:, BANDS.index(b)] if b in BANDS else self.classes for b in bands]
        return {b: p.astype(float) for b, p in zip(bands, picked, strict=True)}

    def do_reduce_dimension(self, data: Any, dimension: str, reducer: dict, **_: Any) -> Any:
        steps = reducer["process_graph"]
        if dimension == "t":
            (step,) = steps.values()
            reduce = {"median": slow_median, "count": lambda v: np.isfinite(v).sum(axis=0)}[
                step["process_id"]
            ]
            return {b: reduce(v) for b, v in data.items()}
        assert dimension == "bands"
        done: dict[str, np.ndarray] = {}

        def operand(one: Any) -> Any:
            return done[one["from_node"]] if isinstance(one, dict) else one

        for name, step in steps.items():
            a, process = step["arguments"], step["process_id"]
            if process == "array_element":
                done[name] = list(data.values())[a["index"]] if "index" in a else data[a["label"]]
            elif process == "neq":
                done[name] = operand(a["x"]) != operand(a["y"])
            else:
                assert process == "and"
                done[name] = operand(a["x"]) & operand(a["y"])
        return done[next(name for name, step in steps.items() if step.get("result"))]

    def do_filter_bands(self, data: Any, bands: list) -> Any:
        return {band: data[band] for band in bands}

    def do_mask(self, data: Any, mask: np.ndarray, **_: Any) -> Any:
        return {band: np.where(mask, np.nan, values) for band, values in data.items()}

    def do_resample_spatial(self, data: Any, resolution: float, projection: int, **_: Any) -> Any:
        assert (resolution, projection) == (10, 32632)
        return data

    def do_save_result(self, data: Any, format: str, **_: Any) -> np.ndarray:
        assert format == "GTiff"
        return np.stack(list(data.values())).astype(np.float32)

    def geotiff(self, pixels: np.ndarray) -> bytes:
        transform = rasterio.transform.from_origin(690_000 + self.shift_m, 5_320_000, 10, 10)
        with rasterio.MemoryFile() as memory:
            with memory.open(
                driver="GTiff", width=12, height=9, count=len(pixels), dtype="float32", crs="EPSG:32632",
                transform=transform, nodata=np.nan,
            ) as target:  # fmt: skip
                target.write(pixels)
            return memory.read()


def slow_median(stack: np.ndarray) -> np.ndarray:
    found = np.full(stack.shape[1:], np.nan)
    for place in np.ndindex(found.shape):
        seen = [v for v in stack[(slice(None), *place)] if not np.isnan(v)]
        found[place] = statistics.median(seen) if seen else np.nan
    return found


@contextmanager
def serve(backend: Backend) -> Iterator[None]:
    documents = {
        "/": {
            "api_version": "1.2.0", "stac_version": "1.0.0", "id": "t", "title": "t", "description": "t",
            "backend_version": "1", "links": [],
            "endpoints": [
                {"path": path, "methods": [method]}
                for path, method in (("/collections/{collection_id}", "GET"), ("/result", "POST"),
                                     ("/credentials/basic", "GET"))
            ],
        },
        "/collections/SENTINEL2_L2A": {
            "id": "SENTINEL2_L2A", "stac_version": "1.0.0", "description": "t",
            "license": "other", "links": [], "type": "Collection",
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
            "cube:dimensions": {
                "x": {"type": "spatial", "axis": "x"}, "y": {"type": "spatial", "axis": "y"},
                "t": {"type": "temporal"}, "bands": {"type": "bands", "values": [*BANDS, "scl"]},
            },
            "summaries": {"eo:bands": [{"name": name} for name in (*BANDS, "scl")], "eo:cloud_cover": {}},
        },
        "/credentials/basic": {"access_token": "t0ken"},
        "/file_formats": {"input": {}, "output": {"GTiff": {"gis_data_types": ["raster"], "parameters": {}}}},
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            backend.log.append((self.path, self.headers.get("authorization", "")))
            document = documents.get(self.path.split("?")[0].rstrip("/") or "/")
            code = {"code": "CollectionNotFound", "message": "there is no such collection"}
            self.answer(200 if document else 404, json.dumps(document or code).encode(), "application/json")

        def do_POST(self) -> None:
            backend.log.append((self.path, self.headers.get("authorization", "")))
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer(200, backend.geotiff(backend.result(asked["process"]["process_graph"])), "image/tiff")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    backend.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    for name in ("OPENEO_AUTH_METHOD", "OPENEO_USERNAME", "OPENEO_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    made = Backend()
    with serve(made):
        yield made


def run(backend: Backend, out: Path, **other: Any) -> acquire.Acquired:
    facts = {"collection": "SENTINEL2_L2A", "year": 2021, "source": "openeo", "min_looks": 2} | other
    *_, last = acquire.steps(acquire.Request(cell=CELL, api=backend.url, **facts), out)
    assert last.acquired is not None
    return last.acquired


def test_the_back_end_computes_what_the_composite_is_here(backend: Backend, tmp_path: Path):
    made = run(backend, tmp_path)
    twin = composite.compose(backend.stored.astype(np.float32), composite.clear(backend.classes), min_looks=2)
    with rasterio.open(made.composite) as found, rasterio.open(made.looks) as looks:
        assert np.allclose(found.read(), twin.pixels * 0.0001, atol=1e-6, equal_nan=True)
        assert np.isnan(found.read()).any()
        assert np.array_equal(looks.read(1), twin.looks)
        assert found.descriptions == BANDS
        assert found.tags()["GEOLAB_SOURCE"] == "openeo"
    assert made.clear_share == (twin.looks >= 2).mean()
    assert len(backend.graphs) == 2


def test_classes_that_count_as_clear_stand_in_the_graph(backend: Backend, tmp_path: Path):
    made = run(backend, tmp_path, clear=(4,), min_looks=1)
    with rasterio.open(made.looks) as looks:
        assert np.array_equal(looks.read(1), (backend.classes == 4).sum(axis=0))


def test_credentials_come_from_the_environment(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run(backend, tmp_path / "open")
    assert {sent for _, sent in backend.log} == {""}
    monkeypatch.setenv("OPENEO_USERNAME", "ada")
    monkeypatch.setenv("OPENEO_PASSWORD", "secret")
    run(backend, tmp_path / "known")
    basic = "Basic " + base64.b64encode(b"ada:secret").decode()
    assert ("/credentials/basic", basic) in backend.log
    assert [sent for path, sent in backend.log if path == "/result"][-1] == "Bearer basic//t0ken"


def test_another_grid_than_the_cells_is_refused(backend: Backend, tmp_path: Path):
    backend.shift_m = 4.0
    with pytest.raises(GridMismatch, match="another transform than c1"):
        run(backend, tmp_path)
    assert not list(tmp_path.glob("*.tif"))


def test_failures_of_the_back_end_are_one_line(backend: Backend, tmp_path: Path):
    with pytest.raises(FileRejected, match="there is no such collection"):
        run(backend, tmp_path, collection="NONE")
    with pytest.raises(BadInput, match="http:// or https://"):
        list(acquire.steps(acquire.Request(cell=CELL, api="file:///x", year=2021, source="openeo"), tmp_path))
    with pytest.raises(BadInput, match="has no such process"):
        run(backend, tmp_path, buffer_px=2)
    backend.classes[:] = 9
    with pytest.raises(BadInput, match="no pixel seen clear on 2 days"):
        run(backend, tmp_path)
    assert not list(tmp_path.glob("*.tif"))
