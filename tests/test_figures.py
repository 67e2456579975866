"""Figures: drawn without a display, the same stretch for both dates, nothing left behind."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from geolab import display, figures
from geolab.errors import BadInput


@pytest.fixture
def dates() -> tuple[np.ndarray, np.ndarray]:
    """Two dates, [4, 60, 90], the second brighter, a corner without data in the first."""
    random = np.random.default_rng(4)
    before = random.uniform(20, 120, (4, 60, 90)).astype("float32")
    after = (before * 1.5).astype("float32")
    before[:, :9, :11] = np.nan
    return before, after


def picture(figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("RGB"))


def test_limits_of_two_dates_are_those_of_all_their_pixels(dates):
    got = display.limits(*dates)
    for band, (low, high) in enumerate(got):
        both = np.concatenate([d[band].ravel() for d in dates])
        assert (low, high) == pytest.approx(np.nanpercentile(both, (2, 98)))


def test_limits_of_an_empty_or_constant_band_can_be_stretched_with():
    images = np.stack([np.full((5, 7), np.nan), np.full((5, 7), 4.0)]).astype("float32")
    assert display.limits(images) == ((0.0, 1.0), (3.5, 4.5))
    assert display.stretch(images, display.limits(images))[1, 0, 0] == 128


def test_a_stretch_maps_its_limits_to_black_and_white_and_cuts_beyond():
    image = np.array([[[9.0, 10.0, 15.0, 20.0, 99.0, np.nan]]], "float32")
    assert display.stretch(image, ((10.0, 20.0),)).tolist() == [[[0, 0, 128, 255, 255, 0]]]


@pytest.mark.parametrize(
    "names, colors, count, bands",
    [
        (("red", "green", "blue", "nir"), (), 4, (1, 2, 3)),
        (("B1 blue", "B2 green", "B3 red", "B4 nir"), (), 4, (3, 2, 1)),
        ((None, None, None, None), ("blue", "green", "red", "alpha"), 3, (3, 2, 1)),
        ((None, None, None), ("gray", "undefined", "undefined"), 3, (1, 2, 3)),
        (("band_1", "band_2", "band_3"), (), 3, (1, 2, 3)),
        (("vv", "vh", "angle"), (), 3, (1,)),
        ((None,), ("gray",), 1, (1,)),
        ((None, None), ("gray", "alpha"), 1, (1,)),
    ],
)
def test_red_green_and_blue_are_found_by_name_then_by_colour(names, colors, count, bands):
    assert display.rgb_bands(names, colors, count=count) == bands


def test_a_pair_is_drawn_in_one_stretch(dates):
    before, after = dates
    figure = figures.pair(before, after, gsd_m=0.5)
    first, second = (axes.images[0].get_array() for axes in figure.axes)
    low, high = display.limits(before[:3], after[:3])[0]
    row, column = 40, 50
    for shown, image in ((first, before), (second, after)):
        expected = np.clip((image[0, row, column] - low) / (high - low), 0, 1)
        assert float(shown[row, column, 0]) == pytest.approx(float(expected), abs=0.003)


def test_a_mask_is_drawn_over_the_second_date_at_sixty_percent(dates):
    before, after = dates
    mask = np.zeros((60, 90), "uint8")
    mask[20:30, 40:60] = 1
    mask[:5] = 255
    panel = figures.pair(before, after, mask).axes[2]
    shown = np.asarray(panel.images[0].get_array())
    change = np.array([0xE8, 0x59, 0x0C]) / 255
    inside = shown[25, 50]
    grey = (inside - 0.6 * change) / 0.4
    assert np.ptp(grey) < 0.01, "60 % of the colour over a grey picture"
    assert np.ptp(shown[50, 10]) < 1e-6
    assert "4.0 % of the area" in panel.get_legend().get_texts()[0].get_text(), "200 of 55 x 90 pixels"


def test_with_the_truth_hits_misses_and_false_alarms_have_three_colours(dates):
    before, after = dates
    mask, truth = np.zeros((2, 60, 90), "uint8")
    mask[10:30, 10:30], truth[20:40, 10:30] = 1, 1
    panel = figures.pair(before, after, mask, truth=truth).axes[2]
    assert [t.get_text() for t in panel.get_legend().get_texts()] == ["found", "missed", "false alarm"]
    shown = np.asarray(panel.images[0].get_array())
    assert len({tuple(np.round(shown[r, 20] - shown[r, 20].min(), 2)) for r in (15, 25, 35, 50)}) == 4


def test_a_probability_has_a_panel_and_a_scale_from_zero_to_one(dates):
    figure = figures.pair(*dates, np.linspace(0, 0.4, 5400, dtype="float32").reshape(60, 90))
    image = figure.axes[2].images[0]
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "cividis"


@pytest.mark.parametrize("wrong", ["after", "overlay", "truth"])
def test_pictures_of_different_shapes_are_refused(dates, wrong):
    before, after = dates
    given = {"after": after, "overlay": np.zeros((60, 90), "uint8"), "truth": np.zeros((60, 90), "uint8")}
    given[wrong] = given[wrong][..., :-1]
    with pytest.raises(BadInput, match=wrong):
        figures.pair(before, **given)


@pytest.mark.parametrize("metres, expected", [(1, 1), (1.99, 1), (2, 2), (4.9, 2), (743, 500), (0.07, 0.05)])
def test_a_scale_bar_is_one_two_or_five_times_a_power_of_ten(metres, expected):
    from geolab.figures.pictures import round_length

    assert round_length(metres) == pytest.approx(expected)


@pytest.mark.parametrize("gsd_m, label", [(0.5, "10 m"), (30, "500 m"), (200, "2 km"), (0.01, "20 cm")])
def test_the_scale_bar_is_as_long_as_it_says(dates, gsd_m, label):
    axes = figures.pair(*dates, gsd_m=gsd_m).axes[0]
    assert axes.texts[0].get_text() == label
    start, end = axes.lines[0].get_xdata()
    number, unit = label.split()
    assert (end - start) * gsd_m == pytest.approx(float(number) * {"m": 1, "km": 1000, "cm": 0.01}[unit])


def test_a_wide_pair_is_stacked_and_a_large_one_is_thinned():
    wide = np.ones((3, 100, 400), "float32") * np.arange(400, dtype="float32")
    figure = figures.pair(wide, wide)
    positions = [axes.get_position() for axes in figure.axes]
    assert positions[0].y0 > positions[1].y1
    large = np.tile(np.arange(3000, dtype="float32"), (1, 2600, 1))
    axes = figures.pair(large, large, gsd_m=1.0).axes[0]
    assert max(np.asarray(axes.images[0].get_array()).shape) <= 1200
    start, end = axes.lines[0].get_xdata()
    assert (end - start) * 3 == pytest.approx(500), "metres count pixels of the raster, not of the picture"


def written(path, pixels: np.ndarray, *, west: float = 500000.0, crs: str | None = "EPSG:32632") -> str:
    import rasterio
    from rasterio.transform import from_origin

    with rasterio.open(
        path, "w", driver="GTiff", width=pixels.shape[2], height=pixels.shape[1], count=len(pixels),
        dtype=pixels.dtype.name, crs=crs, transform=from_origin(west, 5300000, 2, 2),
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return str(path)


def test_a_pair_of_files_is_the_pair_of_their_pixels(tmp_path, dates):
    before, after = (np.nan_to_num(d[:3]).astype("float32") for d in dates)
    mask = (before[0] > 100).astype("uint8")
    uris = [written(tmp_path / n, p) for n, p in (("b.tif", before), ("a.tif", after), ("m.tif", mask[None]))]
    files, arrays = figures.pair_of(*uris), figures.pair(before, after, mask, gsd_m=2.0)
    assert picture(files).shape == picture(arrays).shape
    assert np.array_equal(picture(files), picture(arrays))


def test_a_second_date_on_another_grid_is_shown_on_the_first_ones(tmp_path):
    columns = np.tile(np.arange(90, dtype="float32"), (3, 60, 1))
    before = written(tmp_path / "b.tif", columns)
    after = written(tmp_path / "a.tif", columns + 10, west=500000 + 20.0)  # the same ground, ten pixels east
    first, second = (
        np.asarray(a.images[0].get_array())[30, :, 0] for a in figures.pair_of(before, after).axes
    )
    assert second[20:80] == pytest.approx(first[20:80], abs=0.02)
    assert second[5] == pytest.approx(0xEC / 255, abs=0.01), "no data west of the second date"


def test_a_pair_of_files_without_a_crs_has_no_scale_bar(tmp_path, dates):
    pixels = np.nan_to_num(dates[0][:3]).astype("uint8")
    uris = [written(tmp_path / name, pixels, crs=None) for name in ("b.tif", "a.tif")]
    assert not list(figures.pair_of(*uris).axes[0].texts)
    other = written(tmp_path / "c.tif", pixels, crs=None, west=7.0)
    with pytest.raises(BadInput, match="coordinate system"):
        figures.pair_of(uris[0], other)


def history() -> list[dict[str, float]]:
    return [{"epoch": e, "train_loss": 1 / e, "val_loss": 1.1 / e, "val_iou": 1 - 1 / e} for e in range(1, 9)]


def texts(figure) -> str:
    return " | ".join(t.get_text() for axes in figure.axes for t in axes.texts)


def test_curves_name_their_lines_the_baseline_and_the_epoch_that_was_kept():
    words = texts(figures.curves(history(), baseline=0.33, chosen=6))
    for expected in ("training", "validation", "CVA 0.33", "kept: epoch 6", "IoU 0.83"):
        assert expected in words


def test_curves_of_one_epoch_and_with_gaps_are_drawn():
    assert picture(figures.curves(history()[:1], chosen=1)).std() > 0
    broken = history()
    broken[3]["val_iou"] = float("nan")
    del broken[5]["val_iou"]
    assert picture(figures.curves(broken)).std() > 0
    with pytest.raises(BadInput, match="no epoch"):
        figures.curves([])


def test_scores_write_every_value_of_model_and_baseline():
    table = {"model": {"iou": 0.791, "f1": 0.88}, "CVA": {"iou": 0.33, "f1": 0.5}}
    figure = figures.scores(table)
    words = texts(figure)
    assert all(v in words for v in ("0.79", "0.88", "0.33", "0.50"))
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["model", "CVA"]
    with pytest.raises(BadInput, match="values of iou"):
        figures.scores({"model": {"loss": 1.0}})


def test_a_pr_curve_marks_its_points():
    recall = np.linspace(0.01, 1, 30)
    words = texts(figures.pr_curve({"model": (1 - recall**3, recall)}, points={"CVA": (0.4, 0.5)}))
    assert "model" in words
    assert "CVA" in words


def test_a_histogram_counts_what_lies_above_the_threshold():
    values = np.concatenate([np.zeros(900), np.full(100, 8.0), [np.nan] * 50])
    assert "10.0 % of pixels above" in texts(figures.histogram(values, 5.0, xlabel="length"))
    assert picture(figures.histogram(np.zeros((4, 5)), None, xlabel="length")).std() > 0
    with pytest.raises(BadInput, match="no valid value"):
        figures.histogram(np.full(4, np.nan), 1.0, xlabel="length")


def test_coverage_counts_items_by_role():
    square = {"type": "Polygon", "coordinates": [[[7, 47], [7.1, 47], [7.1, 47.1], [7, 47]]]}
    point = {"type": "Point", "coordinates": [7.05, 47.05, 430.0]}
    items = [
        {"geometry": square, "properties": {"datetime": "2021-05-03T10:00:00Z", "geolab:role": "image"}},
        {"geometry": None, "properties": {"datetime": None, "start_datetime": "2022-05-03T10:00:00Z"}},
        {"geometry": point, "properties": {"datetime": "2024-08-15T10:00:00Z", "geolab:role": "photo"}},
    ]
    labels = [t.get_text() for t in figures.coverage(items).axes[1].get_yticklabels()]
    assert labels == ["photo  1", "image  2"]


def test_coverage_of_nothing_says_what_to_do():
    assert "Ingest a folder first" in texts(figures.coverage([]))


def test_a_contact_sheet_takes_files_and_arrays_and_names_with_dollars(tmp_path):
    Image.new("RGB", (1800, 900), "teal").save(tmp_path / "wide.jpg")
    sheet = figures.contact_sheet(
        [tmp_path / "wide.jpg", np.zeros((30, 50, 3), "uint8")], titles=["costs $5 or $x^2", "black"]
    )
    assert picture(sheet).std() > 0


def test_drawing_leaves_no_setting_and_no_window_behind(dates):
    import sys

    before = dict(mpl.rcParams)
    figures.pair(*dates)
    figures.curves(history())
    assert dict(mpl.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_show_keeps_a_png_whole_at_150_dpi(tmp_path, dates):
    figures.show(figures.pair(*dates), tmp_path / "run" / "pair.png")
    with Image.open(tmp_path / "run" / "pair.png") as image:
        assert image.size[0] == 1500
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["pair.png"]


def test_the_same_figure_is_the_same_file(dates):
    assert figures.png(figures.pair(*dates)) == figures.png(figures.pair(*dates))


def test_a_composite_is_drawn_beside_its_looks(dates):
    looks = np.zeros((60, 90), np.uint16)
    looks[:, 40:] = 3
    figure = figures.seasons.composite(dates[0][:3], looks, gsd_m=10, title="Composite 2021")
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == [
        "Composite 2021", "Seen clear on so many days"
    ]  # fmt: skip
    assert figure.axes[2].get_ylabel() == "days"
    with pytest.raises(BadInput, match="looks"):
        figures.seasons.composite(dates[0][:3], looks.T, gsd_m=10)


def test_change_over_years_has_a_colour_and_an_area_for_each():
    masks = np.zeros((2, 40, 60), np.uint8)
    masks[0, 5:10, 5:10], masks[1, 20:30, 20:30], masks[:, :, 50:] = 1, 1, 255
    figure = figures.seasons.years(masks, ["2021-2022", "2022-2023"], gsd_m=10, areas_m2=[2500.0, 10_000.0])
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["2021-2022, 0.2 ha", "2022-2023, 1.0 ha", "no change", "not known"]
    shown = figure.axes[0].images[0].get_array()
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 4
    with pytest.raises(BadInput, match="one for each mask"):
        figures.seasons.years(masks, ["2021-2022"], gsd_m=10)
