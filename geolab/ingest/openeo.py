"""The second source: an openEO back-end masks and reduces; only the composite comes over the network.

The process graph is the twin of what `composite` does here: the clear classes of the scene classification,
the median over time, the count of clear looks. Credentials come from the environment only, by the names
that the openEO client knows (OPENEO_AUTH_METHOD, OPENEO_AUTH_CLIENT_ID, ...), or OPENEO_USERNAME and
OPENEO_PASSWORD.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from rasterio.windows import Window

from geolab import raster
from geolab.errors import BadInput, FileRejected, one_line
from geolab.ingest import acquire
from geolab.ingest.acquire import Request, Step, Tally

if TYPE_CHECKING:
    from openeo import Connection, DataCube

MOST_BYTES = 4_000_000_000  # of one answer
TIMEOUT_S = 1800  # of one answer: the back-end computes while we wait


def steps(request: Request, folder: Path) -> Iterator[Step]:
    """What `acquire.steps` does, by an openEO back-end."""
    if urlsplit(request.api).scheme not in ("http", "https"):
        raise BadInput(
            "api", found=repr(one_line(request.api, 80)), expected="an http:// or https:// address"
        )
    if request.buffer_px:
        raise BadInput(
            "buffer_px", found=request.buffer_px, expected="0 with openEO, which has no such process"
        )
    with _words(request.api), tempfile.TemporaryDirectory(prefix="geolab-openeo-") as scratch:
        yield Step(0, 3, f"asking {urlsplit(request.api).hostname} for {request.cell.id} in {request.year}")
        connection = _connect(request.api)
        seen = clear_cube(connection, request)
        paths = [Path(scratch, name) for name in ("median.tif", "count.tif")]
        for number, (cube, path) in enumerate(zip((median(seen), count(seen, request)), paths, strict=True)):
            yield Step(number, 3, f"waiting for the {path.stem}")
            _on_grid(cube, request).download(path, format="GTiff")
        yield Step(2, 3, "writing the composite")
        yield Step(3, 3, "done", _write(request, folder, *paths))


def clear_cube(connection: Connection, request: Request) -> DataCube:
    """The scenes of the season over the cell, masked by their classes."""
    start, end = request.days
    left, bottom, right, top = request.cell.bounds
    extent = {"west": left, "south": bottom, "east": right, "north": top, "crs": request.cell.epsg}
    cube = connection.load_collection(
        request.collection,
        spatial_extent=extent,
        temporal_extent=[str(start), str(end + timedelta(days=1))],  # openEO leaves the last day out
        bands=[*request.bands, request.scl],
        max_cloud_cover=request.max_cloud,
    )
    classes: Any = cube.band(request.scl)
    clouded = classes != request.clear[0]
    for one in request.clear[1:]:
        clouded = clouded & (classes != one)
    return cube.filter_bands(list(request.bands)).mask(clouded)


def median(cube: DataCube) -> DataCube:
    """The median over time of what is left."""
    return cube.reduce_dimension(dimension="t", reducer="median")


def count(cube: DataCube, request: Request) -> DataCube:
    """How many looks are left at each pixel."""
    return cube.filter_bands([request.bands[0]]).reduce_dimension(dimension="t", reducer="count")


def _on_grid(cube: DataCube, request: Request) -> DataCube:
    return cube.resample_spatial(
        resolution=request.cell.gsd_m, projection=request.cell.epsg, method="bilinear"
    )


def _connect(api: str) -> Connection:
    import openeo

    connection = openeo.connect(api, default_timeout=TIMEOUT_S, auto_validate=False)
    if os.environ.get("OPENEO_AUTH_METHOD"):
        connection.authenticate_oidc()  # reads the rest from the environment
    elif os.environ.get("OPENEO_USERNAME"):
        connection.authenticate_basic(os.environ["OPENEO_USERNAME"], os.environ.get("OPENEO_PASSWORD", ""))
    return connection


@contextmanager
def _words(api: str) -> Iterator[None]:
    """What the client raises becomes one line."""
    import requests
    from openeo.rest import OpenEoClientException
    from openeo.rest.connection import OpenEoApiError

    try:
        yield
    except (OpenEoApiError, OpenEoClientException, requests.RequestException) as error:
        reason = f"the openEO back-end did not do it: {one_line(error, 200)}"
        raise FileRejected(api, f"{reason}; check address, collection and credentials") from error


def _write(request: Request, folder: Path, medians: Path, counts: Path) -> acquire.Acquired:
    """The products, from what the back-end sent: exactly on the cell's grid, or refused."""
    for path in (medians, counts):
        raster.same_grid(request.cell.info, _named(path, request))
    found, looks = _pixels(medians), np.nan_to_num(_pixels(counts)[0]).astype(np.uint16)
    if len(found) != len(request.bands):
        raise FileRejected(request.api, f"sent {len(found)} bands, not {len(request.bands)}")
    found *= np.float32(request.scale)
    found[:, looks < request.min_looks] = np.nan
    tally, (start, end) = Tally(), request.days
    tally.add(looks, request.min_looks)
    span = datetime.combine(start, time(), UTC), datetime.combine(end, time(23, 59, 59), UTC)
    acquire.check_seen(request, tally, 0)
    with ExitStack() as open_files:
        window = Window(0, 0, looks.shape[1], looks.shape[0])  # pyright: ignore[reportCallIssue]
        pixels, seen = acquire.writers(request, folder, [], span, open_files)
        pixels.write(found, window)
        seen.write(looks, window)
    return acquire.acquired(folder, [], span, tally)


def _named(path: Path, request: Request) -> raster.Info:
    """The header of an answer, which is an image; else what the back-end said instead."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise FileRejected(request.api, "sent nothing, or far too much")
    return raster.read_info(str(path))


def _pixels(path: Path) -> np.ndarray:
    with raster.open_raster(path) as dataset:
        return raster.read_window(dataset)
