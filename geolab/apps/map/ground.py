"""What lies under everything: nothing, or a map of others, which is asked for only when it is chosen."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.maps.chart import Chart

NONE = "None"
GROUNDS: dict[str, dict[str, Any]] = {
    NONE: {},
    "OpenStreetMap": {
        "url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "native": 19,
        "words": "© OpenStreetMap contributors",
    },
    "Sentinel-2 cloudless, EOX": {
        "url": "https://tiles.maps.eox.at/wmts/1.0.0/s2cloudless-2020_3857/default/g/{z}/{y}/{x}.jpg",
        "native": 14,
        "words": "Sentinel-2 cloudless 2020 by EOX, contains Copernicus data",
    },
}
WARNING = "This asks {host}, a server outside of this workspace, for pictures of every place you look at."


class Ground:
    """The choice."""

    def __init__(self, chart: Chart):
        self.chart = chart
        self.choice = widgets.Dropdown(
            options=list(GROUNDS), value=NONE, layout={"width": "auto"}, tooltip="Ground"
        )
        self._note = parts.text("", soft=True)
        self.choice.observe(lambda _: self._show(), "value")
        self.widget = parts.stack(parts.row(parts.text("Ground", soft=True), self.choice), self._note)

    def _show(self) -> None:
        told = GROUNDS[str(self.choice.value)]
        self.chart.basemap = told
        words = WARNING.format(host=told["url"].split("/")[2]) if told else ""
        self._note.value = parts.text(words, soft=True).value
