"""Orthophoto and DSM of a scene made by hand: a checkerboard on a plane with a box of known height."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
import torch
from rasterio import Affine
from rasterio.crs import CRS
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch.nn.functional import pad

from geolab import raster
from geolab.errors import BadInput
from geolab.splats import harmonics, nadir, products, rasterize, render
from geolab.splats.frame import Frame
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.grid import Grid, project
from geolab.splats.products import Options
from geolab.splats.views import Camera

NORTH = Frame(12.34, 48.2, 430.0, "EGM96", "2024-08-30")
SOUTH = Frame(-70.66, -33.45, 520.0)
STEP_M = 0.1  # between Gaussians
SIZE_M = (13.0, 9.0)  # of the plane, east and north
BOX = (-4.0, -2.0, 1.0, 2.5)  # left, bottom, right, top
BOX_M = 3.25  # its height
CELL_M = 1.5  # of the checkerboard


def inside(x: np.ndarray, y: np.ndarray, margin: float = 0.0) -> np.ndarray:
    left, bottom, right, top = BOX
    return (x > left + margin) & (x < right - margin) & (y > bottom + margin) & (y < top - margin)


def colour(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The exact colour [..., 3] at places of the plane."""
    odd = (np.floor(x / CELL_M) + np.floor(y / CELL_M)) % 2 == 1
    base = np.where(odd[..., None], [0.85, 0.25, 0.15], [0.15, 0.55, 0.75])
    return np.where(inside(x, y)[..., None], [0.9, 0.9, 0.2], base)


def flat(places: np.ndarray, colours: np.ndarray, *, opacity: float = 0.95) -> Gaussians:
    """Level discs at places [N, 3] that overlap, so that together they are opaque."""
    n = len(places)
    return Gaussians(
        means=torch.tensor(places, dtype=torch.float32),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        log_scales=torch.tensor([STEP_M * 0.6, STEP_M * 0.6, 0.01]).log().repeat(n, 1),
        logit_opacities=torch.full((n,), math.log(opacity / (1 - opacity))),
        sh=pad(torch.tensor((colours - 0.5) / SH_C0, dtype=torch.float32)[:, None], (0, 0, 0, 15)),
    )


def board() -> Gaussians:
    """The plane, and the roof of the box over it."""
    east = np.arange(-SIZE_M[0] / 2 + STEP_M / 2, SIZE_M[0] / 2, STEP_M)
    north = np.arange(-SIZE_M[1] / 2 + STEP_M / 2, SIZE_M[1] / 2, STEP_M)
    x, y = (v.ravel() for v in np.meshgrid(east, north))
    # by some millimetres in no order: discs of equal height would hide one another from one side
    z = np.where(inside(x, y), BOX_M, 0.0) + np.random.default_rng(0).uniform(-0.004, 0.004, len(x))
    return flat(np.stack([x, y, z], axis=1), colour(x, y))


def joined(*parts: Gaussians) -> Gaussians:
    names = [f.name for f in dataclasses.fields(Gaussians)]
    return Gaussians(*(torch.cat([getattr(p, name) for p in parts]) for name in names))


def bounds(frame: Frame, margin: float = 0.0) -> tuple[float, float, float, float]:
    """The plane's in the frame's UTM zone, about."""
    x, y = project(frame.lonlat([[0.0, 0, 0]]), CRS.from_string(frame.crs))[0]
    w, h = SIZE_M[0] / 2 + margin, SIZE_M[1] / 2 + margin
    return x - w, y - h, x + w, y + h


def places(frame: Frame, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """East and north [y, x] of every pixel's centre, by way of GDAL."""
    with rasterio.open(path) as dataset:
        rows, columns = np.mgrid[: dataset.height, : dataset.width] + 0.5
        t, crs = dataset.transform, dataset.crs
    x, y = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
    lon, lat = rasterio.warp.transform(crs, "EPSG:4326", x.ravel(), y.ravel())
    enu = frame.enu(np.stack([lon, lat, np.full(len(lon), frame.height_m)], axis=1))
    return enu[:, 0].reshape(x.shape), enu[:, 1].reshape(x.shape)


def shift_px(image: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """By how many rows and columns an image [y, x, 3] is moved against another; least squares.

    Of what lies 8 pixels within the image; black is nothing.
    """
    known = ndimage.binary_erosion(image.any(axis=-1), iterations=8)
    smooth = [ndimage.gaussian_filter(v.astype(float), (1.5, 1.5, 0)) for v in (image, exact)]
    design = np.stack([-s[known].ravel() for s in np.gradient(smooth[1], axis=(0, 1))], axis=1)
    return np.linalg.lstsq(design, (smooth[0] - smooth[1])[known].ravel(), rcond=None)[0]


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def overhead(n: int = 4, height: float = 20.0) -> list[Camera]:
    """Cameras that look down on the board."""
    K = render.pinhole(96, 72, 55)
    spots = [(-2.0, -1.0), (2.0, -1.0), (-2.0, 1.0), (2.0, 1.0)][:n]
    return [render.look_at((x, y, height), (x, y, 0), K=K, width=96, height=72) for x, y in spots]


@pytest.mark.parametrize("frame", [NORTH, SOUTH], ids=["north", "south"])
def test_products_lie_where_the_model_lies(frame: Frame, tmp_path: Path) -> None:
    made = products.orthophoto_and_dsm(
        board(), frame, gsd_m=0.07, out=tmp_path, bounds=bounds(frame, -0.5), options=Options(samples=2)
    )
    east, north = places(frame, made.orthophoto)
    image, surface = pixels(made.orthophoto), pixels(made.dsm)
    assert east.shape == image.shape[1:]
    assert east.shape[0] != east.shape[1]
    exact = colour(east, north)
    assert np.abs(shift_px(image[:3].transpose(1, 2, 0) / 255, exact)).max() < 0.05
    assert (image[3] > 240).all()
    assert made.covered == 1
    roof, ground = inside(east, north, 0.15), ~inside(east, north, -0.15)
    np.testing.assert_allclose(surface[0][roof], frame.height_m + BOX_M, atol=0.01)
    np.testing.assert_allclose(surface[0][ground], frame.height_m, atol=0.01)
    level = inside(east, north, 0.5) | ~inside(east, north, -0.5)
    assert surface[1][level].max() < 0.01
    assert (surface[2] > 0.94).all()


def test_a_pixel_s_colour_is_that_of_the_model_there(tmp_path: Path) -> None:
    made = products.orthophoto_and_dsm(board(), NORTH, gsd_m=0.1, out=tmp_path, bounds=bounds(NORTH, -0.5))
    east, north = places(NORTH, made.orthophoto)
    apart = np.abs((east / CELL_M) % 1 - 0.5) < 0.3  # from the edges of the cells
    apart &= np.abs((north / CELL_M) % 1 - 0.5) < 0.3
    apart &= inside(east, north, 0.3) | ~inside(east, north, -0.3)
    image = pixels(made.orthophoto)[:3].transpose(1, 2, 0) / 255
    np.testing.assert_allclose(image[apart], colour(east, north)[apart], atol=0.01)


def blobs(n: int = 40) -> Gaussians:
    """Gaussians of any shape, direction, opacity and view-dependent colour."""
    rng = np.random.default_rng(3)
    return Gaussians(
        means=torch.tensor(rng.uniform([-3, -2, 0], [3, 2, 4], (n, 3)), dtype=torch.float32),
        quats=torch.tensor(rng.normal(size=(n, 4)), dtype=torch.float32),
        log_scales=torch.tensor(rng.uniform(-3, -0.3, (n, 3)), dtype=torch.float32),
        logit_opacities=torch.tensor(rng.uniform(-1, 3, n), dtype=torch.float32),
        sh=torch.tensor(rng.normal(0, 0.3, (n, 16, 3)), dtype=torch.float32),
    )


def looked_down(g: Gaussians, east: float, north: float, gsd_m: float) -> tuple[np.ndarray, float, float]:
    """Colour times alpha, alpha, median height along one ray: a loop in float64, all in the frame."""
    means, scales = g.means.double().numpy(), g.scales.double().numpy()
    turn = Rotation.from_quat(g.quats.double().numpy()[:, [1, 2, 3, 0]]).as_matrix()
    down = harmonics.basis(np.array([[0.0, 0, -1]]), 3)[0]
    colours = np.maximum(np.einsum("k,nkc->nc", down, g.sh.double().numpy()) + 0.5, 0)
    left, rgb, median = 1.0, np.zeros(3), np.nan
    for i in np.argsort(-means[:, 2]):
        cov = (turn[i] * scales[i] ** 2) @ turn[i].T
        away = np.array([east, north]) - means[i, :2]
        power = away @ np.linalg.inv(cov[:2, :2] + 0.3 * gsd_m**2 * np.eye(2)) @ away
        alpha = min(0.999, float(g.opacities[i]) * math.exp(-power / 2))
        if alpha < 1 / 255:
            continue
        rgb += left * alpha * colours[i]
        if left > 0.5 >= left * (1 - alpha):
            median = means[i, 2]
        left *= 1 - alpha
    return rgb, 1 - left, median


@pytest.mark.parametrize("frame", [NORTH, SOUTH], ids=["north", "south"])
def test_a_tile_equals_a_loop_over_the_gaussians(frame: Frame, tmp_path: Path) -> None:
    gsd_m = 0.25
    made = products.orthophoto_and_dsm(
        blobs(), frame, gsd_m=gsd_m, out=tmp_path, bounds=bounds(frame),
        options=Options(samples=1, min_coverage=1e-3, heights=(-1e4, 1e4)),
    )  # fmt: skip
    east, north = places(frame, made.dsm)
    image, surface = pixels(made.orthophoto), pixels(made.dsm)
    compared = 0
    for r, c in np.argwhere(np.isfinite(surface[0]))[::9]:
        rgb, alpha, median = looked_down(blobs(), east[r, c], north[r, c], gsd_m)
        assert abs(surface[2, r, c] - alpha) < 2e-3
        np.testing.assert_allclose(image[:3, r, c] / 255, np.clip(rgb / alpha, 0, 1), atol=6e-3)
        compared += 1
        if not 0.495 < alpha < 0.505:
            assert abs(surface[0, r, c] - frame.height_m - median) < 2e-3
    assert compared > 15


def test_the_size_of_the_tiles_changes_no_pixel(tmp_path: Path) -> None:
    model = joined(board(), blobs())
    made = [
        products.orthophoto_and_dsm(
            model, NORTH, gsd_m=0.11, out=tmp_path / str(tile_px), bounds=bounds(NORTH, 0.4),
            options=Options(tile_px=tile_px, samples=2),
        )
        for tile_px in (512, 17, 64)
    ]  # fmt: skip
    for other in made[1:]:
        assert (pixels(other.orthophoto) == pixels(made[0].orthophoto)).all()
        ours, theirs = pixels(other.dsm), pixels(made[0].dsm)
        assert np.array_equal(ours[0], theirs[0], equal_nan=True)
        np.testing.assert_allclose(ours[1:], theirs[1:], atol=2e-4)  # rounding of sums in float32


def test_samples_of_a_pixel_are_averaged_and_their_median_ignores_gaps() -> None:
    rng = np.random.default_rng(0)
    samples = np.where(rng.random((6, 15)) < 0.4, np.nan, rng.normal(size=(6, 15)))
    samples[:3, :3] = np.nan
    for r, c in np.ndindex(2, 5):
        block = samples[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
        known = block[np.isfinite(block)]
        middle = np.median(known) if known.size else np.nan
        assert np.array_equal(nadir._median(samples, 3)[r, c], middle, equal_nan=True)
        filled = np.nan_to_num(samples)
        assert nadir._mean(filled, 3)[r, c] == pytest.approx(np.nan_to_num(block).mean())


def test_a_turned_grid_shows_the_same_ground(tmp_path: Path) -> None:
    x, y, *_ = bounds(NORTH)
    turned = Affine.translation(x + 6.5, y + 4.5) @ Affine.rotation(-33) @ Affine.scale(0.08, -0.08)
    like = Grid(CRS.from_string(NORTH.crs), turned @ Affine.translation(-60, -40), 120, 81, 0.08).info()
    made = products.orthophoto_and_dsm(
        board(), NORTH, gsd_m=1, out=tmp_path, like=like, options=Options(samples=2)
    )
    raster.same_grid(raster.read_info(str(made.dsm)), like)
    east, north = places(NORTH, made.orthophoto)
    image = pixels(made.orthophoto)[:3].transpose(1, 2, 0) / 255
    assert np.abs(shift_px(image, colour(east, north))).max() < 0.1
    roof = inside(east, north, 0.15)
    np.testing.assert_allclose(pixels(made.dsm)[0][roof], NORTH.height_m + BOX_M, atol=0.01)


def test_a_place_far_from_the_origin_is_mapped_through_the_earth_s_curvature(tmp_path: Path) -> None:
    away = 4000.0
    disc = flat(np.array([[away, 0, 0.0]]), np.array([[0.8, 0.5, 0.2]]))
    disc = dataclasses.replace(disc, log_scales=torch.zeros(1, 3))
    x, y = project(NORTH.lonlat([[away, 0, 0]]), CRS.from_string(NORTH.crs))[0]
    made = products.orthophoto_and_dsm(
        disc, NORTH, gsd_m=0.5, out=tmp_path, bounds=(x - 2, y - 2, x + 2, y + 2)
    )
    height = np.nanmedian(pixels(made.dsm)[0])
    assert abs(height - (NORTH.height_m + away**2 / 2 / 6.37e6)) < 0.01


def test_where_nothing_is_there_is_no_data(tmp_path: Path) -> None:
    made = products.orthophoto_and_dsm(board(), NORTH, gsd_m=0.1, out=tmp_path, bounds=bounds(NORTH, 2.0))
    image, surface = pixels(made.orthophoto), pixels(made.dsm)
    empty = np.isnan(surface[0])
    assert 0.2 < empty.mean() < 0.6
    assert (np.isnan(surface) == empty).all()
    assert (image[:, empty] == 0).all()
    assert (image[3, ~empty] >= 127).all()
    assert abs(made.covered - (~empty).mean()) < 1e-9


def test_sigma_is_how_far_a_surface_is_smeared(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ground = board().means.double().numpy()
    layers = [
        flat(ground * [1, 1, 0] + [0, 0, z], colour(*ground.T[:2]), opacity=0.05)
        for z in rng.normal(0, 0.4, 12)
    ]
    made = products.orthophoto_and_dsm(
        joined(*layers),
        NORTH,
        gsd_m=0.3,
        out=tmp_path,
        bounds=bounds(NORTH, -1),
        options=Options(samples=1, heights=(400, 460)),
    )
    surface = pixels(made.dsm)
    heights = np.sort([float(part.means[0, 2]) for part in layers])[::-1]
    opacity = 1 - (1 - surface[2].mean()) ** (1 / 12)  # of one layer
    weight = opacity * (1 - opacity) ** np.arange(12)
    mean = np.average(heights, weights=weight)
    spread = math.sqrt(np.average((heights - mean) ** 2, weights=weight))
    assert abs(surface[1].mean() - spread) < 0.02


def test_floaters_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    floater = flat(np.array([[2.0, -1.0, 12.0]]), np.array([[0.0, 0.0, 0.0]]))
    floater = dataclasses.replace(floater, log_scales=torch.zeros(1, 3))
    model = joined(board(), floater)
    where = {"gsd_m": 0.2, "bounds": bounds(NORTH, -1)}
    usual = products.orthophoto_and_dsm(model, NORTH, out=tmp_path / "a", cameras=overhead(), **where)
    assert pixels(usual.dsm)[0].max() < NORTH.height_m + BOX_M + 0.01
    assert usual.heights[1] < NORTH.height_m + 12
    every = Options(heights=(NORTH.height_m - 10, NORTH.height_m + 100))
    asked = products.orthophoto_and_dsm(model, NORTH, out=tmp_path / "b", options=every, **where)
    assert pixels(asked.dsm)[0].max() > NORTH.height_m + 11


def test_what_too_few_photos_saw_does_not_count_as_covered(tmp_path: Path) -> None:
    model = board()
    below = flat(np.array([[-1.5, 0.2, 1.0]]), np.array([[1.0, 0, 0]]))  # under the roof
    model = joined(model, below)
    K = render.pinhole(96, 72, 30)
    cameras = [render.look_at((-2 + k / 5, 0, 9), (-2, 0, 3), K=K, width=96, height=72) for k in range(3)]
    seen = products.observability(model, cameras)
    assert seen.views[-1] == 0
    bare = products.observability(below, cameras)
    assert seen.weights[-1] < 0.1 * bare.weights[0]
    roof = model.means[:-1, 2] > 1
    near = roof & (model.means[:-1, 0] + 2).abs().lt(0.5) & model.means[:-1, 1].abs().lt(0.5)
    assert (seen.views[:-1][near] == 3).all()
    made = products.orthophoto_and_dsm(
        model, NORTH, gsd_m=0.1, out=tmp_path, bounds=bounds(NORTH, -0.5), seen=seen,
        options=Options(heights=(0, 1000)),
    )  # fmt: skip
    east, north = places(NORTH, made.dsm)
    coverage, image = pixels(made.dsm)[2], pixels(made.orthophoto)
    assert coverage[(np.abs(east + 2) < 0.4) & (np.abs(north) < 0.4)].min() > 0.9
    assert np.isnan(coverage[east > 4]).all()
    assert image[:, east > 4].max() == 0


def test_weights_are_the_pixels_that_a_gaussian_fills() -> None:
    cameras = overhead(2)
    seen = products.observability(board(), cameras)
    filled = sum(float(rasterize.render(board(), c).alpha.sum()) for c in cameras)
    assert abs(float(seen.weights.sum()) / filled - 1) < 1e-4
    small = products.observability(board(), cameras, image_px=48)
    assert abs(float(small.weights.sum()) / filled - 1) < 0.2  # in the photos' own pixels, but for edges


def test_a_footprint_cuts_the_products_and_the_default_is_what_the_cameras_saw(tmp_path: Path) -> None:
    corners = NORTH.lonlat([[-3, -3, 0], [3, -3, 0], [0, 3, 0], [-3, -3, 0]])[:, :2].tolist()
    triangle = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }
    made = products.orthophoto_and_dsm(board(), NORTH, gsd_m=0.1, out=tmp_path / "a", footprint=triangle)
    known = np.isfinite(pixels(made.dsm)[0])
    assert abs(known.sum() * 0.01 - 18) < 0.2
    assert abs(made.covered - 1) < 1e-9
    stray = flat(np.array([[400.0, 90, 0], [-300, 0, 5]]), np.zeros((2, 3)))
    usual = products.orthophoto_and_dsm(
        joined(board(), stray), NORTH, gsd_m=0.1, out=tmp_path / "b", cameras=overhead()
    )
    size = np.array([usual.grid.width, usual.grid.height]) * 0.1
    assert (size < np.array(SIZE_M) + 0.5).all()
    assert (size > np.array(SIZE_M) * 0.9).all()


def test_the_files_are_cogs_that_say_what_they_are(tmp_path: Path) -> None:
    made = products.orthophoto_and_dsm(board(), NORTH, gsd_m=0.02, out=tmp_path, bounds=bounds(NORTH, -0.5))
    for path, role in ((made.orthophoto, "image"), (made.dsm, "dsm")):
        assert raster.is_cog(str(path))
        info = raster.read_info(str(path))
        assert info.tags["GEOLAB_ROLE"] == role
        assert info.tags["TIFFTAG_DATETIME"] == "2024:08:30 00:00:00"
        assert (info.transform.c % 0.02 + 1e-6) % 0.02 < 1e-5
        with rasterio.open(path) as dataset:
            assert dataset.overviews(1)
    assert raster.read_info(str(made.orthophoto)).colorinterp == ("red", "green", "blue", "alpha")
    surface = raster.read_info(str(made.dsm))
    assert surface.band_names == ("height", "sigma", "coverage")
    assert surface.dtype == "float32"
    assert surface.tags["VERTICAL_DATUM"] == "EGM96"
    assert math.isnan(surface.nodata or 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dsm.tif", "orthophoto.tif"]


def test_nothing_is_left_of_products_that_were_given_up(tmp_path: Path) -> None:
    tiles = products.steps(
        board(), NORTH, gsd_m=0.1, out=tmp_path, bounds=bounds(NORTH), options=Options(tile_px=32)
    )
    first = next(tiles)
    assert first.total == 15
    assert 0 < first.progress < 0.1
    assert first.products is None
    tiles.close()
    assert not list(tmp_path.iterdir())
    done = list(
        products.steps(
            board(), NORTH, gsd_m=0.1, out=tmp_path, bounds=bounds(NORTH), options=Options(tile_px=32)
        )
    )
    assert [t.done for t in done] == list(range(1, 16))
    assert done[-1].products is not None
    assert done[-1].progress == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"frame": None}, "model: found no place on Earth, expected a frame"),
        ({"crs": "EPSG:4326"}, "CRS: found EPSG:4326, expected a projected CRS"),
        ({"crs": "EPSG:3857"}, "expected one that is true to 1 %; use EPSG:32633"),
        ({"crs": "hello"}, "CRS: found 'hello'"),
        ({"gsd_m": 0.0}, "gsd_m: found 0.0, expected 0.001 to 10000 metres"),
        ({"gsd_m": math.nan}, "gsd_m: found nan"),
        ({"bounds": (0, 0, 1e6, 1e6)}, "choose a larger gsd_m or a smaller footprint"),
        ({"bounds": (5, 0, 1, 1)}, "bounds: found (5, 0, 1, 1), expected left < right"),
        ({"bounds": (301000, 5342000, 301009, 5342009)}, "footprint: found nothing of the model inside"),
        ({"footprint": {"type": "Point", "coordinates": [12, 48]}}, "footprint: found Point without an area"),
        ({"footprint": [1, 2]}, "footprint: found [1, 2], expected GeoJSON"),
        ({"options": Options(heights=(-9, -8))}, "no Gaussian between -9.0 and -8.0 m"),
        ({"seen": products.Observability(torch.ones(3), torch.ones(3))}, "seen: found 3 Gaussians"),
        ({"model": flat(np.zeros((0, 3)), np.zeros((0, 3)))}, "model: found no Gaussians"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_refused_in_one_line(asked: dict, message: str, tmp_path: Path) -> None:
    usual = {"model": board(), "frame": NORTH, "gsd_m": 0.1}
    if not {"crs", "footprint"} & set(asked):
        usual |= {"bounds": bounds(NORTH)}
    told = usual | asked
    with pytest.raises(BadInput) as caught:
        products.orthophoto_and_dsm(told.pop("model"), told.pop("frame"), out=tmp_path, **told)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_cameras_that_see_nothing_of_the_model_are_said(tmp_path: Path) -> None:
    away = [render.look_at((500, 0, 20), (900, 0, 20), K=render.pinhole(64, 48, 50), width=64, height=48)]
    with pytest.raises(BadInput, match="no opaque Gaussian in view of 1 cameras"):
        products.orthophoto_and_dsm(board(), NORTH, gsd_m=0.1, out=tmp_path, cameras=away)


@pytest.mark.parametrize("wrong", [{"tile_px": 8}, {"samples": 99}, {"min_coverage": 0}, {"heights": (3, 1)}])
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Options(**wrong)
