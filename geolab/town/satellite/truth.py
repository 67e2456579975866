"""The truth that belongs to an archive: composites without clouds and noise, clear looks, changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite import files, spectra
from geolab.town.satellite.area import Area, Cell, Window, to_lonlat
from geolab.town.satellite.ground import Ground, View, sampled
from geolab.town.satellite.scene import CLEAR
from geolab.town.satellite.sky import Sky

FOLDER = "truth"
SEASON = (6, 8)  # first and last month


@dataclass(frozen=True)
class Classed:
    """How a zone was classed on a day: [y, x] of 20 m."""

    sky: Sky
    classes: np.ndarray


def in_season(seen: Classed) -> bool:
    """Whether a scene belongs to the composite of its year."""
    return SEASON[0] <= seen.sky.when.month <= SEASON[1]


def composite(view: View, passes: Sequence[Classed]) -> Floats:
    """[band, y, x] the median over the season's days of the ground without clouds, shadows and noise."""
    looks = [view.reflectance(seen.sky.when.date()) for seen in passes if in_season(seen)]
    return np.median(np.stack(looks), axis=0).astype(np.float32)


def clear_looks(passes: Sequence[Classed]) -> np.ndarray:
    """[y, x] on how many of the season's days a pixel was seen and classed as clear; uint8."""
    clear = [np.isin(seen.classes, CLEAR) for seen in passes if in_season(seen)]
    return np.sum(clear, axis=0, dtype=np.uint8).repeat(2, axis=0).repeat(2, axis=1)


def changed(ground: Ground, window: Window, year: int) -> np.ndarray:
    """[y, x] 1 where at least half of a pixel has another use than in the year before, else 0."""
    mosaic = ground.changed(year)
    shares = [sampled(mosaic, ground, strip).mean(axis=1) for strip in window.strips()]
    return (np.concatenate(shares) >= 0.5).astype(np.uint8).reshape(window.shape)


def write_year(
    folder: Path,
    ground: Ground,
    area: Area,
    views: Mapping[int, View],
    passes: Mapping[int, Sequence[Classed]],
    year: int,
) -> list[Path]:
    """Write composite, clear looks and changes of every cell; the paths."""
    paths: list[Path] = []
    for epsg, view in views.items():
        layers = {"composite": composite(view, passes[epsg]), "looks": clear_looks(passes[epsg])[None]}
        names = {"composite": f"{year}", "looks": f"{year}-looks"}
        if year > ground.years[0]:
            layers["change"] = changed(ground, view.window, year)[None]
            names["change"] = f"{year - 1}-{year}-change"
        for cell in (c for c in area.cells if c.window.epsg == epsg):
            rows, columns = view.window.slices(cell.window)
            for layer, pixels in layers.items():
                path = folder / FOLDER / f"{cell.id}-{names[layer]}.tif"
                _write(path, cell, layer, pixels[:, rows, columns])
                paths.append(path)
    return paths


def _write(path: Path, cell: Cell, layer: str, pixels: np.ndarray) -> None:
    bands = spectra.BANDS if layer == "composite" else (layer,)
    nodata = float("nan") if layer == "composite" else None
    window = cell.window
    files.write_cog(
        path, pixels, epsg=window.epsg, transform=window.transform, bands=bands, nodata=nodata, level=1
    )


def write_sites(folder: Path, ground: Ground) -> Path:
    """Write the outlines of everything that changes as GeoJSON; the path."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_ring(site.outline)]},
            "properties": {
                "kind": site.kind,
                "from": site.year - 1,
                "to": site.year,
                "cell": site.cell,
                "area_m2": round(_area(site.outline)),
            },
        }
        for site in ground.sites
    ]
    path = folder / FOLDER / "changes.geojson"
    files.write_json(path, {"type": "FeatureCollection", "features": features})
    return path


def _ring(outline: Floats) -> list[list[float]]:
    points = to_lonlat(outline).round(7).tolist()
    return [*points, points[0]]


def _area(outline: Floats) -> float:
    x, y = outline.T
    return float(abs(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
