"""Change between two scenes of any size, in constant memory.

    found = detect.scene("may.tif", "june.tif", "out", method="irmad")
    found.mask, found.changed_m2

A reader thread, the scorer and two writer threads work side by side on tiles. Overlapping windows
need no blending here: every tile is read with the whole context that its pixels depend on (an
exact halo, on the network's own grid), so neighbouring tiles agree where they meet and there is
no seam to hide. The result does not depend on the size of the tiles beyond the rounding of
floats (one level of 254 now and then), and not at all on the number of workers.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

import geolab
from geolab import raster
from geolab.change import engine, paircheck, products, summary, vector
from geolab.change.choice import scorer_of
from geolab.change.coregister import LARGEST_SHIFT_PX, Shift
from geolab.change.request import METHODS, Request
from geolab.change.sampling import both, no_overlap, shift_of
from geolab.change.scorers import Scorer
from geolab.change.sources import Seen, read_tiles
from geolab.change.windows import Tile, Tiling
from geolab.errors import GridMismatch, one_line
from geolab.raster.info import GDAL_OPTIONS

if TYPE_CHECKING:
    from geolab.change.model import Model

__all__ = ["METHODS", "Detection", "Request", "Step", "scene", "steps"]

log = logging.getLogger(__name__)

READ_AHEAD = 6  # tiles waiting for the scorer
CACHE_BYTES = 96_000_000  # of GDAL's cache, for blocks of the input; the rest is for the output


@dataclass(frozen=True)
class Detection:
    """Where the products are, and what they say.

    probability: COG, uint8, level / 254 = probability (score of a classic method), 255 nodata.
    mask: COG, uint8, 1 where probability >= threshold, 0 elsewhere, 255 nodata.
    polygons: GeoParquet; geojson: the same in longitude and latitude; see vector.polygons.
    changed_m2, valid_m2: area on the ground that changed and that is valid at both dates, m2;
    None, like geojson, for images without a CRS, whose size on the ground is unknown.
    changed_share: of the valid area (of the valid pixels without a CRS), 0..1.
    smallest_polygon_px: 1; more where the mask is salt and pepper, see `most` of vector.polygons.
    shift: how far `after` lies from `before`; it is reported, never repaired.
    """

    probability: str
    mask: str
    polygons: str
    geojson: str | None
    method: str
    threshold: float
    changed_m2: float | None
    valid_m2: float | None
    changed_share: float
    changed_px: int
    valid_px: int
    polygon_count: int
    smallest_polygon_px: int
    shift: Shift


@dataclass(frozen=True)
class Step:
    """Progress: `done` of `total` tiles; the last step carries the detection."""

    done: int
    total: int
    detection: Detection | None = None


def scene(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    method: str = "cva",
    model: Model | str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    tile_px: int = 512,
    align: bool = False,
    normalise: bool = False,
    workers: int | None = None,
    device: str = "auto",
) -> Detection:
    """What changed between two images of a place, as rasters and polygons in the folder `out`.

    before, after: URIs of rasters with the same bands on the same grid; the products lie on exactly
    the grid of `before`. out: a folder (or a URI to put the files below); each product appears whole.
    method: cva, irmad, pca_kmeans, or model, with `model` a Model, its folder, or its
    name@alias or name/version in the registry.
    threshold: of the probability, 0..1; the default is 0.5 for a classic method (Otsu's threshold
    on a sample of the scene scores 0.5) and the model's own, chosen on validation, for a model.
    tile_px: side of a tile, 64..8192. align: warp `after` onto the grid of `before` if they differ.
    normalise: fit `after` to the radiometry of `before` by pseudo-invariant pixels first.
    workers: threads that score; by default the setting. device: auto, cpu or cuda, for a model.

    Raises GridMismatch for different grids, unless align; BadInput for different bands, for values
    out of range, and where no pixel is valid at both dates; FileRejected, NotFound.
    """
    request = Request(
        before=os.fspath(before),
        after=os.fspath(after),
        out=os.fspath(out),
        method=method,
        model=os.fspath(model) if isinstance(model, os.PathLike) else model,
        threshold=threshold,
        tile_px=tile_px,
        align=align,
        normalise=normalise,
        workers=workers,
        device=device,
    )
    (last,) = deque(_work(request), maxlen=1)
    assert last.detection is not None
    return last.detection


def steps(request: Request) -> Generator[Step]:
    """What `scene` does, as steps: show progress, or stop the work by closing the generator."""
    return engine.ahead(_work(request), 1)


def _work(request: Request) -> Iterator[Step]:
    # the outer Env keeps GDAL's cache, which is one for the process, bounded until the last thread ends
    with (
        products.workplace(request.out) as work,
        rasterio.Env(**GDAL_OPTIONS),
        ThreadPoolExecutor(1) as aside,
    ):
        before, after = _pair(request, work)
        shift = aside.submit(shift_of, before, after)
        scorer, threshold = scorer_of(request, before, after)
        tiling = _tiling(request, scorer, (before, after))
        tally = products.Tally(before.height)
        found = yield from _stream(request, scorer, threshold, tiling, (before, after), work, tally)
        measured = shift.result()
        if measured.ok and measured.length_px > LARGEST_SHIFT_PX:
            log.warning("the images are not co-registered: %s", measured.describe())
        at = products.publish(work, request.out)
        detection = _detection(request, threshold, before, tally, found, measured, at)
        yield Step(len(tiling), len(tiling), detection)


def _detection(
    request: Request,
    threshold: float,
    info: raster.Info,
    tally: products.Tally,
    found: vector.Polygons,
    shift: Shift,
    at: dict[str, str],
) -> Detection:
    located = info.crs is not None
    weights = raster.row_areas_m2(info) if located else np.ones(info.height)
    changed, valid = float(tally.changed @ weights), float(tally.valid @ weights)
    return Detection(
        probability=at["probability.tif"],
        mask=at["mask.tif"],
        polygons=at["polygons.parquet"],
        geojson=at.get("polygons.geojson"),
        method=request.method,
        threshold=threshold,
        changed_m2=changed if located else None,
        valid_m2=valid if located else None,
        changed_share=changed / valid,
        changed_px=int(tally.changed.sum()),
        valid_px=int(tally.valid.sum()),
        polygon_count=found.count,
        smallest_polygon_px=found.smallest_px,
        shift=shift,
    )


# ---------------------------------------------------------------- the pair


def _pair(request: Request, work: Path) -> tuple[raster.Info, raster.Info]:
    """The headers of both images, on one grid and with the same bands."""
    before, after = raster.read_info(request.before), raster.read_info(request.after)
    paircheck.same_bands(before, after)
    try:
        raster.same_grid(before, after)
    except GridMismatch:
        if not request.align:
            raise
        aligned = raster.align(request.after, like=before, out=work / "aligned.tif")
        return before, raster.read_info(aligned)
    return before, after


# ---------------------------------------------------------------- the stream


def _tiling(request: Request, scorer: Scorer, pair: tuple[raster.Info, raster.Info]) -> Tiling:
    plan = Tiling(
        *pair[0].shape, request.tile_px, halo_px=scorer.halo_px, multiple_px=scorer.multiple_px
    )  # fmt: skip
    return replace(plan, panel_px=_panel_px(plan, pair))


def _panel_px(plan: Tiling, pair: tuple[raster.Info, raster.Info]) -> int:
    """How wide a panel may be so that the blocks under a row of tiles stay in the cache till the next row."""
    block_height = max(info.block_shape[0] for info in pair)
    block_width = max(info.block_shape[1] for info in pair)
    if block_width >= plan.width:  # strips: every panel would decode the whole rows again
        return plan.width
    rows = plan.step_px + 2 * plan.margin_px + 2 * block_height
    pixel_bytes = sum(np.dtype(dtype).itemsize for info in pair for dtype in info.dtypes)
    return max(plan.step_px, CACHE_BYTES // (rows * pixel_bytes) - 2 * block_width)


def _stream(
    request: Request,
    scorer: Scorer,
    threshold: float,
    tiling: Tiling,
    pair: tuple[raster.Info, raster.Info],
    work: Path,
    tally: products.Tally,
) -> Generator[Step, None, vector.Polygons]:
    """Score all tiles into probability.tif and mask.tif, a step for each, and trace the polygons."""
    height, width = pair[0].shape
    tiles = iter(tiling) if scorer.reflects else (tile.within(height, width) for tile in tiling)
    table = products.cut(threshold)

    def score(seen: tuple[Tile, Seen, Seen]) -> tuple[Tile, products.Levels, products.Levels]:
        tile, early, late = seen
        valid = both(early.valid, late.valid)
        core = None if valid is None else tile.core(valid)
        levels = products.quantise(tile.core(scorer(early, late)), core)
        return tile, levels, table[levels]

    writers = [products.writer(sheet) for sheet in _sheets(request, threshold, pair, work)]
    with (
        closing(engine.ahead(read_tiles(*pair, tiles), READ_AHEAD)) as seen,
        closing(products.Spool(work / "levels", width)) as spool,
        engine.sinks(*writers) as (probabilities, masks),
    ):
        for done, (tile, levels, mask) in enumerate(engine.ordered(score, seen, request.worker_count()), 1):
            probabilities.put((tile, levels))
            masks.put((tile, mask))
            spool.add(tile, levels)
            tally.add(tile, mask)
            yield Step(done, len(tiling))
        if not tally.valid.any():
            raise no_overlap()
        scorer.close()
        engine.release_memory()
        for sink in (probabilities, masks):  # they compress while patches are traced
            sink.end(abandon=False)
        strips = partial(spool.strips, vector.STRIP_PIXELS, table)
        return vector.trace(strips, pair[0], work, scale=1 / products.TOP_LEVEL)


def _sheets(
    request: Request, threshold: float, pair: tuple[raster.Info, raster.Info], work: Path
) -> tuple[products.Sheet, products.Sheet]:
    like = pair[0]
    tags = summary.carried(pair[0].tags, pair[1].tags) | {
        "GEOLAB_VERSION": geolab.__version__,
        "GEOLAB_METHOD": request.method,
        "GEOLAB_THRESHOLD": repr(threshold),
        "GEOLAB_BEFORE": _name(request.before),
        "GEOLAB_AFTER": _name(request.after),
    }
    if request.model is not None:
        model = request.model
        tags["GEOLAB_MODEL"] = _name(model) if isinstance(model, str) else f"{model.size}, not saved"
    return (
        products.Sheet(
            work / "probability.tif", like, "change probability", tags,
            scale=1 / products.TOP_LEVEL, resampling="average",
        ),
        products.Sheet(work / "mask.tif", like, "change", tags),
    )  # fmt: skip


def _name(uri: str) -> str:
    """The last part of a URI: a tag tells no one how the folders of this machine are called."""
    return one_line(uri.rstrip("/").rsplit("/", 1)[-1])
