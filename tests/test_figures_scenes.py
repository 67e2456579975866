"""The figures of 3-D scenes."""

from pathlib import Path

import numpy as np
import pytest

from geolab import figures, town
from geolab.errors import BadInput


def drawn(axes) -> str:
    return " ".join(t.get_text() for t in axes.texts) + axes.get_title(loc="left")


def test_cameras_are_drawn_from_above_and_from_the_side_with_the_held_out_ones_named():
    positions = np.array([[0.0, 0, 50], [30, 10, 60], [60, 20, 55]])
    down = np.tile([0.0, 0, -1], (3, 1))
    figure = figures.cameras(
        positions, down, points=np.random.default_rng(0).normal(size=(50, 3)), held_out=[1, 0, 0]
    )
    above, side = figure.axes
    assert above.get_xlabel() == "east, m"
    assert side.get_ylabel() == "up, m"
    assert [t.get_text() for t in side.get_legend().get_texts()] == ["2 trained on", "1 held out"]


def test_an_arbitrary_frame_has_no_metres_on_its_axes():
    figure = figures.cameras(np.zeros((1, 3)), np.array([[0, 0, 1.0]]), unit="")
    assert figure.axes[0].get_xlabel() == "east"


def test_no_camera_is_refused():
    with pytest.raises(BadInput, match="cameras: found none, expected at least one"):
        figures.cameras(np.zeros((0, 3)), np.zeros((0, 3)))


def test_renders_show_photo_model_and_difference_and_no_more_rows_than_asked():
    photo = np.full((30, 40, 3), 100, np.uint8)
    render = photo + np.uint8(51)
    figure = figures.renders([(f"view {k}", photo, render) for k in range(5)], most=2)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels[:3]] == ["view 0", "model", "difference"]
    assert len(panels) == 6
    np.testing.assert_allclose(panels[2].images[0].get_array(), 0.2, atol=1e-6)
    with pytest.raises(BadInput, match="no view"):
        figures.renders([])


@pytest.mark.parametrize("sigma", [None, np.full((20, 30), 0.2)])
def test_a_surface_shows_what_is_unknown_as_unknown(sigma):
    picture = np.full((4, 20, 30), 200, np.uint8)
    picture[3, :5] = 0
    height = np.linspace(0, 10, 600).reshape(20, 30)
    height[:5] = np.nan
    figure = figures.surface(picture, height, gsd_m=0.25, sigma=sigma, datum="above the ellipsoid")
    ortho, surface = figure.axes[:2]
    assert surface.get_title(loc="left") == "Surface"
    assert next(a.get_xlabel() for a in figure.axes if a.get_xlabel()) == "height, m above the ellipsoid"
    grey = ortho.images[0].get_array()[0, 0]
    assert tuple(grey) == (236, 239, 241)
    np.testing.assert_allclose(
        surface.images[0].get_array()[0, 0, :3], np.array([236, 239, 241]) / 255, atol=0.01
    )
    assert figures.png(figure).startswith(b"\x89PNG")


def test_a_surface_without_any_known_height_is_still_drawn():
    figure = figures.surface(np.zeros((4, 8, 9), np.uint8), np.full((8, 9), np.nan), gsd_m=1.0)
    assert figures.png(figure).startswith(b"\x89PNG")


def test_a_metric_in_decibels_is_not_squeezed_into_zero_to_one():
    history = [{"step": k, "train_loss": 1.0 / (k + 1), "val_psnr": 20.0 + k} for k in range(5)]
    figure = figures.curves(history, metric="psnr", x="step")
    low, high = figure.axes[1].get_ylim()
    assert low < 20 < 24 < high
    assert figure.axes[1].get_title(loc="left") == "PSNR, dB"


def test_a_surface_is_drawn_from_its_files_and_says_its_datum(tmp_path: Path):
    written = town.write(tmp_path, seed=1, size_px=(96, 128), photos=0)
    figure = figures.surface_of(str(written.after), str(written.dsm_after))
    assert "height, m above the WGS 84 ellipsoid (EPSG:4979)" in [a.get_xlabel() for a in figure.axes]
    other = town.write(tmp_path / "other", seed=1, size_px=128, photos=0)
    with pytest.raises(BadInput, match="DSM: found another grid"):
        figures.surface_of(str(written.after), str(other.dsm_after))
