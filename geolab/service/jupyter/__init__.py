"""The Jupyter server extension: what pages and people fetch and send, at the server's own origin.

    <base_url>geolab/tiles/<collection>/<item>/<asset>/<z>/<x>/<y>.(png|webp|jpg)
    <base_url>geolab/preview/<collection>/<item>            a small picture
    <base_url>geolab/original/<collection>/<item>           a photo as it was taken
    <base_url>geolab/assets/<collection>/<item>/<asset>     the file itself
    <base_url>geolab/runs/<run>/<name>                      a file of a run's folder
    <base_url>geolab/clip/<collection>/<item>/<asset>.tif   a part of a raster
    <base_url>geolab/upload                                 takes a file
    <base_url>geolab/shared/<token>                         one file, without login, for a while

It needs no port of its own, follows the server's login and works below a hub's /user/<name>/.
Names are looked up in the catalogue, the ledger and listings; nothing in a request is ever used as a path.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.utils import url_path_join

from geolab import settings
from geolab.ingest import uploads
from geolab.service import tiles
from geolab.service.jupyter.clips import ClipHandler
from geolab.service.jupyter.downloads import AssetHandler, RunFileHandler, SharedHandler
from geolab.service.jupyter.pictures import OriginalHandler, PreviewHandler, TileHandler
from geolab.service.jupyter.receiving import UploadHandler
from geolab.service.jupyter.source import Source

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

_NAME = r"([^/?#]{1,1024})"
_PLACE = r"(\d+)/(\d+)/(\d+)\.(\w{1,8})"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "geolab.service.jupyter"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add the handlers, and tell the kernels that this server starts where it is and what it serves."""
    workspace = settings.load()
    base_url = server.web_app.settings["base_url"]
    os.environ["GEOLAB_HOME"] = str(workspace.home)
    os.environ["GEOLAB_BASE_URL"] = base_url
    lab = server.extension_manager.extensions.get("jupyterlab")
    if lab is not None and lab.enabled:  # pages link to notebooks below this folder
        os.environ["GEOLAB_LAB_ROOT"] = str(Path(server.root_dir).resolve())
    uploads.clear(workspace)  # what a killed server had half received
    root = url_path_join(base_url, "geolab")
    source = Source(workspace)
    source.pool.submit(tiles.warm)
    server.web_app.add_handlers(".*$", _routes(root, source))
    server.log.info("geolab | workspace %s, tiles at %s/tiles/", workspace.home, root)


def _routes(root: str, source: Source) -> list[tuple[str, type, dict[str, Any]]]:
    given = {"source": source}
    return [
        (rf"{root}/tiles/{_NAME}/{_NAME}/{_NAME}/{_PLACE}", TileHandler, given),
        (rf"{root}/preview/{_NAME}/{_NAME}", PreviewHandler, given),
        (rf"{root}/original/{_NAME}/{_NAME}", OriginalHandler, given),
        (rf"{root}/assets/{_NAME}/{_NAME}/{_NAME}", AssetHandler, given),
        (rf"{root}/runs/{_NAME}/([^?#]{{1,4096}})", RunFileHandler, given),
        (rf"{root}/clip/{_NAME}/{_NAME}/{_NAME}\.tif", ClipHandler, given),
        (rf"{root}/upload(?:/{_NAME})?", UploadHandler, given),
        (rf"{root}/shared/([A-Za-z0-9_.-]{{1,8000}})", SharedHandler, given),
    ]
