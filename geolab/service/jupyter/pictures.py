"""Pictures for maps and lists: tiles, previews, photos as they were taken."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jupyter_server.auth.decorator import authorized
from PIL import Image, ImageOps
from tornado import web

from geolab import display, modelserver, raster, store
from geolab.errors import BadInput, FileRejected, NotFound
from geolab.service import tiles
from geolab.service.jupyter.answers import Handler
from geolab.service.jupyter.source import address, digest, version
from geolab.splats import names

PREVIEW_PX = 512
LARGEST_PREVIEW = 4_000_000  # bytes of a thumbnail that is sent as it is
LARGEST_ORIGINAL = 200_000_000


class TileHandler(Handler):
    @web.authenticated
    @authorized
    async def get(self, collection: str, item: str, asset: str, z: str, x: str, y: str, form: str) -> None:
        query = self.query()
        await self.answer(lambda: self._tile(collection, item, asset, (z, x, y, form), query))

    def _tile(
        self, collection: str, item: str, asset: str, place: tuple[str, str, str, str], query: dict[str, Any]
    ) -> tuple[bytes | None, str, str]:
        tile = tiles.parse(*place, query)
        uri, stamp = self.source.asset(collection, item, asset)
        key = digest(uri, stamp, repr(tile))
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
        found = self.source.item(collection, item_id)
        assets = found.get("assets", {})
        asset = next((assets[name] for name in ("thumbnail", "overview", "data") if name in assets), None)
        if asset is None:
            raise NotFound("picture of item", item_id)
        key = digest(address(asset), version(asset), "preview")
        known, data = self.source.cache.get(key)
        if not known or data is None:
            is_model = found["properties"].get("geolab:product") == names.KIND and "data" in assets
            data = portrait(assets["data"]) if is_model else small_picture(address(asset))
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
        return data, kind, digest(uri, stamp, "original")


def picture_type(data: bytes) -> str | None:
    """The media type of a JPEG, PNG or WebP by its first bytes; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def portrait(model: Mapping[str, Any]) -> bytes:
    """A model of splats, drawn by the machine's model server."""
    return modelserver.portrait(address(model), (PREVIEW_PX, PREVIEW_PX * 3 // 4))


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
