"""The bytes that a page gets: what they hold, and what is left out to keep them few."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.errors import BadInput
from geolab.splats import rasterize
from geolab.splats.gaussians import Gaussians
from geolab.splats.io import axes, spz
from geolab.splats.transform import transform
from geolab.viewer import payload


def read(sent: payload.Payload, folder) -> Gaussians:
    """The Gaussians as a page has them: the file's axes are ours there."""
    path = folder / "sent.spz"
    path.write_bytes(sent.data)
    return transform(spz.read(path, "sent")[0], axes.Z_UP_TO_Y_UP)


def test_the_page_gets_the_model_in_its_own_axes_within_a_tenth_of_a_millimetre(world, tmp_path):
    model = world.terrain(3000)
    sent = payload.encode(model)
    got = read(sent, tmp_path)
    assert (sent.shown, sent.total, sent.note) == (3000, 3000, "")
    assert torch.abs(got.means - model.means).max() < 1e-4
    assert torch.abs(got.log_scales - model.log_scales).max() < 0.04
    assert torch.abs(got.opacities - model.opacities).max() < 0.003
    assert got.sh.shape == model.sh.shape


def test_what_the_page_gets_looks_like_the_model(world, tmp_path):
    model = world.terrain(8000)
    seen = world.camera((30, -60, 50), (0, 0, 0))
    whole, sent = (
        255 * rasterize.render(g, seen, mode="RGB").rgb
        for g in (model, read(payload.encode(model), tmp_path))
    )
    assert world.psnr(whole, sent) > 38


def test_a_budget_takes_the_harmonics_first_and_then_the_faintest(world, tmp_path):
    model = world.terrain(4000)
    full = payload.encode(model)
    plain = payload.encode(model, budget_mb=4000 * 35 / 1e6)
    assert (plain.shown, read(plain, tmp_path).sh_degree) == (4000, 1)
    assert "degree 1 of 3" in plain.note
    few = payload.encode(model, budget_mb=0.02)
    assert len(few.data) < 20_000 < len(full.data)
    assert few.shown < 4000
    assert f"{few.shown:,} largest of 4,000" in few.note
    assert "max_mb" in few.note


def test_the_kept_ones_are_the_largest_and_most_opaque(tmp_path):
    count = 2000
    scales = torch.full((count, 3), -2.0)
    scales[:10] = 1.0
    logits = torch.zeros(count)
    logits[10:20] = -9.0
    model = Gaussians(
        torch.arange(3.0 * count).reshape(count, 3) / 100, torch.eye(4)[:1].repeat(count, 1), scales,
        logits, torch.zeros(count, 1, 3),
    )  # fmt: skip
    sent = payload.encode(model, budget_mb=(count - 10) * 16.151 / 1e6)
    got = read(sent, tmp_path)
    assert sent.shown == count - 10
    assert (got.opacities < 0.01).sum() == 0
    assert (got.log_scales[:, 0] > 0.9).sum() == 10


def test_gaussians_that_are_not_numbers_stay_behind(world, tmp_path):
    model = world.terrain(100)
    model.means[3, 1] = float("nan")
    model.sh[5, 2, 0] = float("inf")
    sent = payload.encode(model)
    assert (sent.shown, len(read(sent, tmp_path))) == (98, 98)
    with pytest.raises(BadInput, match="no Gaussian with finite numbers"):
        payload.encode(model.map(lambda t: t * float("nan")))


def test_a_model_far_from_its_origin_is_coarser_and_one_off_the_earth_refused(world, tmp_path):
    model = world.terrain(50)
    far = Gaussians(model.means + 100_000, model.quats, model.log_scales, model.logit_opacities, model.sh)
    assert torch.abs(read(payload.encode(far), tmp_path).means - far.means).max() < 0.02
    beyond = Gaussians(model.means * 1e7, model.quats, model.log_scales, model.logit_opacities, model.sh)
    with pytest.raises(BadInput, match="within 4,000 km"):
        payload.encode(beyond)


def test_no_budget_is_refused():
    model = Gaussians(
        torch.zeros(2, 3), torch.eye(4)[:2], torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 1, 3)
    )
    with pytest.raises(BadInput, match="max_mb"):
        payload.encode(model, budget_mb=0)


def test_gradients_and_other_number_types_do_not_matter(world):
    model = world.terrain(20).map(lambda t: t.double().requires_grad_())
    assert payload.encode(model).data == payload.encode(world.terrain(20)).data


def test_importance_is_opacity_times_area(world):
    model = world.terrain(500, seed=4)
    arrays = payload._arrays(model)
    axes_m = np.sort(np.exp(arrays[2].astype(float)), axis=1)
    slow = model.opacities.numpy() * axes_m[:, 1] * axes_m[:, 2]
    assert (np.argsort(payload._importance(arrays)) == np.argsort(np.log(slow))).mean() > 0.99
