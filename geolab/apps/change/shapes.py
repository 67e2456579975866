"""The polygons of a run as a table; choosing one shows it on the map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.change import words
from geolab.apps.change.layers import Scene
from geolab.change import largest

if TYPE_CHECKING:
    from geolab.apps.shell import Page

MOST = 200  # rows of the table, and outlines on the map


class Shapes(widgets.VBox):
    """The largest polygons of one GeoParquet file, at the threshold that it was cut at."""

    def __init__(self, page: Page, scene: Scene):
        self.page, self.scene = page, scene
        self.found: dict[str, largest.Patch] = {}
        self.said = widgets.VBox([parts.skeleton()])
        self.table = parts.Table(
            [
                parts.Column("id", "Polygon", "number"),
                parts.Column("area", "Area", "number", "m²"),
                parts.Column("mean", "Mean", "bar"),
                parts.Column("highest", "Highest", "bar"),
                parts.Column("pixels", "Pixels", "number"),
            ],
            on_open=self.show,
            empty="No polygon at this threshold.",
            page_rows=12,
            label="Polygons",
        )
        super().__init__([self.said, self.table])
        self.add_class("geolab-box")
        self.add_class("geolab-stack")

    def load(self, parquet: str, threshold: float) -> None:
        """Read the polygons of a file, in a thread."""
        self.page.aside(
            lambda: largest.largest(Path(parquet), MOST), lambda found: self._loaded(found, threshold)
        )

    def _loaded(self, found: largest.Largest, threshold: float) -> None:
        self.found = {str(patch.id): patch for patch in found.patches}
        part = f"the {len(self.found)} largest of " if len(self.found) < found.count else ""
        total = f"{part}{found.count:,} polygons" if found.count != 1 else "1 polygon"
        text = f"At {words.level(threshold)}: {total}. Choose one to see it on the map."
        self.said.children = (parts.text(text, soft=True),)
        self.table.rows = [_row(patch) for patch in found.patches]
        features = [_feature(patch) for patch in found.patches if patch.geometry]
        self.scene.outlines = {"type": "FeatureCollection", "features": features}
        self.scene.chosen = {}
        self.scene.draw()

    def show(self, patch_id: str) -> None:
        """Show one polygon on the map."""
        patch = self.found[patch_id]
        if patch.geometry is None or patch.box is None:
            self.page.tell(
                "This run's images lie nowhere on Earth, so there is no map to show it on.", "warn"
            )
            return
        self.scene.look_at(_feature(patch), patch.box)


def _row(patch: largest.Patch) -> dict[str, Any]:
    area = None if math.isnan(patch.area_m2) else round(patch.area_m2, 1 if patch.area_m2 < 1000 else 0)
    return {
        "id": str(patch.id),
        "area": area,
        "mean": patch.mean_probability,
        "highest": patch.max_probability,
        "pixels": patch.pixels,
    }


def _feature(patch: largest.Patch) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": patch.geometry}
