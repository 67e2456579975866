"""Scenes of a STAC API: found with pystac-client, read with odc-stac onto exactly one grid.

The server is not trusted: it may name any address and send any amount. Assets are opened only over
http(s) and s3, by the drivers that geolab opens anything with, and answers are read up to a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import rasterio

from geolab import raster
from geolab.errors import BadInput, FileRejected, GeolabError, NoScene, NotFound, one_line
from geolab.raster.grid import SAME_PX
from geolab.raster.info import GDAL_ERRORS, gdal_env

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox
    from pystac import Item
    from pystac_client import Client

log = logging.getLogger(__name__)

SCHEMES = ("http", "https", "s3")
RETRIED = (429, 500, 502, 503, 504)
RETRIES = 5  # of one request; waits of 0.5, 1, 2, 4, 8 s between
LONGEST_WAIT_S = 30.0  # that a server may ask for
TIMEOUT_S = 30.0
MOST_ANSWER_BYTES = 64_000_000
MOST_SCENES = 1000
MOST_BLOCK_BYTES = 256_000_000  # of one block of an asset, decoded
# what client libraries raise where a document is not what it should be
NONSENSE = (NotImplementedError, LookupError, TypeError, ValueError, AttributeError)
GDAL_NET = {"GDAL_HTTP_RETRY_DELAY": 0.5, "GDAL_HTTP_CONNECTTIMEOUT": 10}


def search(
    api: str,
    collection: str,
    bbox: Sequence[float],
    start: date,
    end: date,
    max_cloud: float,
    *,
    cell: str = "",
) -> list[Item]:
    """The scenes of a collection over a box between two days (both included), the oldest first.

    bbox: west, south, east, north, degrees; max_cloud: per cent; a scene without eo:cloud_cover is taken.
    cell: a name for the message. Raises NoScene when there is none, NotFound for the collection, FileRejected
    when the server is away or no STAC API, BadInput.
    """
    if urlsplit(api).scheme not in ("http", "https"):
        raise BadInput("api", found=repr(one_line(api, 80)), expected="an http:// or https:// address")
    if start > end:
        raise BadInput("season", found=f"{start}..{end}", expected="a first day before the last")
    with _words(api):
        client = _client(api)
        items = list(
            client.search(
                collections=[collection],
                bbox=list(bbox),
                datetime=f"{start}T00:00:00Z/{end}T23:59:59Z",
                max_items=MOST_SCENES + 1,
                limit=100,
            ).items()
        )
        if not items:
            _check_collection(client, api, collection)
    if len(items) > MOST_SCENES:
        raise BadInput("season", found=f"more than {MOST_SCENES} scenes", expected="a shorter one")
    clear = [item for item in items if _cloud(item) < max_cloud or _cloud(item) == max_cloud == 0]
    if not clear:
        raise NoScene(cell or "the area", when=_when(start, end), max_cloud=max_cloud, seen=len(items))
    return sorted(clear, key=lambda item: (_moment(item), item.id))


def _when(start: date, end: date) -> str:
    return str(start.year) if start.year == end.year else f"{start}..{end}"


def _cloud(item: Item) -> float:
    value = item.properties.get("eo:cloud_cover")
    return float(value) if isinstance(value, int | float) else 0.0


def _moment(item: Item) -> datetime:
    """When a scene was taken; a scene without one moment has the first of its span."""
    found = item.datetime or item.common_metadata.start_datetime
    if found is None:
        raise FileRejected(item.id, "the scene has no date")
    return found


def solar_day(item: Item) -> date:
    """The day of a scene by the sun at its place: what one pass saw is one day."""
    west, _, east, _ = item.bbox or (0, 0, 0, 0)
    return (_moment(item) + timedelta(hours=(west + east) / 2 / 15)).date()


def own_first(items: Sequence[Item], epsg: int) -> list[Item]:
    """The scenes by day, on each day those on pixels of a CRS before others, then by time and id."""
    return sorted(items, key=lambda i: (solar_day(i), _epsg(i) != epsg, _moment(i), i.id))


def _epsg(item: Item) -> int | None:
    code = str(item.properties.get("proj:code") or f"EPSG:{item.properties.get('proj:epsg')}")
    number = code.removeprefix("EPSG:")
    return int(number) if number.isdecimal() and number.isascii() else None


def span(items: Sequence[Item]) -> tuple[datetime, datetime]:
    """When the first and the last scene were taken."""
    moments = [_moment(item) for item in items]
    return min(moments), max(moments)


# ---------------------------------------------------------------- the server


def _client(api: str) -> Client:
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    class PatientRetry(Retry):
        """Waits as long as the server asks, within reason."""

        def get_retry_after(self, response: Any) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, LONGEST_WAIT_S)

    class WebOnly(StacApiIO):
        """Follows links over the web only: a server must not make us read files."""

        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            if urlsplit(str(getattr(source, "href", source))).scheme not in ("http", "https"):
                raise APIError("the server links to something that is not on the web")
            return super().read_text(source, *args, **kwargs)

    def bounded(response: requests.Response, **_: Any) -> None:
        received = bytearray()
        for part in response.iter_content(1 << 16):
            received += part
            if len(received) > MOST_ANSWER_BYTES:
                response.close()
                raise APIError(f"the answer is larger than {MOST_ANSWER_BYTES // 1_000_000} MB")
        response._content = bytes(received)

    retry = PatientRetry(
        total=RETRIES, backoff_factor=0.5, status_forcelist=RETRIED, allowed_methods=None,
        raise_on_status=False,
    )  # fmt: skip
    reader = WebOnly(timeout=TIMEOUT_S, max_retries=retry)
    reader.session.hooks["response"].append(bounded)
    return Client.open(api, stac_io=reader, timeout=TIMEOUT_S)  # without, it sets the reader's to none


def _check_collection(client: Client, api: str, name: str) -> None:
    """Raises NotFound when there is no such collection; many servers answer a search for it with nothing."""
    known = sorted(found.id for found in client.get_collections())
    if name not in known:
        raise NotFound("collection", name, known=known, remedy=f"the API is {one_line(api, 80)}")


@contextmanager
def _words(api: str) -> Iterator[None]:
    """Whatever client libraries raise about a server becomes one line that names it."""
    from warnings import catch_warnings, filterwarnings

    import requests
    from pystac import STACError
    from pystac_client.exceptions import APIError
    from pystac_client.warnings import PystacClientWarning

    try:
        with catch_warnings():
            filterwarnings("ignore", category=PystacClientWarning)  # what a catalogue lacks is said below
            yield
    except (APIError, requests.RequestException) as error:
        status = getattr(error, "status_code", None)
        detail = f"answered {status}" if status else f"can't be reached: {one_line(error, 160)}"
        raise FileRejected(api, f"the STAC API {detail}; check the address, or try again later") from error
    except (PystacClientWarning, STACError, *NONSENSE) as error:
        raise FileRejected(api, f"not a STAC API that can be searched ({one_line(error, 160)})") from error


# ---------------------------------------------------------------- pixels


def load(items: Sequence[Item], geobox: GeoBox, bands: Sequence[str]) -> xr.Dataset:
    """Reflectance of every scene on exactly the grid of `geobox`: [time, y, x] float32, NaN where invalid.

    Scale and offset are those of raster:bands, else of the file. A scene on the same pixels is read as it
    is, one of larger pixels that these divide too (each repeated); others are warped, bilinear. Raises
    FileRejected naming the file that can't be read, BadInput for a band that scenes do not have.
    """
    return _stack([_scene(item, geobox, bands) for item in items], items)


def load_classes(items: Sequence[Item], geobox: GeoBox, band: str = "scl") -> xr.Dataset:
    """The scene classification of every scene, [time, y, x] uint8, 0 where there is none; nearest pixels."""
    found = []
    for item in items:
        _checked(item, [band])
        found.append(_read(item, geobox, [band], resampling="nearest", dtype="uint8", nodata=0))
    return _stack(found, items)


def _stack(scenes: list[xr.Dataset], items: Sequence[Item]) -> xr.Dataset:
    import pandas as pd
    import xarray as xr

    moments = pd.DatetimeIndex([_moment(item).replace(tzinfo=None) for item in items], name="time")
    return xr.concat(scenes, dim=moments, join="override", combine_attrs="override")


def _scene(item: Item, geobox: GeoBox, bands: Sequence[str]) -> xr.Dataset:
    infos = _checked(item, bands)
    resampling = {band: "nearest" if divides(geobox, info) else "bilinear" for band, info in infos.items()}
    found = _read(item, geobox, bands, resampling=resampling, dtype="float32", nodata=float("nan"))
    for band, info in infos.items():
        scale, offset = _scaling(item.assets[_key(item, band)].extra_fields, info)
        found[band].data *= np.float32(scale)
        found[band].data += np.float32(offset)
    return found


def divides(geobox: GeoBox, info: raster.Info) -> bool:
    """Whether the pixels of a raster are whole blocks of those of a grid: then none need be mixed."""
    if geobox.crs is None or info.crs is None or info.crs.to_epsg() != geobox.crs.to_epsg():
        return False
    mine, theirs = geobox.transform, info.transform
    if any((mine.b, mine.d, theirs.b, theirs.d)):
        return False
    steps = np.array([theirs.a / mine.a, theirs.e / mine.e])
    apart = np.array([(theirs.c - mine.c) / mine.a, (theirs.f - mine.f) / mine.e])
    whole = np.abs(np.concatenate([steps, apart]) - np.round([*steps, *apart])).max() < SAME_PX
    return bool(whole and (steps > 0.5).all())


def _read(
    item: Item,
    geobox: GeoBox,
    bands: Sequence[str],
    *,
    resampling: str | dict[str, str],
    dtype: str,
    nodata: float,
) -> xr.Dataset:
    """One scene on the grid, without time. A failure names the file."""
    import odc.stac

    with _gdal():
        try:
            found = odc.stac.load(
                [item], bands=list(bands), geobox=geobox, resampling=resampling, dtype=dtype, nodata=nodata,
                pool=len(bands), stac_cfg={"*": {"warnings": "ignore"}},
            )  # fmt: skip
        except GDAL_ERRORS as error:
            raise _culprit(item, geobox, bands, error) from error
    return found.isel(time=0, drop=True)


def _culprit(item: Item, geobox: GeoBox, bands: Sequence[str], error: Exception) -> FileRejected:
    """The error of the file that can't be read, of all that were read together."""
    import odc.stac

    for band in bands:
        try:
            odc.stac.load([item], bands=[band], geobox=geobox, stac_cfg={"*": {"warnings": "ignore"}})
        except GDAL_ERRORS as mine:
            return FileRejected(_href(item, band), _damage(item, mine))
    return FileRejected(item.id, _damage(item, error))


def _damage(item: Item, error: Exception) -> str:
    return (
        f"its pixels can't be read (scene {one_line(item.id, 80)}): {one_line(error.__cause__ or error, 140)}"
    )


@contextmanager
def _gdal() -> Iterator[None]:
    with gdal_env(remote=True), rasterio.Env(**GDAL_NET):
        yield


def _checked(item: Item, bands: Sequence[str]) -> dict[str, raster.Info]:
    """The header of each band's file, opened by the drivers that are allowed. Raises FileRejected."""
    infos = {}
    for band in bands:
        href = _href(item, band)
        with _gdal():
            try:
                info = infos[band] = raster.read_info(href)
            except NotFound as error:  # whatever the server answered
                raise FileRejected(
                    href, f"the server of scene {one_line(item.id, 80)} does not give it; try again later"
                ) from error
        rows, columns = info.block_shape
        if rows * columns * np.dtype(info.dtype or "u1").itemsize > MOST_BLOCK_BYTES:
            raise FileRejected(href, f"blocks of {columns} x {rows} px are too large to be read")
    return infos


def _scaling(fields: dict[str, Any], info: raster.Info) -> tuple[float, float]:
    """What turns stored numbers into reflectance, as STAC 1.0 and 1.1 write it, else as the file says."""
    one = next(iter(fields.get("raster:bands") or fields.get("bands") or [{}]))
    said = {**fields, **one}
    scale = said.get("scale", said.get("raster:scale"))
    offset = said.get("offset", said.get("raster:offset"))
    if scale is None and offset is None:
        return (info.scales or (1.0,))[0], (info.offsets or (0.0,))[0]
    return float(1 if scale is None else scale), float(offset or 0)


def _href(item: Item, band: str) -> str:
    """The address of a band's file. Raises FileRejected unless it is on the web or in a bucket."""
    asset = item.assets[_key(item, band)]
    href = asset.get_absolute_href() or asset.href
    if urlsplit(href).scheme not in SCHEMES:
        raise FileRejected(one_line(href, 120), f"scene {one_line(item.id, 80)}: only {', '.join(SCHEMES)}")
    return href


def _key(item: Item, band: str) -> str:
    """The name of the asset that holds a band: its own, or by the common name of its band."""
    import odc.stac

    if band in item.assets:
        return band
    try:
        parsed = odc.stac.parse_item(item, {"*": {"warnings": "ignore"}})
        name, _ = parsed.collection.band_key(band)
    except (GeolabError, ValueError, LookupError) as error:
        raise BadInput(
            "bands", found=f"{band!r}, which scene {one_line(item.id, 80)} lacks",
            expected=", ".join(one_line(name, 20) for name in list(item.assets)[:20]) or "assets",
        ) from error  # fmt: skip
    return name
