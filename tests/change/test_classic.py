"""The training-free methods against textbook twins, on windows and on hostile input."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.linalg
import scipy.stats
from scipy.cluster.vq import kmeans2
from skimage.filters import threshold_otsu

from geolab.change import classic, irmad, metrics, pca_kmeans
from geolab.errors import BadInput


def _pair(seed: int = 0, *, bands: int = 4, height: int = 61, width: int = 97) -> tuple[np.ndarray, ...]:
    """before, after, truth: correlated bands, another season after, a changed block of 14 %."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(bands, bands)) + 2 * np.eye(bands)
    ground = random.normal(size=(bands, height, width))
    before = 80 + 10 * np.tensordot(mixing, ground, 1) + random.normal(0, 1, ground.shape)
    truth = np.zeros((height, width), bool)
    truth[10:40, 50:78] = True
    later = np.where(truth, ground + random.normal(3, 1, ground.shape), ground)
    after = 70 + 11 * np.tensordot(mixing, later, 1) + random.normal(0, 1, ground.shape)
    return before.astype(np.float32), after.astype(np.float32), truth


def _score(fitted: classic.Fitted, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return fitted.score(fitted.statistic(before, after))


every_method = pytest.mark.parametrize("method", classic.METHODS)


# ---------------------------------------------------------------- what every method does


@every_method
def test_the_changed_block_is_found(method: str) -> None:
    before, after, truth = _pair()
    fitted = classic.fit(method, [(before, after)])
    assert metrics.confusion(_score(fitted, before, after) >= 0.5, truth).f1 > 0.8


@every_method
def test_a_window_with_its_halo_gives_what_the_whole_image_gives(method: str) -> None:
    before, after, _ = _pair()
    before[:, 20:24, 33:37] = np.nan
    fitted = classic.fit(method, [(before, after)])
    whole = fitted.statistic(before, after)
    halo, height, width = fitted.halo_px, *whole.shape
    for y in range(0, height, 17):
        for x in range(0, width, 23):
            top, left = max(y - halo, 0), max(x - halo, 0)
            part = np.s_[:, top : y + 17 + halo, left : x + 23 + halo]
            window = fitted.statistic(before[part], after[part])
            inner = window[y - top :, x - left :][:17, :23]
            np.testing.assert_array_equal(inner, whole[y : y + 17, x : x + 23])


@every_method
def test_a_halo_of_nodata_around_the_scene_changes_nothing(method: str) -> None:
    before, after, _ = _pair()
    fitted = classic.fit(method, [(before, after)])
    padded = [np.pad(image, ((0, 0), (3, 3), (5, 5)), constant_values=np.nan) for image in (before, after)]
    framed = fitted.statistic(*padded)[3:-3, 5:-5]
    np.testing.assert_array_equal(framed, fitted.statistic(before, after))


@every_method
def test_nodata_of_either_date_stays_nodata_and_nothing_else_becomes_it(method: str) -> None:
    before, after, _ = _pair()
    before[0, 5:9, 3:20] = np.nan
    after[2, 30, 40] = np.nan
    after[1, 31, 41] = np.inf
    fitted = classic.fit(method, [(before, after)])
    statistic = fitted.statistic(before, after)
    expected = ~(np.isfinite(before).all(0) & np.isfinite(after).all(0))
    np.testing.assert_array_equal(np.isnan(statistic), expected)
    np.testing.assert_array_equal(np.isnan(fitted.score(statistic)), expected)
    assert statistic.dtype == np.float32


@every_method
def test_the_score_rises_from_0_to_1_and_is_half_at_the_threshold(method: str) -> None:
    before, after, _ = _pair()
    fitted = classic.fit(method, [(before, after)])
    statistic = np.sort(np.append(fitted.statistic(before, after).ravel(), np.float32([0, 1e30])))
    score = fitted.score(statistic)
    assert (np.diff(score) >= 0).all()
    assert score[0] == 0
    assert score[-1] == 1
    assert fitted.score(np.float32([fitted.threshold])) == np.float32(0.5)


@every_method
def test_identical_images_show_no_change_at_all(method: str) -> None:
    before, _, _ = _pair()
    before[:, 3, 4:9] = np.nan
    fitted = classic.fit(method, [(before, before.copy())])
    score = _score(fitted, before, before)
    assert np.nanmax(score) == 0
    assert np.isnan(score).sum() == 5


@every_method
def test_a_change_outside_of_an_unchanged_sample_is_found(method: str) -> None:
    before, _, truth = _pair()
    after = np.where(truth, before + 40, before)
    fitted = classic.fit(method, [(before[:, 45:], after[:, 45:])])
    inside = truth.copy()
    inside[[10, 39]] = inside[:, [50, 77]] = False  # a block's rim is half changed
    score = _score(fitted, before, after)
    assert (score[inside] >= 0.5).all()
    assert (score[~truth & (np.arange(61) > 45)[:, None]] == 0).all()


@every_method
@pytest.mark.parametrize("bands", [1, 13])
def test_any_number_of_bands_works(method: str, bands: int) -> None:
    before, after, truth = _pair(bands=bands)
    fitted = classic.fit(method, [(before, after)])
    score = _score(fitted, before, after)
    assert np.isfinite(score).all()
    assert score[truth].mean() > score[~truth].mean()


@every_method
def test_constant_and_repeated_bands_take_no_part(method: str) -> None:
    before, after, truth = _pair()
    constant = np.full_like(before[:1], 7)
    wide = [np.concatenate([image, constant, image[:1]]) for image in (before, after)]
    fitted = classic.fit(method, [tuple(wide)])
    score = _score(fitted, *wide)
    assert np.isfinite(score).all()
    assert metrics.confusion(score >= 0.5, truth).f1 > 0.75


@every_method
def test_constant_images_show_no_change_at_all(method: str) -> None:
    flat = np.full((3, 20, 31), 9, np.float32)
    fitted = classic.fit(method, [(flat, flat)])
    np.testing.assert_array_equal(_score(fitted, flat, flat), np.zeros((20, 31)))


@every_method
def test_windows_of_a_scene_are_as_good_a_sample_as_the_whole(method: str) -> None:
    before, after, _ = _pair(height=60)
    halves = [(before[:, :30], after[:, :30]), (before[:, 30:], after[:, 30:])]
    parts, whole = classic.fit(method, iter(halves)), classic.fit(method, [(before, after)])
    assert parts.threshold == pytest.approx(whole.threshold, rel=0.05)


@every_method
def test_a_fit_is_the_same_every_time(method: str) -> None:
    before, after, _ = _pair()
    one, two = (classic.fit(method, [(before, after)]) for _ in range(2))
    assert one.threshold == two.threshold
    np.testing.assert_array_equal(one.statistic(before, after), two.statistic(before, after))


@every_method
def test_images_without_a_common_valid_pixel_are_refused(method: str) -> None:
    before, after, _ = _pair()
    before[:, :30], after[:, 30:] = np.nan, np.nan
    with pytest.raises(BadInput, match="no pixel that is valid at both dates"):
        classic.fit(method, [(before, after)])


@every_method
def test_unlike_shapes_are_refused(method: str) -> None:
    before, after, _ = _pair()
    with pytest.raises(BadInput, match=r"before \(4, 61, 97\), after \(4, 60, 97\).*align"):
        classic.fit(method, [(before, after[:, :-1])])
    fitted = classic.fit(method, [(before, after)])
    with pytest.raises(BadInput, match="found 3 bands, expected 4 as in the sample"):
        fitted.statistic(before[:3], after[:3])
    with pytest.raises(BadInput, match="a window with 3 bands"):
        classic.fit(method, [(before, after), (before[:3], after[:3])])
    with pytest.raises(BadInput, match="no window"):
        classic.fit(method, [])


def test_an_unknown_method_is_refused_with_those_that_exist() -> None:
    with pytest.raises(BadInput, match="method: found cvaa, expected cva, irmad, pca_kmeans"):
        classic.fit("cvaa", [])


# ---------------------------------------------------------------- Otsu


def _otsu_by_trying(values: np.ndarray) -> float:
    """Every split of the sorted values, by the definition of the variance between classes."""
    distinct = np.unique(values)
    best, at = -1.0, 0.0
    for low, high in pairwise(distinct):
        lower, upper = values[values <= low], values[values >= high]
        between = len(lower) * len(upper) * (lower.mean() - upper.mean()) ** 2
        if between > best:
            best, at = between, (low + high) / 2
    return at


@pytest.mark.parametrize("seed", range(5))
def test_otsu_is_the_best_of_all_splits(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.concatenate([random.gamma(2, 1, 150), random.normal(12, 2, 40)])
    assert classic.otsu(values) == pytest.approx(_otsu_by_trying(values))


def test_otsu_of_tied_integers_is_the_best_of_all_splits() -> None:
    values = np.random.default_rng(0).poisson(3, 400)
    assert classic.otsu(values) == _otsu_by_trying(values)


def test_otsu_is_that_of_scikit_image_within_a_bin() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(2, 1, (90, 70)), random.normal(9, 1, (30, 70))])
    bin_width = np.ptp(values) / 256
    assert classic.otsu(values.astype(np.float32)) == pytest.approx(threshold_otsu(values), abs=bin_width)


def test_otsu_leaves_nan_out_and_refuses_nothing_at_all() -> None:
    values = np.array([1, 1, 2, np.nan, 8, 9, np.nan])
    assert classic.otsu(values) == 5
    assert classic.otsu(np.full(7, 3.5)) == 3.5
    with pytest.raises(BadInput, match="no valid pixel"):
        classic.otsu(np.array([np.nan]))


# ---------------------------------------------------------------- change vector analysis


def test_cva_is_the_length_of_the_change_in_standard_deviations_of_both_dates() -> None:
    before, after, _ = _pair(height=9, width=14)
    statistic = classic.fit("cva", [(before, after)]).statistic(before, after)
    for y in range(9):
        for x in range(14):
            squares = [
                (float(after[k, y, x]) - float(before[k, y, x])) ** 2
                / np.var(np.concatenate([before[k], after[k]]).astype(np.float64))
                for k in range(4)
            ]
            assert statistic[y, x] == pytest.approx(np.sqrt(sum(squares)), rel=1e-5)


def test_cva_keeps_a_change_of_contrast_of_the_whole_image() -> None:
    before, _, _ = _pair()
    statistic = classic.fit("cva", [(before, 2 * before)]).statistic(before, 2 * before)
    assert (statistic > 0.5).all()  # stretching each image by itself would give zero


# ---------------------------------------------------------------- IR-MAD


def _irmad_by_the_book(before: np.ndarray, after: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Nielsen (2007) as written: two generalised eigenproblems on full weighted matrices."""
    bands, shape = len(before), before.shape[1:]
    x, y = (image.reshape(bands, -1).astype(np.float64) for image in (before, after))
    weights = np.ones(x.shape[1])
    for _ in range(rounds):
        joint = np.cov(np.vstack([x, y]), aweights=weights, bias=True)
        cxx, cxy, cyy = joint[:bands, :bands], joint[:bands, bands:], joint[bands:, bands:]
        squared, a = scipy.linalg.eigh(cxy @ np.linalg.inv(cyy) @ cxy.T, cxx)
        rho = np.sqrt(squared)
        b = np.linalg.inv(cyy) @ cxy.T @ a / rho
        centred_x = x - np.average(x, axis=1, weights=weights)[:, None]
        centred_y = y - np.average(y, axis=1, weights=weights)[:, None]
        mad = a.T @ centred_x - b.T @ centred_y
        chi_square = (mad**2 / (2 * (1 - rho))[:, None]).sum(0)
        weights = scipy.stats.chi2.sf(chi_square, bands)
    return rho[::-1], chi_square.reshape(shape)


@pytest.mark.parametrize("bands", [1, 3, 6])
def test_irmad_is_the_textbook_formula(bands: int) -> None:
    before, after, _ = _pair(bands=bands)
    fitted = classic.fit("irmad", [(before, after)])
    assert isinstance(fitted.measure, irmad.IrMad)
    assert fitted.measure.iterations > 2
    rho, chi_square = _irmad_by_the_book(before, after, fitted.measure.iterations)
    np.testing.assert_allclose(fitted.measure.correlation, rho, rtol=1e-6)
    np.testing.assert_allclose(fitted.statistic(before, after), np.sqrt(chi_square), rtol=1e-4, atol=1.1e-3)


def test_irmad_does_not_see_gain_and_offset_of_a_band() -> None:
    before, after, _ = _pair()
    gain = np.array([0.001, 3, 200, -0.5])[:, None, None]
    offset = np.array([5, -900, 0, 12])[:, None, None]
    other = (after.astype(np.float64) * gain + offset).astype(np.float32)
    plain = classic.fit("irmad", [(before, after)]).statistic(before, after)
    affine = classic.fit("irmad", [(before, other)]).statistic(before, other)
    np.testing.assert_allclose(affine, plain, rtol=2e-3, atol=2e-3)


def test_mad_gives_unchanged_pixels_even_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing changed, the chance of no change is uniform; reweighting would lower it."""
    monkeypatch.setattr(irmad, "MAX_ITERATIONS", 1)
    before, after, _ = _pair()
    early, late = before[:, 40:], after[:, 40:]  # below the changed block
    chance = irmad.fit(early.reshape(4, -1), late.reshape(4, -1)).no_change(early, late)
    shares, _ = np.histogram(chance, bins=10, range=(0, 1))
    np.testing.assert_allclose(shares / chance.size, 0.1, atol=0.025)


def test_irmad_sees_no_change_in_an_exact_linear_mixture() -> None:
    before, _, _ = _pair()
    after = 3 * before[[1, 0, 3, 2]] + 5
    fitted = classic.fit("irmad", [(before, after)])
    assert fitted.statistic(before, after).max() < 0.1


def test_irmad_refuses_an_image_without_contrast() -> None:
    before, after, _ = _pair()
    with pytest.raises(BadInput, match=r"'after' has one constant value in every band.*use method cva"):
        classic.fit("irmad", [(before, np.full_like(after, 3))])


def test_irmad_refuses_fewer_pixels_than_it_has_unknowns() -> None:
    before, after, _ = _pair(bands=13)
    with pytest.raises(BadInput, match="27 valid pixels of 13 bands, expected at least 28"):
        classic.fit("irmad", [(before[:, :3, :9], after[:, :3, :9])])


def test_irmad_stops_at_its_limit_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, _ = _pair()
    monkeypatch.setattr(irmad, "MAX_ITERATIONS", 2)
    fitted = classic.fit("irmad", [(before, after)])
    assert isinstance(fitted.measure, irmad.IrMad)
    assert (fitted.measure.iterations, fitted.measure.converged) == (2, False)


# ---------------------------------------------------------------- PCA and k-means


def test_pca_kmeans_is_the_nearer_of_two_centres_of_block_components() -> None:
    """Celik (2009) with explicit blocks, NumPy's SVD and SciPy's k-means."""
    before, after, _ = _pair()
    length = classic.fit("cva", [(before, after)]).statistic(before, after).astype(np.float64)
    size = pca_kmeans.BLOCK_PX
    half = size // 2
    rows, columns = length.shape
    apart = [
        length[y : y + size, x : x + size].ravel()
        for y in range(0, rows - size + 1, size)
        for x in range(0, columns - size + 1, size)
    ]
    _, _, components = np.linalg.svd(np.array(apart) - np.mean(apart, axis=0), full_matrices=False)
    features = np.empty((rows, columns, 3))
    for y in range(rows):
        for x in range(columns):
            block = [
                length[v, u] if 0 <= v < rows and 0 <= u < columns else length[y, x]
                for v in range(y - half, y + half + 1)
                for u in range(x - half, x + half + 1)
            ]
            features[y, x] = components[:3] @ block
    flat = features.reshape(-1, 3)
    guess = length.ravel() >= classic.otsu(length)
    start = np.array([flat[~guess].mean(0), flat[guess].mean(0)])
    centres, labels = kmeans2(flat, start, iter=300, minit="matrix")

    fitted = classic.fit("pca_kmeans", [(before, after)])
    statistic = fitted.statistic(before, after)
    np.testing.assert_array_equal(fitted.score(statistic) >= 0.5, labels.reshape(rows, columns) == 1)
    unchanged, changed = (np.linalg.norm(flat - centre, axis=1) for centre in centres)
    apart_sq = np.sum((centres[1] - centres[0]) ** 2)
    position = 0.5 + (unchanged**2 - changed**2) / (2 * apart_sq)
    np.testing.assert_allclose(statistic.ravel(), np.maximum(position, 0), atol=1e-5)


def test_pca_kmeans_drops_single_noisy_pixels_that_cva_keeps() -> None:
    random = np.random.default_rng(0)
    before = random.normal(50, 1, (3, 60, 80)).astype(np.float32)
    after = before + random.normal(0, 1, before.shape).astype(np.float32)
    after[:, 20:40, 30:60] += 20
    after[:, 5, 7] += 12
    by_pixel, by_block = (classic.fit(method, [(before, after)]) for method in ("cva", "pca_kmeans"))
    assert _score(by_pixel, before, after)[5, 7] >= 0.5
    assert _score(by_block, before, after)[5, 7] < 0.5
    assert (_score(by_block, before, after)[21:39, 31:59] >= 0.5).all()


def test_pca_kmeans_keeps_rising_beyond_the_centre_of_the_changed() -> None:
    before, after, _ = _pair()
    fitted = classic.fit("pca_kmeans", [(before, after)])
    scores = [_score(fitted, before, before + step)[30, 40] for step in (0, 20, 80, 320, 1280)]
    assert scores == sorted(set(scores))


def test_pca_kmeans_refuses_a_scene_without_one_whole_block() -> None:
    before, after, _ = _pair(height=2)
    with pytest.raises(BadInput, match="no block of 3 x 3 valid pixels"):
        classic.fit("pca_kmeans", [(before, after)])


# ---------------------------------------------------------------- real images


@pytest.fixture(scope="module")
def nanjing(real_data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """before, after, truth (0, 1 and 255 where unlabelled)."""
    folder = real_data / "cd_landsat_nanjing"
    images = []
    for name in ("t1_*.tif", "t2_*.tif", "label.tif"):
        with rasterio.open(next(folder.glob(name))) as source:
            images.append(source.read())
    before, after, label = images
    truth = np.array([255, 0, 1], np.uint8)[label[0]]
    return before.astype(np.float32), after.astype(np.float32), truth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "f1", "kappa"), [("cva", 0.755, 0.70), ("irmad", 0.80, 0.755), ("pca_kmeans", 0.75, 0.695)]
)
def test_scores_on_nanjing_are_at_least_the_published(
    method: str, f1: float, kappa: float, nanjing: tuple[np.ndarray, ...]
) -> None:
    before, after, truth = nanjing
    fitted = classic.fit(method, [(before, after)])
    counts = metrics.confusion((_score(fitted, before, after) >= 0.5).astype(np.uint8), truth, ignore=255)
    assert counts.f1 > f1
    assert counts.kappa > kappa


# ---------------------------------------------------------------- pairs without change


def noisy(seed: int, size: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """Two looks at one textured ground, nothing changed."""
    rng = np.random.default_rng(seed)
    ground = rng.normal(0.2, 0.05, (5, *size)).astype(np.float32)
    before, after = (ground + rng.normal(0, 0.002, ground.shape).astype(np.float32) for _ in range(2))
    return before, after


@pytest.mark.parametrize("method", ["cva", "irmad"])
@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_changed_noise_is_no_change(method: str, seed: int):
    before, after = noisy(seed)
    fitted = classic.fit(method, [(before, after)])
    statistic = fitted.statistic(before, after)
    assert (statistic >= classic.otsu(statistic)).mean() > 0.3  # what Otsu alone would call change
    assert (statistic >= fitted.threshold).mean() < 2e-3


# IR-MAD takes a change of most of the scene for how the dates differ, whatever the threshold
@pytest.mark.parametrize(
    ("method", "rows"), [("cva", n) for n in (1, 10, 30, 60, 90)] + [("irmad", n) for n in (1, 10, 30)]
)
def test_real_change_keeps_otsus_threshold_however_much_it_is(method: str, rows: int):
    before, after = noisy(9)
    after[:, :rows] += 0.1
    fitted = classic.fit(method, [(before, after)])
    statistic = fitted.statistic(before, after)
    assert fitted.threshold == classic.otsu(statistic)
    changed = np.zeros(before.shape[1:], bool)
    changed[:rows] = True
    if method == "cva":
        assert metrics.confusion(statistic >= fitted.threshold, changed).f1 > 0.99
