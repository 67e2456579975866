"""The machine's model server, kept while this server of pages runs, and made known to its kernels."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from geolab.errors import GeolabError
from geolab.modelserver import client, process

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def attach(server: ServerApp) -> threading.Thread:
    """Start it, or join the one that runs, without waiting; what hinders it is logged.

    Kernels are told of its address now. It ends some seconds after the last server of pages, however
    that one ends: an open connection is all that keeps it.
    """
    os.environ[client.VARIABLE] = str(process.default_folder() / process.socket_name())
    joining = threading.Thread(target=_join, args=(server,), name="geolab-models-join", daemon=True)
    joining.start()
    return joining


def _join(server: ServerApp) -> None:
    try:
        server.web_app.settings["geolab_models"] = process.stay()
    except (GeolabError, OSError) as error:
        server.log.warning("geolab | splats and previews are not drawn for pages: %s", error)
