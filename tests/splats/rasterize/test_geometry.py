"""Where things appear, how large, how far: what an image means, for every back end that runs here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from geolab.errors import BadInput
from geolab.splats.gaussians import SH_C0, Gaussians
from geolab.splats.rasterize import Rendering, render
from geolab.splats.views import Camera

BACKENDS = ("cpu", "reference")
WIDTH, HEIGHT = 61, 43


def dots(
    places: Sequence[Sequence[float]],
    *,
    colours: Sequence[Sequence[float]] = ((1, 1, 1),),
    sigma_m: float | Sequence[float] = 0.01,
    opacity: float = 0.99,
) -> Gaussians:
    """Gaussians at places (metres), upright, of colours 0..1 that do not depend on the direction."""
    n = len(places)
    rgb = torch.tensor(colours, dtype=torch.float32).expand(n, 3)
    logit = math.log(opacity / (1 - opacity))
    return Gaussians(
        means=torch.tensor(places, dtype=torch.float32),
        quats=torch.tensor([[1.0, 0, 0, 0]]).expand(n, 4),
        log_scales=torch.tensor(sigma_m, dtype=torch.float32).log().expand(n, 3),
        logit_opacities=torch.full((n,), logit),
        sh=((rgb - 0.5) / SH_C0)[:, None],
    )


def camera(position: Sequence[float] = (0, 0, 0), *, f: float = 50.0) -> Camera:
    """Looking along z from a position, x to the right, y down; the principal point is off the middle."""
    matrix = np.eye(4)
    matrix[:3, 3] = -np.asarray(position)
    K = np.array([[f, 0, 28.5], [0, 0.8 * f, 20.5], [0, 0, 1]])
    return Camera(WIDTH, HEIGHT, K, matrix)


def brightest(seen: Rendering) -> tuple[int, int]:
    """Column and row."""
    row, column = np.unravel_index(seen.alpha.argmax(), seen.alpha.shape)
    return int(column), int(row)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_point_appears_at_the_pixel_that_k_says(backend: str) -> None:
    """u = 50 x / z + 28.5 = 38.5 is the centre of column 38; v = 40 y / z + 20.5 = 16.5 of row 16."""
    seen = render(dots([(0.8, -0.4, 4.0)]), camera(), backend=backend)
    assert brightest(seen) == (38, 16)
    assert seen.alpha[16, 38] == pytest.approx(0.99, abs=1e-3)
    assert seen.alpha[16, 37] == pytest.approx(seen.alpha[16, 39], rel=1e-4)
    assert seen.alpha[15, 38] == pytest.approx(seen.alpha[17, 38], rel=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_point_on_a_pixels_corner_is_shared_by_four(backend: str) -> None:
    seen = render(dots([(0.84, -0.45, 4.0)]), camera(), backend=backend)  # u = 39, v = 16
    four = seen.alpha[15:17, 38:40]
    np.testing.assert_allclose(four, four[0, 0], rtol=2e-3)
    assert seen.alpha.max() == four.max() > 0.3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("height_m", [2.0, 80.0])
def test_an_orthographic_image_has_the_same_scale_at_any_distance(backend: str, height_m: float) -> None:
    """10 pixels a metre east, 8 a metre down: points 2 m apart lie 20 columns, 16 rows apart."""
    model = dots([(-1, 0, height_m), (1, 0, height_m), (0, 1.5, height_m), (0, -0.5, height_m)], sigma_m=0.02)
    seen = render(model, camera(f=10.0), backend=backend, camera_model="ortho")
    # u = 10 x + 28.5, v = 8 y + 20.5
    found = sorted(zip(*np.nonzero(seen.alpha > 0.6), strict=True))
    assert [(int(c), int(r)) for r, c in found] == [(28, 16), (18, 20), (38, 20), (28, 32)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", ["pinhole", "ortho"])
def test_a_gaussian_is_as_wide_as_its_sigma_and_the_pixel_filter_say(backend: str, model: str) -> None:
    """Variances of the blob: (f sigma / z)^2 + 0.3 pixels squared, east and down on their own."""
    f = 100.0 if model == "pinhole" else 25.0
    told = dots([(0, 0, 4.0)], sigma_m=(0.16, 0.1, 0.3), opacity=0.02)
    seen = render(told, camera(f=f), backend=backend, camera_model=model)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = seen.alpha > 0
    # ln alpha is a parabola whose curvature is one over the variance
    fit = np.stack([(columns - 28.5) ** 2, (rows - 20.5) ** 2, np.ones_like(rows)], axis=-1)[inside]
    slope, *_ = np.linalg.lstsq(fit, np.log(seen.alpha[inside]), rcond=None)
    assert -0.5 / slope[0] == pytest.approx((25 * 0.16) ** 2 + 0.3, rel=1e-3)
    assert -0.5 / slope[1] == pytest.approx((20 * 0.10) ** 2 + 0.3, rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", ["pinhole", "ortho"])
def test_the_depth_of_a_plane_is_its_distance(backend: str, model: str) -> None:
    x, y = np.meshgrid(np.linspace(-4, 4, 33), np.linspace(-4, 4, 33))
    places = np.stack([x, y, np.full_like(x, 5.0)], axis=-1).reshape(-1, 3)
    plane = dots(places.tolist(), sigma_m=(0.2, 0.2, 1e-3))
    seen = render(
        plane, camera(position=(0, 0, -2), f=60.0 if model == "pinhole" else 9.0),
        backend=backend, camera_model=model, median_depth=True,
    )  # fmt: skip
    assert seen.depth is not None
    assert seen.median_depth is not None
    np.testing.assert_allclose(seen.depth, 7.0, rtol=1e-4)
    np.testing.assert_allclose(seen.median_depth, 7.0, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("opacity", [0.006, 0.05, 0.9])
def test_expected_depth_does_not_depend_on_how_faint_a_surface_is(backend: str, opacity: float) -> None:
    veil = dots([(0, 0, 4)], sigma_m=(80, 80, 1e-3), opacity=opacity)
    expected, blended = (render(veil, camera(), backend=backend, mode=m).depth for m in ("RGB+ED", "RGB+D"))
    assert expected is not None
    assert blended is not None
    assert expected[20, 28] == pytest.approx(4.0, rel=1e-4)
    assert blended[20, 28] == pytest.approx(4.0 * opacity, rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("opacity", "layer"), [(0.9, 0), (0.45, 1), (0.3, 1), (0.2, 3), (0.1, None)])
def test_median_depth_is_of_the_layer_that_takes_half_of_the_light(
    backend: str, opacity: float, layer: int | None
) -> None:
    """Four large layers 3, 4, 5, 6 m away: the light (1 - opacity)^n halves at one of them, or at none."""
    stack = dots([(0, 0, 3.0 + i) for i in range(4)], sigma_m=(50, 50, 1e-3), opacity=opacity)
    seen = render(stack, camera(), backend=backend, median_depth=True, mode="RGB+ED")
    assert seen.median_depth is not None
    assert seen.depth is not None
    middle = seen.median_depth[20, 28]
    assert math.isnan(middle) if layer is None else middle == 3.0 + layer
    shares = opacity * (1 - opacity) ** np.arange(4)
    assert seen.depth[20, 28] == pytest.approx((shares * np.arange(3, 7)).sum() / shares.sum(), rel=1e-3)
    assert seen.alpha[20, 28] == pytest.approx(shares.sum(), rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_of_all_gaussians_sum_to_the_alphas_of_all_pixels(backend: str) -> None:
    random = np.random.default_rng(1)
    places = random.uniform((-2, -2, 3), (2, 2, 6), (200, 3))
    hidden = [(0, 0, -3.0), (90, 0, 4.0)]
    model = dots([*places.tolist(), *hidden], sigma_m=0.2, opacity=0.7)
    seen = render(model, camera(), backend=backend, weights=True)
    assert seen.weights is not None
    assert seen.weights.shape == (202,)
    assert seen.weights.sum() == pytest.approx(seen.alpha.sum(), rel=1e-5)
    assert not seen.weights[200:].any()
    assert seen.weights.min() >= 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_say_where_a_value_came_from(backend: str) -> None:
    """Images are linear in colours: the mean red of the image is the weighted mean of the red Gaussians."""
    random = np.random.default_rng(2)
    red = random.uniform(0, 1, 80)
    places = random.uniform((-2, -2, 3), (2, 2, 6), (80, 3)).tolist()
    model = dots(places, colours=np.stack([red, 0 * red, 0 * red], axis=-1).tolist(), sigma_m=0.3)
    seen = render(model, camera(), backend=backend, weights=True)
    assert seen.weights is not None
    assert seen.rgb[..., 0].sum() == pytest.approx((seen.weights * red).sum(), rel=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_nearer_hides_the_farther_whatever_their_order(backend: str) -> None:
    red, green = (1, 0, 0), (0, 1, 0)
    for places, colours in (([(0, 0, 5), (0, 0, 3)], [red, green]), ([(0, 0, 3), (0, 0, 5)], [green, red])):
        seen = render(dots(places, colours=colours, sigma_m=1.0), camera(), backend=backend)
        assert seen.rgb[20, 28, 1] > 0.97
        assert seen.rgb[20, 28, 0] < 0.02


@pytest.mark.parametrize("backend", BACKENDS)
def test_light_that_passes_shows_the_background(backend: str) -> None:
    veil = dots([(0, 0, 4)], sigma_m=(80, 80, 1e-3), opacity=0.25)
    seen = render(veil, camera(), backend=backend, background=(0.2, 0.4, 1.0))
    np.testing.assert_allclose(seen.rgb[20, 28], 0.25 + 0.75 * np.array([0.2, 0.4, 1.0]), rtol=1e-3)
    empty = render(
        dots([(0, 0, -4)]), camera(), backend=backend, background=(0.2, 0.4, 1.0), median_depth=True
    )
    np.testing.assert_allclose(empty.rgb, np.broadcast_to([0.2, 0.4, 1.0], (HEIGHT, WIDTH, 3)), rtol=1e-6)
    assert empty.depth is not None
    assert not empty.depth.any()
    assert empty.median_depth is not None
    assert np.isnan(empty.median_depth).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_antialiasing_keeps_the_light_of_what_is_smaller_than_a_pixel(backend: str) -> None:
    """A speck far below a pixel weighs opacity 2 pi sigma^2; the classic filter makes it larger."""
    speck = dots([(0, 0, 4.0)], sigma_m=0.02, opacity=0.9)  # 0.25 x 0.2 pixels
    classic, exact = (
        render(speck, camera(), backend=backend, rasterize_mode=mode).alpha.sum()
        for mode in ("classic", "antialiased")
    )
    assert exact == pytest.approx(0.9 * 2 * math.pi * 0.25 * 0.2, rel=0.1)
    assert classic > 4 * exact


def test_several_cameras_of_several_sizes_are_drawn_in_their_order() -> None:
    model = dots([(0, 0, 4)])
    small = Camera(20, 30, camera().K, np.eye(4))
    first, second = render(model, [camera(), small], backend="cpu", mode="RGB")
    assert first.rgb.shape == (HEIGHT, WIDTH, 3)
    assert second.rgb.shape == (30, 20, 3)
    assert first.depth is first.weights is first.median_depth is None
    assert first.rgb.dtype == np.float32


def test_a_camera_with_distortion_is_refused() -> None:
    bent = Camera(20, 30, camera().K, np.eye(4), "OPENCV", (0.1, 0, 0, 0))
    with pytest.raises(
        BadInput, match=r"camera: found distortion \(OPENCV\), expected a camera without; images"
    ):
        render(dots([(0, 0, 4)]), bent)
