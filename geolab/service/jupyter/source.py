"""Where the handlers get their bytes: the catalogue, threads, the tiles that were drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from geolab import catalog, store
from geolab.errors import NotFound
from geolab.service import tiles
from geolab.settings import Settings


class Source:
    """What all handlers of one server share."""

    def __init__(self, workspace: Settings):
        self.settings = workspace
        self.cache = tiles.Cache()
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="geolab-tiles")
        self.files = ThreadPoolExecutor(8, thread_name_prefix="geolab-files")  # slow disks delay no tile
        self.clips = ThreadPoolExecutor(2, thread_name_prefix="geolab-clips")
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


def digest(*parts: str) -> str:
    """A short name for these texts together."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
