"""A STAC API on loopback for an archive in a folder: search, items, and COGs by range requests.

    archive.serve("world", ready=print)            until SIGTERM or Ctrl-C

Only what the archive's items name as assets can be read, and nothing outside its folder.
"""

from __future__ import annotations

from geolab.service.archive.faults import Faults
from geolab.service.archive.server import serve

__all__ = ["Faults", "serve"]
