"""The products of a detection at another threshold: mask and polygons cut anew from its probability.

Nothing is detected again, and nothing is rounded: the mask is 1 exactly where level / 254 >= threshold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import geolab
from geolab import raster
from geolab.change import threshold as thresholds
from geolab.change import vector
from geolab.change.products import NODATA, cut
from geolab.errors import BadInput

BY_GDAL = ("AREA_OR_POINT",)  # tags that GDAL writes itself


@dataclass(frozen=True)
class Cut:
    """Where the products are, and what they say. Areas are m2; None for a map without a CRS."""

    mask: str
    polygons: str
    geojson: str | None
    threshold: float
    changed_m2: float | None
    valid_m2: float | None
    changed_share: float
    polygon_count: int
    polygons_m2: float | None
    smallest_polygon_px: int


@dataclass(frozen=True)
class Step:
    """Progress: `done` of `total` windows; the last step carries the products."""

    done: int
    total: int
    cut: Cut | None = None


def sample(folder: str | os.PathLike[str]) -> str:
    """The probability map of a detection by CVA on a small sample town, made in the folder."""
    from geolab import town
    from geolab.change import detect

    made = town.write(Path(folder), seed=0, size_px=512, photos=0)
    return detect.scene(made.before, made.after, folder).probability


def steps(
    probability: str, out: str | os.PathLike[str], *, threshold: float, min_area_m2: float = 0.0
) -> Iterator[Step]:
    """Mask and polygons of a probability map at a threshold in the folder `out`; names say the threshold.

    Grid, CRS and tags are those of the map. min_area_m2: smaller polygons are left out (the mask keeps
    every pixel). Memory does not depend on the size of the scene. Raises BadInput, NotFound, FileRejected.
    """
    if not 0 <= threshold <= 1:
        raise BadInput("threshold", found=threshold, expected="a probability, 0..1")
    if not 0 <= min_area_m2 < np.inf:
        raise BadInput("min_area_m2", found=min_area_m2, expected="0 or more")
    info = raster.read_info(probability)
    thresholds.check(info)
    folder, name = Path(out), f"{threshold:.6g}"
    folder.mkdir(parents=True, exist_ok=True)
    mask = folder / f"mask-{name}.tif"
    windows = list(raster.iter_windows(info, thresholds.WINDOW_PX))
    total = len(windows) + 1  # the polygons
    for done in _write_mask(probability, mask, info, threshold, windows):
        yield Step(done, total)
    found = vector.polygons(mask, probability, folder, min_area_m2=min_area_m2)
    yield Step(total, total, _cut(probability, str(mask), threshold, found, folder, name))


def _write_mask(
    probability: str, mask: Path, info: raster.Info, threshold: float, windows: list
) -> Iterator[int]:
    table = cut(threshold)
    tags = {key: value for key, value in info.tags.items() if key not in BY_GDAL}
    tags |= {"GEOLAB_VERSION": geolab.__version__, "GEOLAB_THRESHOLD": repr(float(threshold))}
    with (
        raster.open_raster(probability) as source,
        raster.write_cog(
            mask, like=info, count=1, dtype="uint8", nodata=NODATA, band_names=["change"], tags=tags
        ) as target,
    ):
        for done, window in enumerate(windows, 1):
            target.write(table[thresholds.read(source, window)], window)
            yield done


def _cut(
    probability: str, mask: str, threshold: float, found: vector.Polygons, folder: Path, name: str
) -> Cut:
    counted = thresholds.distribution(probability)
    parquet = Path(found.parquet).rename(folder / f"polygons-{name}.parquet")
    geojson = Path(found.geojson).rename(folder / f"polygons-{name}.geojson") if found.geojson else None
    return Cut(
        mask=mask,
        polygons=str(parquet),
        geojson=str(geojson) if geojson else None,
        threshold=threshold,
        changed_m2=counted.changed(threshold) if counted.located else None,
        valid_m2=counted.valid if counted.located else None,
        changed_share=counted.share(threshold),
        polygon_count=found.count,
        polygons_m2=found.area_m2,
        smallest_polygon_px=found.smallest_px,
    )
