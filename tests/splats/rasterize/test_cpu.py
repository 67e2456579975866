"""The CPU back end against dense float64 autograd: images, every gradient, every mode; and against itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

Make = Callable[..., Any]
MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
EXACT = 1e-8  # relative, float64


@pytest.mark.parametrize("blend", ["classic", "antialiased"])
@pytest.mark.parametrize("model", ["pinhole", "ortho"])
@pytest.mark.parametrize("mode", MODES)
def test_images_and_gradients_are_those_of_autograd(
    make_crowd: Make, far_apart: Make, mode: str, model: str, blend: str
) -> None:
    scene = make_crowd(ortho=model == "ortho", sh_degree=1)
    words = {"render_mode": mode, "rasterize_mode": blend}
    found, expected = scene.gradients("cpu", **words), scene.gradients("reference", **words)
    errors = far_apart(found, expected)
    assert max(errors.values()) < EXACT, errors


@pytest.mark.parametrize("of", ["images", "alphas"])
def test_each_output_alone_passes_its_gradient_back(make_crowd: Make, far_apart: Make, of: str) -> None:
    scene = make_crowd(n=80, cameras=1)
    errors = far_apart(scene.gradients("cpu", of=of), scene.gradients("reference", of=of))
    assert max(errors.values()) < EXACT, errors


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics_of_every_degree_pass_gradients_to_means_too(
    make_crowd: Make, far_apart: Make, degree: int
) -> None:
    scene = make_crowd(n=70, seed=degree, sh_degree=degree)
    errors = far_apart(scene.gradients("cpu"), scene.gradients("reference"))
    assert max(errors.values()) < EXACT, errors


def test_fewer_degrees_than_the_model_has_leave_the_others_alone(make_crowd: Make, far_apart: Make) -> None:
    scene = make_crowd(n=50, sh_degree=3)
    found, expected = scene.gradients("cpu", sh_degree=1), scene.gradients("reference", sh_degree=1)
    assert max(far_apart(found, expected).values()) < EXACT
    assert found["colors"].shape == (50, 16, 3)
    assert not found["colors"][:, 4:].any()


@pytest.mark.parametrize(
    ("channels", "mode"), [(1, "RGB"), (2, "RGB+D"), (4, "RGB"), (4, "RGB+ED"), (5, "RGB+D")]
)
def test_any_number_of_channels(make_crowd: Make, far_apart: Make, channels: int, mode: str) -> None:
    scene = make_crowd(n=60, channels=channels, seed=channels).told(render_mode=mode)
    errors = far_apart(scene.gradients("cpu"), scene.gradients("reference"))
    assert max(errors.values()) < EXACT, errors


def test_colours_of_their_own_for_each_camera(make_crowd: Make, far_apart: Make) -> None:
    scene = make_crowd(n=60, cameras=3)
    scene = scene.given(colors=torch.rand(3, 60, 3, dtype=torch.float64))
    errors = far_apart(scene.gradients("cpu"), scene.gradients("reference"))
    assert max(errors.values()) < EXACT, errors


def test_absolute_gradients_of_places_are_summed_over_pixels(make_crowd: Make, far_apart: Make) -> None:
    scene = make_crowd(n=60)
    found, expected = scene.gradients("cpu", absgrad=True), scene.gradients("reference", absgrad=True)
    assert (found["absgrad"] >= found["means2d"].abs() - 1e-9).all()
    assert max(far_apart(found, expected).values()) < EXACT


# ---------------------------------------------------------------- adversaries


def _opaque_stack(make_crowd: Make) -> Any:
    """Pixels that end in the middle of the crowd: T < 1e-4; alphas held at 0.999."""
    return make_crowd(n=110, opaque=0.8, spread=0.4)


def _huge(make_crowd: Make) -> Any:
    """Gaussians larger than the image."""
    return make_crowd(n=20, spread=3.0)


def _needles(make_crowd: Make) -> Any:
    scene = make_crowd(n=80)
    return scene.given(scales=scene.inputs["scales"] * torch.tensor([8.0, 0.02, 0.2], dtype=torch.float64))


def _behind(make_crowd: Make) -> Any:
    """Half behind the camera, some in its plane."""
    scene = make_crowd(n=70, cameras=1)
    views = scene.inputs["viewmats"].clone()
    views[:, 2, 3] = 0.1
    means = scene.inputs["means"].clone()
    means[0] = torch.linalg.inv(views)[0, :3, 3]
    return scene.given(viewmats=views, means=means)


def _off_screen(make_crowd: Make) -> Any:
    """A few at the rim, most outside of the image, far beyond where the Jacobian is held."""
    scene = make_crowd(n=90, spread=0.5)
    return scene.given(means=scene.inputs["means"] * torch.tensor([6.0, 5.0, 1.0], dtype=torch.float64))


def _same_depth(make_crowd: Make) -> Any:
    """One plane across the view: the order among equals is that of their numbers."""
    scene = make_crowd(n=60, cameras=1)
    scene = scene.given(viewmats=torch.eye(4, dtype=torch.float64)[None])
    means = scene.inputs["means"].clone()
    means[:, 2] = 3.0
    return scene.given(means=means)


def _faint(make_crowd: Make) -> Any:
    """About the threshold 1/255, some fainter."""
    scene = make_crowd(n=90)
    return scene.given(opacities=0.012 * scene.inputs["opacities"])


def _clipped(make_crowd: Make) -> Any:
    """Planes through the crowd; small ones are left out."""
    return make_crowd(n=90).told(near_plane=2.9, far_plane=3.3, radius_clip=3.0, eps2d=0.1)


def _one_pixel(make_crowd: Make) -> Any:
    return make_crowd(n=30, width=1, height=1)


ADVERSARIES = [
    _opaque_stack, _huge, _needles, _behind, _off_screen, _same_depth, _faint, _clipped, _one_pixel,
]  # fmt: skip


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("blend", ["classic", "antialiased"])
def test_hard_scenes_too(make_crowd: Make, far_apart: Make, adversary: Make, blend: str) -> None:
    scene = adversary(make_crowd).told(render_mode="RGB+ED", rasterize_mode=blend)
    found, expected = scene.gradients("cpu"), scene.gradients("reference")
    assert all(t.isfinite().all() for t in found.values())
    errors = far_apart(found, expected)
    assert max(errors.values()) < EXACT, errors


@pytest.mark.parametrize("adversary", [None, *ADVERSARIES])
def test_median_depth_weights_and_radii_are_those_of_the_reference(make_crowd: Make, adversary: Make) -> None:
    scene = make_crowd() if adversary is None else adversary(make_crowd)
    _, alphas, found = scene.draw("cpu", median_depth=True, weights=True)
    _, _, expected = scene.draw("reference", median_depth=True, weights=True)
    torch.testing.assert_close(
        found["median_depth"], expected["median_depth"], rtol=1e-12, atol=0, equal_nan=True
    )
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-10, atol=1e-12)
    assert found["weights"].sum().item() == pytest.approx(alphas.sum().item())
    assert torch.equal(found["radii"], expected["radii"])
    seen = (expected["radii"] > 0).all(dim=-1)
    torch.testing.assert_close(found["means2d"][seen], expected["means2d"][seen], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found["depths"][seen], expected["depths"][seen], rtol=1e-12, atol=1e-12)


def test_the_hard_scenes_are_hard(make_crowd: Make) -> None:
    _, alphas, _ = _opaque_stack(make_crowd).draw("reference")
    assert (alphas > 0.999).double().mean() > 0.3
    _, _, meta = _off_screen(make_crowd).draw("reference")
    assert 0.05 < (meta["radii"] > 0).all(dim=-1).double().mean() < 0.8
    _, _, meta = _behind(make_crowd).draw("reference")
    assert 0.2 < (meta["depths"] < 0).double().mean() < 0.8
    _, _, meta = _faint(make_crowd).draw("reference")
    assert 0.2 < (meta["radii"] > 0).all(dim=-1).double().mean() < 0.8


def test_numbers_that_are_none_are_left_out_and_spoil_nothing(make_crowd: Make) -> None:
    scene = make_crowd(n=40).told(render_mode="RGB+ED")
    clean = scene.draw("cpu")[0]
    means = torch.cat([scene.inputs["means"], torch.full((2, 3), torch.nan, dtype=torch.float64)])
    more = {
        n: torch.cat([scene.inputs[n], scene.inputs[n][:2]])
        for n in ("quats", "scales", "opacities", "colors")
    }
    assert torch.equal(scene.given(means=means, **more).draw("cpu")[0], clean)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_to_draw_is_the_background(make_crowd: Make, mode: str) -> None:
    scene = make_crowd(n=0).told(render_mode=mode, median_depth=True, weights=True)
    images, alphas, meta = scene.draw("cpu")
    expected, none, told = scene.draw("reference")
    assert torch.equal(images, expected)
    assert torch.equal(alphas, none)
    assert meta["median_depth"].isnan().all()
    assert meta["weights"].shape == told["weights"].shape == (0,)


SHAPES = st.fixed_dictionaries(
    {
        "n": st.integers(1, 60),
        "width": st.integers(1, 70),
        "height": st.integers(1, 50),
        "cameras": st.integers(1, 3),
        "channels": st.integers(1, 5),
        "ortho": st.booleans(),
        "seed": st.integers(0, 10**6),
        "spread": st.floats(0.01, 1.0),
    }
)


NOTHING_SEEN = {
    "n": 1, "width": 1, "height": 1, "cameras": 1, "channels": 1, "ortho": False, "seed": 0, "spread": 0.0625
}  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(SHAPES, st.sampled_from(MODES), st.sampled_from(["classic", "antialiased"]))
@example(NOTHING_SEEN, "RGB", "antialiased")  # gradients are zeros then, not absent
def test_images_of_any_shape(make_crowd: Make, far_apart: Make, shape: Any, mode: str, blend: str) -> None:
    scene = make_crowd(**shape).told(render_mode=mode, rasterize_mode=blend)
    errors = far_apart(scene.gradients("cpu"), scene.gradients("reference"))
    assert max(errors.values()) < 1e-7, errors  # of a few Gaussians, whose gradients may all but cancel


# ---------------------------------------------------------------- single precision, threads


@pytest.mark.parametrize(("ortho", "blend"), list(product([False, True], ["classic", "antialiased"])))
def test_single_precision_draws_the_image_of_double(
    make_crowd: Make, psnr: Make, ortho: bool, blend: str
) -> None:
    scene = make_crowd(n=300, ortho=ortho, sh_degree=3).told(rasterize_mode=blend)
    images, alphas, _ = scene.as_type(torch.float32).draw("cpu")
    exact, exact_alphas, _ = scene.draw("reference")
    assert images.dtype == alphas.dtype == torch.float32
    assert psnr(images, exact) > 70
    assert psnr(alphas, exact_alphas) > 70


def test_single_precision_gradients_are_near(make_crowd: Make) -> None:
    scene = make_crowd(n=200, sh_degree=2).told(render_mode="RGB+ED")
    found, exact = scene.as_type(torch.float32).gradients("cpu"), scene.gradients("reference")
    for name, t in exact.items():
        off = (found[name].double() - t).square().sum().sqrt() / t.square().sum().sqrt()
        assert off < 2e-3, f"{name}: {off}"


def _everything(scene: Any, **words: Any) -> list[bytes]:
    found = scene.gradients("cpu", render_mode="RGB+ED", absgrad=True, **words)
    meta = scene.draw("cpu", median_depth=True, weights=True)[2]
    tensors = [*found.values(), meta["median_depth"], meta["weights"]]
    return [t.detach().contiguous().numpy().tobytes() for t in tensors]


@pytest.fixture
def large(make_crowd: Make) -> Any:
    """Work enough for several threads: many tiles, many Gaussians."""
    return make_crowd(n=3000, width=211, height=147, sh_degree=1, spread=0.05).as_type(torch.float32)


def test_every_bit_is_the_same_for_any_number_of_threads_and_every_run(large: Any) -> None:
    before = torch.get_num_threads()
    try:
        seen = []
        for threads in (1, 2, 4, 2):
            torch.set_num_threads(threads)
            seen.append(_everything(large))
    finally:
        torch.set_num_threads(before)
    assert all(one == seen[0] for one in seen)


def test_callers_in_several_threads_do_not_disturb_each_other(large: Any, make_crowd: Make) -> None:
    scenes = [large, make_crowd(n=900, seed=7, width=90, height=120).as_type(torch.float32)] * 3
    alone = [_everything(scene) for scene in scenes[:2]] * 3
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(_everything, scenes))
    assert together == alone
