"""Known gains and offsets, recovered although a part of the scene changed."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.change import radiometry
from geolab.errors import BadInput

GAIN = np.array([0.7, 1.25, 1.0])
OFFSET = np.array([12.0, -8.0, 0.0])


def _pair(seed: int = 0, *, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """before, after, changed: before = GAIN * after + OFFSET but for noise and 20 % of change."""
    random = np.random.default_rng(seed)
    before = random.normal(90, 25, (3, 80, 130)) + random.normal(0, 10, (1, 80, 130))
    after = (before - OFFSET[:, None, None]) / GAIN[:, None, None]
    changed = np.zeros((80, 130), bool)
    changed[:40, 30:82] = True
    after[:, changed] = random.uniform(20, 200, (3, changed.sum()))
    before += random.normal(0, noise, before.shape)
    after += random.normal(0, noise, after.shape)
    return before.astype(np.float32), after.astype(np.float32), changed


def test_gain_and_offset_are_recovered_beside_20_percent_of_change() -> None:
    before, after, changed = _pair()
    assert changed.mean() == 0.2
    found = radiometry.fit(before, after)
    np.testing.assert_allclose(found.gain, GAIN, rtol=0.02)
    np.testing.assert_allclose(found.offset, OFFSET, atol=1.5)
    assert (found.rmse < 1).all()
    assert found.pixels >= radiometry.MIN_PIXELS


def test_normalised_images_agree_where_nothing_changed() -> None:
    before, after, changed = _pair()
    normalised = radiometry.fit(before, after).apply(after)
    assert normalised.dtype == np.float32
    apart = np.abs(normalised - before)[:, ~changed]
    assert apart.mean() < 1
    assert np.abs(after - before)[:, ~changed].mean() > 10


def test_the_line_is_the_first_principal_axis_of_the_invariant_pixels() -> None:
    random = np.random.default_rng(3)
    x = random.normal(50, 20, 4000)
    y = 1.7 * x - 4 + random.normal(0, 5, x.shape)
    x += random.normal(0, 5, x.shape)
    gain, offset, _ = radiometry._line(x, y, band=0)
    _, vectors = np.linalg.eigh(np.cov(x, y))
    assert gain == pytest.approx(vectors[1, 1] / vectors[0, 1])
    assert gain * x.mean() + offset == pytest.approx(y.mean())
    back, _, _ = radiometry._line(y, x, band=0)
    assert back == pytest.approx(1 / gain)  # ordinary regression gives a smaller slope both ways


def test_normalising_an_image_to_itself_changes_nothing() -> None:
    before, _, _ = _pair()
    found = radiometry.fit(before, before.copy())
    np.testing.assert_allclose(found.gain, 1, atol=1e-9)
    np.testing.assert_allclose(found.offset, 0, atol=1e-6)
    assert found.pixels == 80 * 130


def test_nodata_is_left_out_and_stays() -> None:
    before, after, _ = _pair()
    after[1, 50:60, 10:20] = np.nan
    before[:, :5] = np.nan
    found = radiometry.fit(before, after)
    np.testing.assert_allclose(found.gain, GAIN, rtol=0.02)
    np.testing.assert_array_equal(np.isnan(found.apply(after)), np.isnan(after))


def test_too_few_invariant_pixels_are_refused() -> None:
    random = np.random.default_rng(0)
    unrelated = random.normal(90, 25, (2, 4, 30, 41)).astype(np.float32)
    with pytest.raises(BadInput, match=r"\d+ pseudo-invariant pixels, expected at least 1000; give a larger"):
        radiometry.fit(unrelated[0], unrelated[1], min_pixels=1000)
    with pytest.raises(BadInput, match="found 63 valid pixels, expected at least 100"):
        radiometry.fit(unrelated[0, :, :7, :9], unrelated[1, :, :7, :9])


def test_a_band_without_common_contrast_is_refused_by_its_number() -> None:
    before, after, _ = _pair()
    after[2] = 9
    with pytest.raises(BadInput, match="band 3: found no common contrast"):
        radiometry.fit(before, after)


def test_another_number_of_bands_is_refused() -> None:
    before, after, _ = _pair()
    with pytest.raises(BadInput, match="found 2 bands, expected 3 as fitted"):
        radiometry.fit(before, after).apply(after[:2])
