"""The Jupyter server extension: tiles and previews of what the catalogue holds, at the page's own origin.

    <base_url>geolab/tiles/<collection>/<item>/<asset>/<z>/<x>/<y>.(png|webp|jpg)
    <base_url>geolab/preview/<collection>/<item>       a small picture
    <base_url>geolab/original/<collection>/<item>      a photo as it was taken

It needs no port of its own, follows the server's login and works below a hub's /user/<name>/.
Names are looked up in the catalogue; nothing in a request is ever used as a path.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from PIL import Image, ImageOps
from tornado import web

from geolab import catalog, display, raster, settings, store
from geolab.errors import BadInput, FileRejected, GeolabError, NotFound, one_line
from geolab.service import tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_server.serverapp import ServerApp

_STATUS: dict[type[GeolabError], int] = {NotFound: 404, BadInput: 400, FileRejected: 422}
_SIGNED = {"token", "_xsrf", "no_track_activity"}  # parameters that belong to the server
_NAME = r"([^/?#]{1,1024})"
PREVIEW_PX = 512
LARGEST_PREVIEW = 4_000_000  # bytes of a thumbnail that is sent as it is
LARGEST_ORIGINAL = 200_000_000
MAX_AGE_S = 600


class Source:
    """Where the handlers get their bytes: the catalogue, the threads that draw, the tiles kept."""

    def __init__(self, workspace: settings.Settings):
        self.cache = tiles.Cache()
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="geolab-tiles")
        self._catalog = catalog.open_catalog(workspace)

    def item(self, collection: str, item_id: str) -> dict[str, Any]:
        """The item as the catalogue has it now. Raises NotFound."""
        return self._catalog.get(item_id, collection)

    def asset(self, collection: str, item_id: str, name: str) -> tuple[str, str]:
        """(URI, version) of an item's asset. Raises NotFound."""
        assets = self.item(collection, item_id).get("assets", {})
        if name not in assets:
            raise NotFound("asset", f"{item_id}/{name}", known=assets)
        return address(assets[name]), version(assets[name])


def address(asset: Mapping[str, Any]) -> str:
    """The absolute URI of an asset. Raises NotFound for a relative one, which would depend on our folder."""
    href = str(asset.get("href") or "")
    if href.startswith("/") or "://" in href:
        return href
    raise NotFound("file", href, remedy="the item's address of it is relative")


def version(asset: Mapping[str, Any]) -> str:
    """A text that changes when the asset's bytes do: its checksum, else the file's size and time."""
    path = store.local_path(address(asset))
    if "file:checksum" in asset or path is None:
        return str(asset.get("file:checksum", ""))
    try:
        status = path.stat()
    except OSError as error:
        raise NotFound("file", path.name) from error
    return f"{status.st_size}-{status.st_mtime_ns}"


class Handler(APIHandler):
    """What all answers share: who may ask, what is said about errors, what a browser may keep."""

    auth_resource = "contents"  # who may read files here may see pictures of them

    def initialize(self, source: Source) -> None:
        self.source = source
        self._gone = threading.Event()

    def on_connection_close(self) -> None:
        self._gone.set()  # the map has moved on: don't draw what nobody waits for
        super().on_connection_close()

    def set_cors_headers(self) -> None:
        """None: pictures are for pages of this origin only, whatever the server allows elsewhere."""

    async def answer(self, work: Callable[[], tuple[bytes | None, str, str]]) -> None:
        """Send what `work` returns, done in a thread: (bytes, content type, ETag)."""
        try:
            data, kind, tag = await asyncio.get_running_loop().run_in_executor(
                self.source.pool, lambda: (None, "", "") if self._gone.is_set() else work()
            )
        except GeolabError as error:
            status = next((s for cls, s in _STATUS.items() if isinstance(error, cls)), 500)
            reason = error.reason if isinstance(error, FileRejected) else str(error)
            self.set_status(status)
            self.finish({"message": one_line(reason)})
            return
        self._send(data, kind, tag)

    def _send(self, data: bytes | None, kind: str, tag: str) -> None:
        self.set_header("Cache-Control", f"private, max-age={MAX_AGE_S}")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.set_header("Etag", f'"{tag}"')
        if data is None:
            self.set_status(204)
            self.finish()
        elif tag and self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.finish(data, set_content_type=kind)


class TileHandler(Handler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str, asset: str, z: str, x: str, y: str, form: str) -> None:
        query = {k: self.get_arguments(k) for k in self.request.query_arguments if k not in _SIGNED}
        await self.answer(lambda: self._tile(collection, item, asset, (z, x, y, form), query))

    def _tile(
        self, collection: str, item: str, asset: str, place: tuple[str, str, str, str], query: dict[str, Any]
    ) -> tuple[bytes | None, str, str]:
        tile = tiles.parse(*place, query)
        uri, stamp = self.source.asset(collection, item, asset)
        key = _digest(uri, stamp, repr(tile))
        known, data = self.source.cache.get(key)
        if not known:
            data = tiles.render(uri, tile, version=stamp)
            self.source.cache.put(key, data)
        return data, tile.content_type, key


class PreviewHandler(Handler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str) -> None:
        await self.answer(lambda: self._preview(collection, item))

    def _preview(self, collection: str, item_id: str) -> tuple[bytes | None, str, str]:
        assets = self.source.item(collection, item_id).get("assets", {})
        asset = next((assets[name] for name in ("thumbnail", "overview", "data") if name in assets), None)
        if asset is None:
            raise NotFound("picture of item", item_id)
        key = _digest(address(asset), version(asset), "preview")
        known, data = self.source.cache.get(key)
        if not known or data is None:
            data = small_picture(address(asset))
            self.source.cache.put(key, data)
        return data, picture_type(data) or "image/webp", key


class OriginalHandler(Handler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str) -> None:
        await self.answer(lambda: self._original(collection, item))

    def _original(self, collection: str, item: str) -> tuple[bytes | None, str, str]:
        uri, stamp = self.source.asset(collection, item, "data")
        with store.open_read(uri) as stream:
            data = stream.read(LARGEST_ORIGINAL + 1)
        kind = picture_type(data)
        if kind is None or len(data) > LARGEST_ORIGINAL:
            raise BadInput("original", found="no picture a browser shows", expected="a JPEG, PNG or WebP")
        return data, kind, _digest(uri, stamp, "original")


def picture_type(data: bytes) -> str | None:
    """The media type of a JPEG, PNG or WebP by its first bytes; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def small_picture(uri: str) -> bytes:
    """A JPEG, PNG or WebP of at most PREVIEW_PX: the file itself where it is one, else drawn.

    Raises FileRejected when no picture can be made of it.
    """
    with store.open_read(uri) as stream:
        data = stream.read(LARGEST_PREVIEW + 1)
    if picture_type(data) and len(data) <= LARGEST_PREVIEW:
        try:
            with Image.open(io.BytesIO(data)) as image:
                if max(image.size) <= PREVIEW_PX:
                    return data
                image.draft("RGB", (PREVIEW_PX, PREVIEW_PX))
                return _webp(ImageOps.exif_transpose(image))
        except (OSError, Image.DecompressionBombError) as error:
            raise FileRejected(uri, f"its picture can't be decoded: {error}") from error
    return _webp(Image.fromarray(_overview(uri)))


def _overview(uri: str) -> Any:
    with raster.open_raster(uri) as dataset:
        colors = [c.name for c in dataset.colorinterp]
        bands = display.rgb_bands(dataset.descriptions, colors, count=sum(c != "alpha" for c in colors))
        sample = display.read_sample(dataset, bands)
    shown = display.stretch(sample, display.limits(sample))
    return np.moveaxis(np.repeat(shown, 3, axis=0) if len(shown) == 1 else shown, 0, -1)


def _webp(image: Any) -> bytes:
    image = image.convert("RGB")
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


# ---------------------------------------------------------------- the extension


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.jupyter"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add the handlers, and tell the kernels that this server starts where it is and what it serves."""
    workspace = settings.load()
    base_url = server.web_app.settings["base_url"]
    os.environ["GEOLAB_HOME"] = str(workspace.home)
    os.environ["GEOLAB_BASE_URL"] = base_url
    source = {"source": Source(workspace)}
    root = url_path_join(base_url, "geolab")
    place = r"(\d+)/(\d+)/(\d+)\.(\w{1,8})"
    server.web_app.add_handlers(
        ".*$",
        [
            (rf"{root}/tiles/{_NAME}/{_NAME}/{_NAME}/{place}", TileHandler, source),
            (rf"{root}/preview/{_NAME}/{_NAME}", PreviewHandler, source),
            (rf"{root}/original/{_NAME}/{_NAME}", OriginalHandler, source),
        ],
    )
    server.log.info("geolab | workspace %s, tiles at %s/tiles/", workspace.home, root)
