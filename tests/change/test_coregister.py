"""Shifts of known size and direction, measured on windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from geolab.change import coregister
from geolab.errors import BadInput


def _scene(seed: int = 0, *, height: int = 300, width: int = 420, bands: int = 3) -> np.ndarray:
    """Fields of several sizes with sharp edges and some noise, float32 [band, y, x]."""
    random = np.random.default_rng(seed)
    scene = np.zeros((bands, height, width))
    for sigma in (4, 12):
        noise = ndimage.gaussian_filter(random.normal(size=(height, width)), sigma)
        scene += 40 * (noise > 0) * random.uniform(0.5, 1.5, (bands, 1, 1))
    return ndimage.gaussian_filter(scene, (0, 0.8, 0.8)).astype(np.float32)


def _moved(scene: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """The scene with its content dy rows down and dx columns right, by Fourier's theorem."""
    rows = np.fft.fftfreq(scene.shape[1])[:, None]
    columns = np.fft.fftfreq(scene.shape[2])
    turn = np.exp(-2j * np.pi * (rows * dy + columns * dx))
    return np.fft.ifft2(np.fft.fft2(scene) * turn).real.astype(np.float32)


@pytest.mark.parametrize("dy,dx", [(0, 0), (3, -7), (-12, 5), (0.8, 0), (-0.35, 1.6), (20.25, -33.7)])
def test_a_known_shift_is_found_with_its_sign(dy: float, dx: float) -> None:
    before = _scene()
    found = coregister.shift(before, _moved(before, dy, dx))
    assert (found.dy_px, found.dx_px) == pytest.approx((dy, dx), abs=0.1)
    assert found.ok


def test_whole_pixels_are_counted_by_slicing() -> None:
    """What is at [y, x] before is at [y + 4, x - 9] after."""
    scene = _scene()
    before, after = scene[:, 20:270, 20:380], scene[:, 16:266, 29:389]
    assert before[0, 100, 100] == after[0, 104, 91]
    found = coregister.shift(before, after)
    assert (found.dy_px, found.dx_px) == pytest.approx((4, -9), abs=0.05)


def test_the_shift_survives_noise_another_light_and_changes() -> None:
    before = _scene()
    after = 0.6 * _moved(before, -1.4, 2.3) + 25
    after += np.random.default_rng(1).normal(0, 4, after.shape)
    after[:, 40:110, 60:200] = 130
    found = coregister.shift(before, after)
    assert (found.dy_px, found.dx_px) == pytest.approx((-1.4, 2.3), abs=0.15)
    assert found.ok


def test_nodata_does_not_hold_the_shift_at_zero() -> None:
    scene = _scene() * 0.1 + np.linspace(0, 300, 420, dtype=np.float32)  # weak fields on a slope
    before, after = scene[:, 20:270, 20:380].copy(), scene[:, 15:265, 23:383].copy()
    for image in (before, after):  # the same nodata at both dates is an edge that has not moved
        image[:, 20:60, ::60] = np.nan
        image[:, 100:120, 30:150] = np.nan
        image[:, 180:200, 210:330] = np.nan
        image[:, :4] = np.nan
    found = coregister.shift(before, after)
    assert (found.dy_px, found.dx_px) == pytest.approx((5, -3), abs=0.1)
    assert found.ok


def test_images_without_anything_in_common_are_not_ok() -> None:
    found = coregister.shift(_scene(0), _scene(5))
    assert not found.ok
    assert "not" in found.describe() or "too few" in found.describe()


def test_images_without_texture_cannot_be_measured() -> None:
    scene = _scene()
    found = coregister.shift(scene, np.zeros_like(scene))
    assert (found.windows, found.ok) == (0, False)
    assert found.describe().startswith("the shift could not be measured")
    assert found.facts()["shift_dy_px"] is None


def test_mostly_invalid_images_cannot_be_measured() -> None:
    before, after = _scene(), _scene()
    after[:, :, 60:] = np.nan
    assert coregister.shift(before, after).windows == 0


def test_one_window_alone_is_not_trusted() -> None:
    scene = _scene(height=40, width=50)
    found = coregister.shift(scene, scene)
    assert (found.windows, found.ok) == (1, False)


def test_windows_read_by_the_caller_give_what_the_whole_gives() -> None:
    before = _scene()
    after = _moved(before, 2, -1)
    parts = [np.s_[:, y : y + 150, x : x + 210] for y in (0, 150) for x in (0, 210)]
    by_hand = coregister.of_windows((before[part], after[part]) for part in parts)
    assert by_hand == coregister.shift(before, after)


def test_one_band_may_come_without_its_axis() -> None:
    scene = _scene(bands=1)
    assert coregister.shift(scene[0], _moved(scene, 3, 1)[0]) == coregister.shift(scene, _moved(scene, 3, 1))


def test_unlike_shapes_are_refused() -> None:
    with pytest.raises(BadInput, match="the same height and width"):
        coregister.shift(np.zeros((3, 90, 80)), np.zeros((3, 90, 81)))


def test_the_shift_reads_as_a_sentence() -> None:
    found = coregister.Shift(-0.31, 0.82, 0.12, windows=9, agreeing=8, ok=True)
    text = "after lies 0.8 px east and 0.3 px north of before (spread 0.12 px, 8 of 9 windows agree)"
    assert found.describe() == text
    assert found.describe(down="down", right="right").startswith("after lies 0.8 px right and 0.3 px up")
    assert found.facts()["shift"] == text
    still = coregister.Shift(0.0, -0.04, 0.0, windows=9, agreeing=9, ok=True)
    assert still.describe() == "no shift (spread 0.00 px, 9 of 9 windows agree)"


def test_the_dates_of_nanjing_lie_on_each_other(real_data: Path) -> None:
    folder = real_data / "cd_landsat_nanjing"
    images = []
    for name in ("t1_*.tif", "t2_*.tif"):
        with rasterio.open(next(folder.glob(name))) as source:
            images.append(source.read())
    found = coregister.shift(images[0], images[1])
    assert found.ok
    assert found.length_px < 0.3
    crooked = coregister.shift(images[0][:, 3:, :-5], images[1][:, :-3, 5:])
    assert (crooked.dy_px, crooked.dx_px) == pytest.approx((3, -5), abs=0.3)
