"""The map of a detection: both dates under a swipe, change at any threshold, its doubt, its polygons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geolab import display
from geolab.apps.change.detection import Detection, Item
from geolab.change.threshold import TOP_LEVEL, lowest_level
from geolab.maps import origin
from geolab.maps.chart import Chart
from geolab.maps.layers import CHANGE, PROBABILITY, bounds, native_zoom
from geolab.maps.specs import CIVIDIS, shape

PALE = "#f7cdb4"
SURE, NEAR = 0.5, 0.3  # opacities: where both lie on each other the eye sees 65 %, near the threshold 30 %
PLAIN = 0.6  # of change without doubt shown
CHOSEN = "#1971c2"


def spec(
    key: str, item: Item, *, opacity: float = 1.0, visible: bool = True, crisp: bool = False, **tile: Any
) -> dict[str, Any]:
    """One layer of tiles; tile: what `origin.tile_url` takes."""
    box = bounds([item])
    return {
        "key": key,
        "url": origin.tile_url(item, **tile),
        "bounds": [list(corner) for corner in box] if box else None,
        "native": native_zoom(item, box),
        "opacity": opacity,
        "visible": visible,
        "crisp": crisp,
    }


def drawn(threshold: float) -> float:
    """A threshold for tiles that means the same levels however it is rounded: half-way between two."""
    level = lowest_level(threshold)
    return max(0.0, (level - 0.5) / TOP_LEVEL)


class Scene:
    """The map and what is on it. Set its fields, then call `draw`.

    threshold, margin: 0..1; shown: which of change, probability, polygons are on; limits: one stretch for
    both dates, () until it is known. other: a second detection with its threshold, right of the swipe.
    """

    def __init__(self, mine: Detection, *, height: str = "min(560px, 64vh)"):
        self.mine = mine
        self.threshold, self.margin = mine.threshold, 0.0
        self.shown = {"change": True, "probability": False, "polygons": False}
        self.limits: display.Limits = ()
        self.other: tuple[Item, float, str] | None = None
        self.outlines: Mapping[str, Any] = {}
        self.chosen: Mapping[str, Any] = {}
        self.chart = Chart(height=height, label=f"Change from {mine.names[0]} to {mine.names[1]}")
        around = bounds([item for item in (mine.item, mine.before) if item][:1])
        if around:
            self.chart.fit(around)
        self.draw()

    def draw(self) -> None:
        """Put everything on the map as the fields say."""
        layers = [*self._images(), *self._probability(), *self._change()]
        if layers != self.chart.layers:
            self.chart.layers = layers
        self.chart.swipe = self._swipe()
        self.chart.shapes = self._shapes()
        self.chart.legends = self._legends()

    def _images(self) -> list[dict[str, Any]]:
        pair = (("before", self.mine.before), ("after", self.mine.after))
        shown = [(key, item) for key, item in pair if item and not (self.other and key == "before")]
        return [spec(key, item, limits=self.limits) for key, item in shown]

    def _probability(self) -> list[dict[str, Any]]:
        if not self.mine.item or not self.shown["probability"]:
            return []
        return [spec("probability", self.mine.item, limits=PROBABILITY, colormap="cividis", opacity=0.8)]

    def _change(self) -> list[dict[str, Any]]:
        item = self.mine.item
        if not item or not self.shown["change"]:
            return []
        if self.other:
            theirs, threshold, _ = self.other
            return [
                spec("change", item, threshold=drawn(self.threshold), opacity=PLAIN, crisp=True),
                spec("other", theirs, threshold=drawn(threshold), opacity=PLAIN, crisp=True),
            ]
        if self.margin <= 0:
            return [spec("change", item, threshold=drawn(self.threshold), opacity=PLAIN, crisp=True)]
        low, high = max(0.0, self.threshold - self.margin), self.threshold + self.margin
        near = spec("near", item, threshold=drawn(low), opacity=NEAR, crisp=True)
        sure = [spec("change", item, threshold=drawn(high), opacity=SURE, crisp=True)] if high <= 1 else []
        return [near, *sure]

    def _swipe(self) -> dict[str, Any]:
        if self.other and self.shown["change"]:
            return {"left": "change", "right": "other", "names": [self.mine.how, self.other[2]]}
        if self.mine.before and self.mine.after and not self.other:
            return {"left": "before", "right": "after", "names": list(self.mine.names)}
        return {}

    def _shapes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.shown["polygons"] and self.outlines:
            found["polygons"] = shape(self.outlines, color=CHANGE, weight=1.5)
        if self.chosen:
            found["chosen"] = shape(self.chosen, color=CHOSEN, weight=3)
        return found

    def _legends(self) -> list[dict[str, Any]]:
        legends = []
        if self.shown["probability"]:
            title = "Probability" if self.mine.method == "model" else "Score"
            legends.append({"title": title, "low": "0", "high": "1", "colours": list(CIVIDIS)})
        if self.shown["change"] and self.margin > 0 and not self.other:
            words = {"title": "Change", "low": "doubtful", "high": "certain"}
            legends.append({**words, "colours": [PALE, CHANGE]})
        return legends

    def look_at(self, feature: Mapping[str, Any], box: tuple[float, float, float, float]) -> None:
        """Show one polygon, with some of what is around it. box: west, south, east, north."""
        west, south, east, north = box
        wide, high = max((east - west) * 1.5, 2e-4), max((north - south) * 1.5, 2e-4)
        self.chosen = {"type": "FeatureCollection", "features": [feature]}
        self.chart.fit(((south - high, west - wide), (north + high, east + wide)))
        self.draw()
