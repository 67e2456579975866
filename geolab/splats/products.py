"""What is made of a model: a true orthophoto and a surface model (DSM) as COGs, volumes, comparisons.

    for tile in products.steps(gaussians, frame, gsd_m=0.1, out=folder, cameras=cameras):
        ...
    made = tile.products

The model is drawn tile by tile along parallel rays straight down, so nothing leans and memory does not
grow with the product. The orthophoto is RGBA, its alpha the coverage. The DSM's bands are the height
(where the ray has lost half its light), its sigma (how far the surface is smeared along the ray), and
the coverage: the share of the ray that surface stops or, with `seen`, surface that was seen in enough
photos; what none has seen is then not drawn at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features
from rasterio.windows import Window, transform
from shapely.geometry.base import BaseGeometry

from geolab import raster
from geolab.errors import BadInput
from geolab.splats import extent
from geolab.splats.compare import DsmScores, compare_dsm
from geolab.splats.flatten import flatten
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.grid import Bounds, Grid, Polygon, grid, grid_of, polygon_in, projected
from geolab.splats.nadir import Pixels, look_down
from geolab.splats.observe import Observability, observability
from geolab.splats.views import Camera
from geolab.splats.volume import Volume, volume

__all__ = [
    "DsmScores",
    "Observability",
    "Options",
    "Products",
    "Tile",
    "Volume",
    "compare_dsm",
    "observability",
    "orthophoto_and_dsm",
    "steps",
    "volume",
]

NAMES = ("orthophoto.tif", "dsm.tif")
BANDS = ("height", "sigma", "coverage")
FINEST_SAMPLES = 4


@dataclass(frozen=True)
class Options:
    """How to draw.

    heights: (lowest, highest) mean of the Gaussians that are drawn, metres in the frame's datum: what lies
    outside is a floater; None for what extent.height_range finds. samples: rays along each side of a pixel;
    0 for as many as the model's detail asks, up to 4.
    """

    tile_px: int = 512  # side of the tiles; changes no colour and no height
    samples: int = 0
    min_coverage: float = 0.5  # below it there is no data, 0..1
    min_views: int = 3  # photos that must have seen a surface that counts as covered, with `seen`
    heights: tuple[float, float] | None = None
    rasterize_mode: Literal["classic", "antialiased"] = "classic"  # as the model was trained
    backend: str = "auto"

    def __post_init__(self) -> None:
        expected = {
            "tile_px": (16 <= self.tile_px <= 8192, "16 to 8192"),
            "samples": (0 <= self.samples <= 16, "0 to 16"),
            "min_coverage": (0 < self.min_coverage <= 1, "more than 0, at most 1"),
            "min_views": (self.min_views >= 1, "at least 1"),
            "heights": (self.heights is None or self.heights[0] < self.heights[1], "lowest < highest"),
        }
        for name, (good, wanted) in expected.items():
            if not good:
                raise BadInput(name, found=getattr(self, name), expected=wanted)


@dataclass(frozen=True)
class Products:
    """The two files and what was found on the way.

    covered: share of the footprint with data. heights: the range that was drawn. samples: rays along a
    pixel's side.
    """

    orthophoto: Path
    dsm: Path
    grid: Grid
    covered: float
    heights: tuple[float, float]
    samples: int


@dataclass(frozen=True)
class Tile:
    """One tile done, of `total`; the last carries the products."""

    done: int
    total: int
    products: Products | None = field(default=None, repr=False)

    @property
    def progress(self) -> float:
        """0..1."""
        return self.done / self.total


def orthophoto_and_dsm(
    gaussians: Gaussians, frame: Frame | None, *, gsd_m: float, out: str | Path,
    bounds: Bounds | None = None, footprint: Polygon | None = None, crs: str | None = None,
    like: raster.Info | str | Path | None = None, cameras: Sequence[Camera] = (),
    seen: Observability | None = None, options: Options = Options(),
) -> Products:  # fmt: skip
    """The orthophoto and the DSM of a model, as `out`/orthophoto.tif and `out`/dsm.tif; see `steps`."""
    last = None
    for tile in steps(
        gaussians, frame, gsd_m=gsd_m, out=out, bounds=bounds, footprint=footprint, crs=crs, like=like,
        cameras=cameras, seen=seen, options=options,
    ):  # fmt: skip
        last = tile
    assert last is not None
    assert last.products is not None
    return last.products


def steps(
    gaussians: Gaussians, frame: Frame | None, *, gsd_m: float, out: str | Path,
    bounds: Bounds | None = None, footprint: Polygon | None = None, crs: str | None = None,
    like: raster.Info | str | Path | None = None, cameras: Sequence[Camera] = (),
    seen: Observability | None = None, options: Options = Options(),
) -> Iterator[Tile]:  # fmt: skip
    """The tiles of an orthophoto and a DSM as they are drawn; the last one carries the products.

    gsd_m: side of a pixel. crs: a projected one; the UTM zone of the frame if None. Where: bounds (left,
    bottom, right, top, in the CRS); a footprint (GeoJSON in lon/lat, or shapely in the CRS), beyond which
    there is no data; the grid of `like`, which overrules gsd_m and crs; or by default the bulk of what
    the cameras saw. cameras: those of training. seen: from `observability`, for the coverage band.
    Nothing appears under `out` before all is done. Raises BadInput.
    """
    if frame is None:
        raise BadInput(
            "model", found="no place on Earth", expected="a frame",
            remedy="georeference the scene first: geolab.splats.georef.locate(scene)",
        )  # fmt: skip
    if not len(gaussians):
        raise BadInput("model", found="no Gaussians", expected="at least one")
    if seen is not None and len(seen.views) != len(gaussians):
        raise BadInput("seen", found=f"{len(seen.views)} Gaussians", expected=f"the model's {len(gaussians)}")
    crs_there = grid_of(like).crs if like is not None else projected(crs or frame.crs)
    area = None if footprint is None else polygon_in(crs_there, footprint, what="footprint")
    if like is not None:
        target = grid_of(like)
    else:
        if bounds is None and area is None:
            bounds = extent.bulk(gaussians, frame, crs_there, cameras)
        target = grid(frame, gsd_m=gsd_m, bounds=bounds, area=area, crs=crs_there)
    yield from _draw(_Job(gaussians, frame, target, area, cameras, seen, options, Path(out)))


@dataclass(frozen=True)
class _Job:
    gaussians: Gaussians
    frame: Frame
    grid: Grid
    area: BaseGeometry | None
    cameras: Sequence[Camera]
    seen: Observability | None
    options: Options
    out: Path


def _draw(job: _Job) -> Iterator[Tile]:
    options = job.options
    heights = options.heights or extent.height_range(job.gaussians, job.frame, job.cameras)
    times = options.samples or _samples(job)
    views = None if job.seen is None else job.seen.views.to(job.gaussians.means.device)
    kept = None if views is None else views > 0  # the others are guesses
    flat = flatten(job.gaussians, job.frame, job.grid.finer(times), heights=heights, kept=kept)
    if not len(flat):
        raise BadInput(
            "model", found=f"no Gaussian between {heights[0]:.1f} and {heights[1]:.1f} m", expected="some"
        )
    observed = None if views is None else views[flat.index] >= options.min_views
    windows = list(raster.iter_windows(job.grid.info(), options.tile_px))
    paths = tuple(job.out / name for name in NAMES)
    covered = inside = 0
    with ExitStack() as stack:
        image, surface = _open(stack, job, paths)
        for done, window in enumerate(windows, 1):
            pixels = look_down(
                flat, window, times=times, observed=observed, mode=options.rasterize_mode,
                backend=options.backend,
            )  # fmt: skip
            within = _within(job, window)
            valid = within & (pixels.coverage >= options.min_coverage) & np.isfinite(pixels.height)
            image.write(_rgba(pixels, valid), window)
            surface.write(_bands(pixels, valid), window)
            covered += int(valid.sum())
            inside += int(within.sum())
            if done < len(windows):
                yield Tile(done, len(windows))
        if not covered:
            raise BadInput(
                "footprint", found="nothing of the model inside", expected="a place that the photos show"
            )
    made = Products(paths[0], paths[1], job.grid, covered / inside, heights, times)
    yield Tile(len(windows), len(windows), made)


def _open(stack: ExitStack, job: _Job, paths: Sequence[Path]) -> list[raster.Writer]:
    like = job.grid.info()
    when = (
        {"TIFFTAG_DATETIME": f"{job.frame.epoch[:10].replace('-', ':')} 00:00:00"} if job.frame.epoch else {}
    )
    datum = {"VERTICAL_DATUM": job.frame.vertical_datum, "AREA_OR_POINT": "Area"}
    image = raster.write_cog(
        paths[0], like=like, count=4, dtype="uint8", band_names=("red", "green", "blue", "coverage"),
        colorinterp=("red", "green", "blue", "alpha"), tags={"GEOLAB_ROLE": "image", **when},
        resampling="average",
    )  # fmt: skip
    surface = raster.write_cog(
        paths[1], like=like, count=3, dtype="float32", nodata=float("nan"), band_names=BANDS,
        tags={"GEOLAB_ROLE": "dsm", "UNITS": "metre, metre, 1", **datum, **when}, resampling="average",
    )  # fmt: skip
    return [stack.enter_context(image), stack.enter_context(surface)]


def _samples(job: _Job) -> int:
    """Rays along a pixel's side: a ray for every two standard deviations of a typical Gaussian's width."""
    kept = job.gaussians.scales.detach()[extent.surface(job.gaussians, job.cameras)]
    typical = float(kept.median(dim=1).values.median())
    return int(np.clip(np.ceil(job.grid.gsd_m / (2 * typical)), 1, FINEST_SAMPLES))


def _within(job: _Job, window: Window) -> NDArray[np.bool_]:
    """Which pixels of a window have their centre in the footprint."""
    shape = (int(window.height), int(window.width))
    if job.area is None:
        return np.ones(shape, bool)
    place = transform(window, job.grid.transform)
    left, bottom, right, top = job.grid.info().bounds
    part = shapely.intersection(job.area, shapely.box(left, bottom, right, top))
    if part.is_empty:
        return np.zeros(shape, bool)
    return features.geometry_mask([part], shape, place, invert=True)


def _rgba(pixels: Pixels, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """[4, y, x], not premultiplied, 0 where not valid."""
    straight = pixels.rgb / np.maximum(pixels.alpha, 1e-6)[..., None]
    stacked = np.concatenate([straight, pixels.coverage[..., None]], axis=-1)
    levels = np.clip(stacked, 0, 1) * 255 + 0.5
    return np.where(valid[..., None], levels, 0).astype(np.uint8).transpose(2, 0, 1)


def _bands(pixels: Pixels, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    stacked = np.stack([pixels.height, pixels.sigma, pixels.coverage]).astype(np.float32)
    return np.where(valid, stacked, np.float32(np.nan))
