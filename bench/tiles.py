"""Tiles of a large COG by geolab's server extension and by TiTiler: `python bench/tiles.py [--tiles 240]`.

The same file, the same tiles in the same order, the same format; one server after the other, in turns,
each asked over HTTP by 8 connections as a browser keeps open. TiTiler runs in uvicorn with the GDAL
settings that its documentation recommends, from a virtual environment that is made here at first
(titiler.core and uvicorn, by uv). "cold": a tile that nobody asked for before; "again": one that was.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import psutil
import rasterio
from rasterio.transform import from_origin

from geolab import catalog, raster, settings
from geolab.catalog import items

SIDE_PX, GSD_M, WEST, NORTH = 10_240, 0.5, 500_000, 5_300_000
EDGE_M = 20037508.342789244
CONNECTIONS = 8
LIMITS = "30,220"
APP = """
from fastapi import FastAPI
from titiler.core.factory import TilerFactory
app = FastAPI()
app.include_router(TilerFactory().router)
"""
GDAL = {  # developmentseed.org/titiler/advanced/performance_tuning
    "GDAL_CACHEMAX": "200", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": "5000000", "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
}  # fmt: skip


def write_scene(path: Path) -> None:
    """An RGB image with structure from 1 to 1,000 pixels, as a COG."""
    generator = np.random.default_rng(4)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        raw = Path(folder, "raw.tif")
        profile: dict[str, Any] = {
            "driver": "GTiff", "width": SIDE_PX, "height": SIDE_PX, "count": 3, "dtype": "uint8", "nodata": 0,
            "crs": "EPSG:32632", "transform": from_origin(WEST, NORTH, GSD_M, GSD_M), "tiled": True,
        }  # fmt: skip
        with rasterio.open(raw, "w", **profile) as target:
            for band in (1, 2, 3):
                target.write(_field(generator), band)
        raster.make_cog(str(raw), path)


def _field(generator: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import zoom

    field = np.full((SIDE_PX, SIDE_PX), 40, np.float32)
    for cell_px, height in ((1024, 70), (128, 60), (16, 40), (4, 20)):
        small = generator.random((SIDE_PX // cell_px,) * 2, dtype=np.float32)
        field += height * zoom(small, cell_px, order=1, grid_mode=True, mode="nearest")
    field += generator.normal(0, 2, field.shape).astype(np.float32)
    return np.clip(field, 1, 255).astype(np.uint8)


def choose(count: int, seed: int) -> list[tuple[int, int, int]]:
    """Tiles as a reader asks for them: screens of 4 x 3 neighbours at zooms 13 to 19, each tile once."""
    from pyproj import Transformer

    chance, found = random.Random(seed), dict[tuple[int, int, int], None]()
    to_mercator = Transformer.from_crs(32632, 3857, always_xy=True)
    extent = SIDE_PX * GSD_M
    while len(found) < count:
        z = chance.choice([13, 14, 15, 16, 17, 18, 19])
        place = WEST + chance.uniform(0.1, 0.9) * extent, NORTH - chance.uniform(0.1, 0.9) * extent
        x, y = to_mercator.transform(*place)
        side = 2 * EDGE_M / 2**z
        column, row = int((x + EDGE_M) / side), int((EDGE_M - y) / side)
        for step in range(12):
            tile = (column + step % 4, row + step // 4)
            middle = (tile[0] + 0.5) * side - EDGE_M, EDGE_M - (tile[1] + 0.5) * side
            easting, northing = to_mercator.transform(*middle, direction="INVERSE")
            if 0 < easting - WEST < extent and 0 < NORTH - northing < extent:
                found.setdefault((z, *tile))
    return list(found)[:count]


# ---------------------------------------------------------------- servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(
    command: list[str], environment: dict[str, str], url: str, headers: dict[str, str]
) -> Iterator[int]:
    """A server that answers at `url`; its process id."""
    with tempfile.NamedTemporaryFile("w+b") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(600):
                try:
                    if httpx.get(url, headers=headers, trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if process.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def geolab_server(folder: Path, scene: Path) -> Iterator[tuple[str, str, dict[str, str], int]]:
    """(address before z, query, headers, process id)."""
    home = folder / "workspace"
    info = raster.read_info(str(scene))
    item = items.item(
        "scene", collection="bench", geometry=raster.footprint_lonlat(info), datetime="2024-08-15T10:00:00Z",
        properties={"title": "scene"}, assets={"data": {"href": str(scene), "roles": ["data"]}},
    )  # fmt: skip
    catalog.open_catalog(settings.load(home, environ={})).put([item])
    port, token = free_port(), secrets.token_hex(16)
    config = Path(__file__).parents[1] / "jupyter_config" / "jupyter_server_config.py"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "GEOLAB", "VOILA"))}
    environment |= {"GEOLAB_HOME": str(home), "HOME": str(folder), "JUPYTER_TOKEN": token}
    command = [
        sys.executable, "-m", "jupyter_server", f"--config={config}", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}",
        "--ServerApp.log_level=WARN",
    ]  # fmt: skip
    headers = {"Authorization": f"token {token}"}
    url = f"http://127.0.0.1:{port}"
    with running(command, environment, f"{url}/api/status", headers) as pid:
        yield f"{url}/geolab/tiles/bench/scene/data", urlencode([("rescale", LIMITS)]), headers, pid


@contextmanager
def titiler_server(python: Path, folder: Path, scene: Path) -> Iterator[tuple[str, str, dict[str, str], int]]:
    (folder / "bench_titiler.py").write_text(APP)
    port = free_port()
    command = [str(python), "-m", "uvicorn", "bench_titiler:app", "--host", "127.0.0.1", "--port", str(port),
               "--log-level", "warning", "--app-dir", str(folder)]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    query = urlencode([("url", str(scene)), ("rescale", LIMITS)])
    with running(command, dict(os.environ) | GDAL, f"{url}/docs", {}) as pid:
        yield f"{url}/tiles/WebMercatorQuad", query, {}, pid


def environment(folder: Path) -> Path:
    """The Python of a virtual environment with TiTiler, made at first."""
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or "uv"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        packages = ["titiler.core", "uvicorn"]
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    return python


# ---------------------------------------------------------------- measuring


class Client:
    """Connections that stay open, one for each thread."""

    def __init__(self, address: str, query: str, headers: dict[str, str]):
        self._address, self._query, self._headers = address, query, headers
        self._mine = threading.local()

    def tile(self, place: tuple[int, int, int], form: str) -> float:
        """Milliseconds until the whole tile is here."""
        if not hasattr(self._mine, "http"):
            self._mine.http = httpx.Client(headers=self._headers, trust_env=False, timeout=120)
        z, x, y = place
        begin = time.perf_counter()
        answer = self._mine.http.get(f"{self._address}/{z}/{x}/{y}.{form}?{self._query}")
        took = (time.perf_counter() - begin) * 1000
        if answer.status_code != 200 or not answer.headers["content-type"].startswith("image/"):
            raise RuntimeError(f"{answer.status_code} {answer.text[:300]}")
        return took


def measure(client: Client, chosen: list[tuple[int, int, int]], form: str) -> tuple[float, list[float]]:
    """(tiles a second, milliseconds of each)."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        took = list(pool.map(lambda place: client.tile(place, form), chosen))
    return len(chosen) / (time.perf_counter() - begin), took


def processor_s(pid: int) -> float:
    """Seconds of processor that a server has used so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@dataclass
class Measured:
    """What one server did with one kind of tiles, over all turns."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)  # per tile

    def line(self) -> str:
        ordered = sorted(self.took)
        times = f"p50 {statistics.median(ordered):5.0f} ms  p95 {ordered[int(len(ordered) * 0.95)]:5.0f} ms"
        rate, work = statistics.median(self.rates), statistics.median(self.processor_ms)
        return f"{rate:6.1f} tiles/s  {times}  {work:5.1f} ms of processor a tile"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiles", type=int, default=240, help="in each turn")
    parser.add_argument("--turns", type=int, default=3, help="with tiles of their own each")
    parser.add_argument("--formats", nargs="+", default=["png", "webp", "jpg"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "geolab-bench-tiles"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    scene = asked.folder / "scene.tif"
    if not scene.exists():
        write_scene(scene)
    python = environment(asked.folder / "titiler")
    print(f"{scene}: {SIDE_PX} px, {scene.stat().st_size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")
    with (
        tempfile.TemporaryDirectory() as scratch,
        geolab_server(Path(scratch), scene) as ours,
        titiler_server(python, Path(scratch), scene) as theirs,
    ):
        servers = {"geolab": ours, "TiTiler": theirs}
        clients = {name: Client(*server[:3]) for name, server in servers.items()}
        for client in clients.values():
            measure(client, choose(16, seed=999), "png")  # imports and compiles
        for form in asked.formats:
            compare(clients, {name: server[3] for name, server in servers.items()}, form, asked)
        for name, server in servers.items():
            print(f"{name}: {psutil.Process(server[3]).memory_info().rss / 1e6:.0f} MB")
        print(f"load {os.getloadavg()[0]:.1f}")


def compare(clients: dict[str, Client], pids: dict[str, int], form: str, asked: argparse.Namespace) -> None:
    found: dict[tuple[str, str], Measured] = {}
    for turn in range(asked.turns):
        chosen = choose(asked.tiles, seed=turn)
        for name in list(clients) if turn % 2 else list(clients)[::-1]:
            for kind in ("cold", "again"):
                one, before = found.setdefault((name, kind), Measured()), processor_s(pids[name])
                rate, took = measure(clients[name], chosen, form)
                one.rates.append(rate)
                one.took += took
                one.processor_ms.append((processor_s(pids[name]) - before) / len(chosen) * 1000)
    for name, kind in sorted(found):
        print(f"{name:8} {form:5} {kind:6} {found[name, kind].line()}")
    for kind in ("cold", "again"):
        ours, theirs = found["geolab", kind], found["TiTiler", kind]
        ratio = statistics.median(ours.rates) / statistics.median(theirs.rates)
        work = statistics.median(theirs.processor_ms) / statistics.median(ours.processor_ms)
        print(
            f"{form} {kind}: {ratio:.1f} times TiTiler's tiles, its processor time / ours {work:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
