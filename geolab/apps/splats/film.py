"""A video of a run, played from the server by ranges."""

from __future__ import annotations

from pathlib import PurePosixPath

import ipywidgets as widgets

from geolab.apps import parts
from geolab.maps import origin
from geolab.maps.origin import safe


def film(run_id: str, uri: str) -> widgets.HTML | None:
    """A player of the run's video; None where it made none."""
    name = PurePosixPath(uri).name
    if not name.endswith(".mp4"):
        return None
    href = safe(origin.run_file_url(run_id, name))
    player = f'<video src="{href}" controls loop muted playsinline preload="metadata"></video>'
    link = parts.link("Download the film", origin.run_file_url(run_id, name), download=True).value
    return parts.html(f'<figure class="geolab-film">{player}<figcaption>{link}</figcaption></figure>')
