"""Detection by tiles against the whole scene at once, on grids and sizes that hide nothing."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.windows import Window
from scipy import ndimage

from geolab import raster, store
from geolab.change import classic, detect, export, model, products, radiometry
from geolab.errors import BadInput, FileRejected, GridMismatch, NotFound

UTM = Affine(2, 0, 500_000, 0, -3, 5_200_000)
ROTATED = Affine.translation(500_000, 5_200_000) @ Affine.rotation(25) @ Affine.scale(2, -3)
GRIDS = {
    "UTM, non-square pixels": ("EPSG:32633", UTM),
    "rotated": ("EPSG:32633", ROTATED),
    "south-up": ("EPSG:32633", Affine(2, 0, 500_000, 0, 2, 5_200_000)),
    "degrees": ("EPSG:4326", Affine(1e-4, 0, 12.0, 0, -2e-4, 60.0)),
}


def pair(height: int, width: int, *, bands: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two dates of textured ground with a few changed blocks, [band, y, x] uint8, never 0."""
    rng = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(rng.normal(0, 1, (bands, height, width)), (0, 1.5, 1.5), mode="wrap")
    before = 110 + 30 * ground / max(ground.std(), 1e-9)
    after = before * 0.9 + 12 + rng.normal(0, 3, before.shape)
    for _ in range(6):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        after[:, top : top + 1 + height // 8, left : left + 1 + width // 9] += 70
    return tuple(np.clip(date, 1, 255).astype("uint8") for date in (before, after))


def write(path: Path, pixels: np.ndarray, *, crs="EPSG:32633", transform=UTM, nodata=None, **options) -> str:
    count, height, width = pixels.shape
    if count != 3 and "alpha" not in options:
        options["photometric"] = "MINISBLACK"  # GDAL calls the last of four bytes alpha otherwise
    with rasterio.open(
        path, "w", driver="GTiff", dtype=pixels.dtype, count=count, height=height, width=width,
        crs=crs, transform=transform, nodata=nodata, **options,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return str(path)


def files(folder: Path, dates: tuple[np.ndarray, np.ndarray], **options) -> tuple[str, str]:
    return write(folder / "before.tif", dates[0], **options), write(folder / "after.tif", dates[1], **options)


def read(uri: str) -> np.ndarray:
    with rasterio.open(uri) as dataset:
        return dataset.read(1)


@functools.cache
def network(bands: int = 4) -> model.Model:
    """A model with random weights that gives all probabilities, not only those near one half."""
    scaling = model.Preprocessing(tuple(f"b{i}" for i in range(bands)), (110.0,) * bands, (35.0,) * bands)
    made = model.untrained(scaling, seed=3)
    import torch

    with torch.no_grad():
        last = [m for m in made.network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
        last.weight *= 20
    return made


def whole_scene(made: model.Model, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The twin: the scene in one piece, continued by reflection, [y, x] probability."""
    height, width = before.shape[1:]
    halo, multiple = made.halo_px, made.multiple_px
    pads = [(0, 0), *[(halo, halo + -length % multiple) for length in (height, width)]]
    dates = [
        made.preprocessing.apply(np.pad(d.astype("float32"), pads, mode="reflect")) for d in (before, after)
    ]
    out = export.predictor(made, device="cpu")(dates[0][None], dates[1][None])[0]
    return out[halo : halo + height, halo : halo + width]


# ---------------------------------------------------------------- tiles


@pytest.mark.parametrize(
    ("height", "width"), [(203, 331), (64, 500), (37, 21), (1, 300), (170, 1), (1, 1), (129, 128)]
)
def test_a_model_by_tiles_gives_what_the_whole_scene_gives(tmp_path, height, width):
    dates = pair(height, width)
    before, after = files(tmp_path, dates)
    expected = whole_scene(network(), *dates) * 254
    found = detect.scene(before, after, tmp_path / "out", method="model", model=network(), tile_px=64)
    levels = read(found.probability)
    assert np.abs(levels - expected).max() <= 0.501
    assert height * width < 100 or np.ptp(levels) > 50  # the twin would agree on a constant too


@pytest.mark.parametrize("method", ["cva", "irmad", "pca_kmeans"])
@pytest.mark.parametrize(("height", "width"), [(203, 331), (401, 67)])
def test_a_statistic_by_tiles_gives_what_the_whole_scene_gives(tmp_path, method, height, width):
    dates = pair(height, width)
    whole = [date.astype("float32") for date in dates]
    fitted = classic.fit(method, [(whole[0], whole[1])])
    expected = fitted.score(fitted.statistic(*whole)) * 254
    found = detect.scene(*files(tmp_path, dates), tmp_path / "out", method=method, tile_px=64)
    assert np.abs(read(found.probability) - expected).max() <= 0.51
    assert found.threshold == 0.5


@pytest.mark.parametrize("method", ["cva", "irmad", "pca_kmeans", "model"])
def test_tile_size_changes_no_level_by_more_than_one(tmp_path, method):
    before, after = files(tmp_path, pair(230, 317), nodata=0)
    options = {"method": method, "model": network() if method == "model" else None}
    one, two = (detect.scene(before, after, tmp_path / str(px), tile_px=px, **options) for px in (64, 8192))
    difference = np.abs(read(one.probability).astype(int) - read(two.probability))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("method", ["cva", "irmad", "pca_kmeans", "model"])
def test_workers_and_repetition_change_no_bit(tmp_path, method):
    before, after = files(tmp_path, pair(150, 222))
    options = {"method": method, "model": network() if method == "model" else None, "tile_px": 64}
    results = [
        detect.scene(before, after, tmp_path / str(n), workers=workers, **options)
        for n, workers in enumerate((1, 2, 5, 2))
    ]
    first = read(results[0].probability)
    for other in results[1:]:
        assert np.array_equal(first, read(other.probability))
        assert Path(results[0].geojson).read_bytes() == Path(other.geojson).read_bytes()


def test_a_scene_larger_than_its_sample_is_the_same_for_any_tile_size(tmp_path):
    before, after = files(tmp_path, pair(900, 1300, bands=1), nodata=0)
    one, two = (detect.scene(before, after, tmp_path / str(px), tile_px=px) for px in (200, 1024))
    assert np.abs(read(one.probability).astype(int) - read(two.probability)).max() <= 1


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"}


@pytest.mark.parametrize("layout", [{}, TILED, {"interleave": "band"}])
def test_the_layout_of_a_file_does_not_matter(tmp_path, layout):
    dates = pair(150, 222)
    plain = detect.scene(*files(tmp_path, dates), tmp_path / "plain", tile_px=64)
    (tmp_path / "other").mkdir()
    other = detect.scene(*files(tmp_path / "other", dates, **layout), tmp_path / "out", tile_px=64)
    assert np.array_equal(read(plain.probability), read(other.probability))


# ---------------------------------------------------------------- grids, nodata


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", ["cva", "model"])
def test_products_lie_on_the_grid_of_the_input(tmp_path, grid, method):
    crs, transform = GRIDS[grid]
    before, after = files(tmp_path, pair(120, 205), crs=crs, transform=transform)
    made = network() if method == "model" else None
    found = detect.scene(before, after, tmp_path / "out", method=method, model=made, tile_px=64)
    expected = raster.read_info(before)
    for uri in (found.probability, found.mask):
        info = raster.read_info(uri)
        assert (info.crs, info.shape, info.nodata, info.dtype) == (expected.crs, (120, 205), 255, "uint8")
        assert info.transform.almost_equals(expected.transform, precision=1e-9)
        assert raster.is_cog(uri)
    assert geopandas.read_parquet(found.polygons).crs == expected.crs
    areas = raster.row_areas_m2(expected)
    mask = read(found.mask)
    assert found.changed_m2 == pytest.approx(((mask == 1).sum(axis=1) * areas).sum())
    assert found.changed_share == pytest.approx(found.changed_m2 / found.valid_m2)
    assert geopandas.read_parquet(found.polygons).area_m2.sum() == pytest.approx(found.changed_m2)


@pytest.mark.parametrize("method", ["cva", "pca_kmeans", "model"])
def test_nodata_of_either_date_stays_nodata(tmp_path, method):
    before, after = pair(140, 190)
    before[:, 20:60, 30:75] = 0  # all bands
    after[2, 100:131, 150:] = 0  # one band only: the pixel is not known
    after[:, :, 0] = 0
    invalid = (before == 0).any(0) | (after == 0).any(0)
    made = network() if method == "model" else None
    uris = files(tmp_path, (before, after), nodata=0)
    found = detect.scene(*uris, tmp_path / "out", method=method, model=made, tile_px=64)
    assert np.array_equal(read(found.probability) == 255, invalid)
    assert np.array_equal(read(found.mask) == 255, invalid)
    assert found.valid_px == (~invalid).sum()


def test_a_hole_gives_the_model_what_training_gives_it(tmp_path):
    before, after = pair(90, 151)
    before[:, 20:60, 30:75] = 0
    after[1, 5:40, 100:] = 0
    found = detect.scene(
        *files(tmp_path, (before, after), nodata=0),
        tmp_path / "out",
        method="model",
        model=network(),
        tile_px=64,
    )
    seen = [np.where(date == 0, np.nan, date.astype("float32")) for date in (before, after)]
    expected = whole_scene(network(), *seen) * 254
    known = read(found.mask) != 255
    assert np.abs(read(found.probability) - expected)[known].max() <= 0.501


@pytest.mark.parametrize("kind", ["float with NaN", "float with nodata", "alpha", "mask band", "uint16"])
def test_every_way_to_say_nodata_is_understood(tmp_path, kind):
    dates = [date.astype("float32") for date in pair(100, 130, bands=3)]
    hole = (slice(None), slice(10, 40), slice(50, 90))
    holed = [date.astype("uint8") for date in dates]
    for date in holed:
        date[hole] = 0
    plain = detect.scene(*files(tmp_path, holed, nodata=0), tmp_path / "plain", tile_px=64)
    folder = tmp_path / "other"
    folder.mkdir()
    if kind == "float with NaN":
        for date in dates:
            date[hole] = np.nan
        uris = files(folder, dates)
    elif kind == "float with nodata":
        for date in dates:
            date[hole] = -9999
        uris = files(folder, dates, nodata=-9999)
    elif kind == "uint16":
        for date in dates:
            date[hole] = 65535
        uris = files(folder, [date.astype("uint16") for date in dates], nodata=65535)
    else:
        valid = np.full((1, 100, 130), 255, "uint8")
        valid[hole] = 0
        stacks = [d.astype("uint8") for d in dates]
        if kind == "alpha":
            uris = files(folder, [np.concatenate([s, valid]) for s in stacks], photometric="RGB", alpha="yes")
        else:
            uris = files(folder, stacks)
            for uri in uris:
                with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(uri, "r+") as dataset:
                    dataset.write_mask(valid[0])
    other = detect.scene(*uris, tmp_path / "out", tile_px=64)
    assert np.array_equal(read(other.mask) == 255, read(plain.mask) == 255)
    assert np.array_equal(read(other.probability), read(plain.probability))


def test_images_without_crs_give_masks_without_areas(tmp_path):
    before, after = pair(80, 111, bands=3)
    for name, date in (("a.png", before), ("b.png", after)):
        with rasterio.open(
            tmp_path / name, "w", driver="PNG", dtype="uint8", count=3, height=80, width=111
        ) as dataset:
            dataset.write(date)
    found = detect.scene(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "out")
    assert (found.changed_m2, found.valid_m2, found.geojson) == (None, None, None)
    assert raster.read_info(found.mask).crs is None
    assert found.changed_share == pytest.approx((read(found.mask) == 1).mean())
    assert geopandas.read_parquet(found.polygons).pixels.sum() == found.changed_px


# ---------------------------------------------------------------- threshold, header


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.37, 0.5, 0.999, 1.0, 200 / 254])
def test_the_mask_is_the_probability_cut_at_the_threshold(tmp_path, threshold):
    before, after = pair(77, 130)
    before[:, :9] = 0
    found = detect.scene(*files(tmp_path, (before, after), nodata=0), tmp_path / "out", threshold=threshold)
    levels = read(found.probability)
    expected = np.where(levels == 255, 255, levels / 254 >= threshold)
    assert np.array_equal(read(found.mask), expected)
    assert found.threshold == threshold


def test_a_model_brings_its_own_threshold(tmp_path):
    import dataclasses

    made = dataclasses.replace(network(), threshold=0.31)
    uris = files(tmp_path, pair(77, 130))
    assert detect.scene(*uris, tmp_path / "out", method="model", model=made).threshold == 0.31
    assert detect.scene(*uris, tmp_path / "out", method="model", model=made, threshold=0.6).threshold == 0.6


def test_the_header_tells_how_a_product_was_made(tmp_path):
    folder = model.save(network(), tmp_path / "my model")
    uris = files(tmp_path, pair(60, 90))
    found = detect.scene(*uris, tmp_path / "out", method="model", model=folder)
    with rasterio.open(found.probability) as dataset:
        tags = dataset.tags()
        assert dataset.scales == (1 / 254,)
        assert dataset.offsets == (0.0,)
        assert dataset.descriptions == ("change probability",)
    assert tags["GEOLAB_METHOD"] == "model"
    assert tags["GEOLAB_MODEL"] == "my model"
    assert tags["GEOLAB_THRESHOLD"] == "0.5"
    assert (tags["GEOLAB_BEFORE"], tags["GEOLAB_AFTER"]) == ("before.tif", "after.tif")
    assert not any(str(tmp_path) in value for value in tags.values())


def test_the_same_image_twice_has_not_changed(tmp_path):
    before, _ = files(tmp_path, pair(60, 90))
    found = detect.scene(before, before, tmp_path / "out")
    assert (found.changed_px, found.changed_share, found.polygon_count) == (0, 0.0, 0)
    assert found.shift.length_px < 0.05


# ---------------------------------------------------------------- grids that differ, shift, radiometry


def test_another_grid_is_refused_and_aligned_on_request(tmp_path):
    before, after = pair(100, 150)
    one = write(tmp_path / "before.tif", before)
    two = write(tmp_path / "after.tif", after[:, :97], transform=UTM @ Affine.translation(1.4, 0.2), nodata=0)
    with pytest.raises(GridMismatch, match=r"another size .* align"):
        detect.scene(one, two, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    found = detect.scene(one, two, tmp_path / "out", align=True)
    info = raster.read_info(found.mask)
    assert (info.shape, info.transform) == ((100, 150), UTM)
    by_hand = raster.align(two, like=one, out=tmp_path / "aligned.tif")
    expected = detect.scene(one, by_hand, tmp_path / "by hand")
    assert np.array_equal(read(found.probability), read(expected.probability))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "mask.tif", "polygons.geojson", "polygons.parquet", "probability.tif",
    ]  # fmt: skip


def test_a_shift_is_reported_and_warned_of(tmp_path, caplog):
    before, _ = pair(400, 520, bands=1)
    uris = files(tmp_path, (before, np.roll(before, (2, -3), axis=(1, 2))))
    with caplog.at_level(logging.WARNING, "geolab"):
        found = detect.scene(*uris, tmp_path / "out")
    assert (found.shift.dy_px, found.shift.dx_px) == pytest.approx((2, -3), abs=0.1)
    assert "not co-registered" in caplog.text


def test_normalising_takes_another_light_away(tmp_path):
    before, after = pair(200, 260)
    dark = np.clip(after * 0.5 + 5, 1, 255).astype("uint8")
    uris = files(tmp_path, (before, dark))
    found = detect.scene(*uris, tmp_path / "out", normalise=True, tile_px=64)
    whole = [date.astype("float32") for date in (before, dark)]
    late = radiometry.fit(*whole).apply(whole[1])
    fitted = classic.fit("cva", [(whole[0], late)])
    expected = fitted.score(fitted.statistic(whole[0], late)) * 254
    assert np.abs(read(found.probability) - expected).max() <= 0.51


# ---------------------------------------------------------------- what is refused, what is left behind


def test_impossible_requests_are_refused_in_words(tmp_path):
    uris = files(tmp_path, pair(60, 90))
    out = tmp_path / "out"
    for options, words in [
        ({"method": "magic"}, "method: found 'magic'"),
        ({"threshold": 1.2}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"tile_px": 63}, "tile_px"),
        ({"tile_px": 100_000}, "tile_px"),
        ({"workers": 0}, "workers"),
        ({"model": network()}, "model: found one with method 'cva'"),
        ({"method": "model"}, "model: found none"),
        ({"method": "model", "model": network(3)}, "bands of the image: found 4, expected 3"),
    ]:
        with pytest.raises(BadInput, match=words):
            detect.scene(*uris, out, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="which is a file"):
        detect.scene(*uris, tmp_path / "file")
    with pytest.raises(NotFound):
        detect.scene(uris[0], tmp_path / "none.tif", out)
    with pytest.raises(NotFound):
        detect.scene(*uris, out, method="model", model=tmp_path / "no model")


def test_other_bands_are_refused(tmp_path):
    one = write(tmp_path / "one.tif", pair(60, 90)[0])
    two = write(tmp_path / "two.tif", pair(60, 90, bands=3)[0])
    with pytest.raises(BadInput, match="4 and 3 bands"):
        detect.scene(one, two, tmp_path / "out")
    for uri in (one, two := write(tmp_path / "three.tif", pair(60, 90)[1])):
        with rasterio.open(uri, "r+") as dataset:
            dataset.descriptions = ("red", "green", "blue", "nir")
    scaling = model.Preprocessing(("green", "red", "blue", "nir"), (110.0,) * 4, (35.0,) * 4)
    with pytest.raises(BadInput, match="found red, green, blue, nir, expected green, red, blue, nir"):
        detect.scene(one, two, tmp_path / "out", method="model", model=model.untrained(scaling))


def test_a_pair_without_a_common_valid_pixel_is_refused(tmp_path):
    before, after = pair(60, 90)
    before[:, :30], after[:, 30:] = 0, 0
    uris = files(tmp_path, (before, after), nodata=0)
    for options in ({}, {"method": "model", "model": network()}):
        with pytest.raises(BadInput, match="no pixel that is valid at both dates"):
            detect.scene(*uris, tmp_path / "out", **options)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_file_leaves_the_earlier_products_as_they_were(tmp_path):
    before, after = files(
        tmp_path, pair(300, 400), tiled=True, blockxsize=64, blockysize=64, compress="deflate"
    )
    found = detect.scene(before, after, tmp_path / "out")
    kept = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with Path(after).open("r+b") as stream:
        stream.truncate(Path(after).stat().st_size * 2 // 3)
    threads = threading.active_count()
    for method in ({"method": "cva"}, {"method": "model", "model": network()}):
        with pytest.raises(FileRejected, match="damaged"):
            detect.scene(before, after, tmp_path / "out", tile_px=64, **method)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == kept
    assert threading.active_count() == threads
    assert found.mask == str(tmp_path / "out" / "mask.tif")


def test_steps_can_be_watched_and_stopped(tmp_path):
    before, after = files(tmp_path, pair(300, 400))
    request = detect.Request(before=before, after=after, out=str(tmp_path / "out"), tile_px=64)
    *steps, last = detect.steps(request)
    assert [step.done for step in steps] == list(range(1, 36))
    assert {step.total for step in steps} == {35}
    assert last.detection.changed_px == detect.scene(before, after, tmp_path / "again").changed_px
    stopped = detect.steps(detect.Request(before=before, after=after, out=str(tmp_path / "none"), tile_px=64))
    next(stopped)
    stopped.close()
    assert list((tmp_path / "none").iterdir()) == []


def test_no_file_shows_its_name_before_all_are_done(tmp_path):
    before, after = files(tmp_path, pair(300, 400))
    request = detect.Request(before=before, after=after, out=str(tmp_path / "out"), tile_px=64)
    for step in detect.steps(request):
        if step.detection is None:
            assert all(path.name.startswith(".") for path in (tmp_path / "out").iterdir())


def test_a_killed_run_leaves_nothing_to_see_and_the_next_one_cleans_up(tmp_path):
    before, after = files(tmp_path, pair(1500, 1100, bands=1))
    out = tmp_path / "out"
    code = "import sys; from geolab.change import detect; detect.scene(*sys.argv[1:], method='pca_kmeans')"
    killed = subprocess.Popen([sys.executable, "-c", code, before, after, str(out)])
    while not list(out.glob(".detect-*/levels")):
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert len(list(out.iterdir())) == 1
    detect.scene(before, after, out)
    assert sorted(p.name for p in out.iterdir()) == sorted(products.FILES)


def test_products_can_go_to_a_remote_place(tmp_path):
    before, after = files(tmp_path, pair(60, 90))
    found = detect.scene(before, after, "memory://bucket/run/")
    here = detect.scene(before, after, tmp_path / "out")
    assert found.mask == "memory://bucket/run/mask.tif"
    for uri, path in ((found.mask, here.mask), (found.geojson, here.geojson)):
        assert store.sha256(uri) == store.sha256(path)


def test_two_runs_into_one_folder_do_not_disturb_each_other(tmp_path):
    before, after = files(tmp_path, pair(300, 400))
    request = detect.Request(before=before, after=after, out=str(tmp_path / "out"), tile_px=64)
    first = detect.steps(request)
    next(first)
    detect.scene(before, after, tmp_path / "out")
    *_, last = first
    assert last.detection.changed_px == (read(last.detection.mask) == 1).sum()


# ---------------------------------------------------------------- real images


def test_real_landsat_change_is_found_as_others_found_it(tmp_path, real_data):
    folder = real_data / "cd_landsat_nanjing"
    first, second = sorted(folder.glob("t?_*.tif"))
    label = read(str(folder / "label.tif"))
    for method, least in (("cva", 0.72), ("irmad", 0.77)):
        found = detect.scene(first, second, tmp_path / method, method=method)
        changed = read(found.mask)[label > 0] == 1
        truth = label[label > 0] == 2
        assert 2 * (changed & truth).sum() / (changed.sum() + truth.sum()) > least
        assert found.shift.length_px < 0.5


def test_real_aerial_dates_one_row_apart_are_aligned(tmp_path, real_data):
    first, *_, last = sorted((real_data / "cd_naip_wetland_series" / "images").glob("*.tif"))
    with pytest.raises(GridMismatch, match="size"):
        detect.scene(first, last, tmp_path)
    found = detect.scene(first, last, tmp_path, align=True)
    info = raster.read_info(str(first))
    assert raster.read_info(found.mask).transform == info.transform
    with rasterio.open(first) as dataset:
        known = dataset.read(window=Window(0, 0, info.width, 20)).all(axis=0)
    assert ((read(found.mask)[:20] != 255) <= known).all()
