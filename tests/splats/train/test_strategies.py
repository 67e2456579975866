"""Where Gaussians come and go: the formulas, the pictures they keep, and gsplat's own strategies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from geolab.splats import rasterize
from geolab.splats.train import densify, mcmc
from geolab.splats.train.adam import Learnt


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(count: int = 60, *, opacity: tuple[float, float] = (0.05, 0.9)) -> Learnt:
    low, high = opacity
    return Learnt({
        "means": random(count, 3, seed=1) * 2 - 1,
        "quats": random(count, 4, seed=2) - 0.5,
        "scales": (random(count, 3, seed=3) * 0.1 + 0.02).log(),
        "opacities": (low + (high - low) * random(count, seed=4)).logit(),
        "sh": random(count, 4, 3, seed=5),
    })  # fmt: skip


def picture(learnt: Learnt) -> Tensor:
    place = torch.eye(4)
    place[2, 3] = 4.0
    K = torch.tensor([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
    return rasterize.rasterize(
        learnt["means"], learnt["quats"], learnt["scales"].exp(), learnt["opacities"].sigmoid(),
        learnt["sh"], place[None], K[None], 64, 48, sh_degree=1, backend="cpu",
    )[0][0]  # fmt: skip


# ---------------------------------------------------------------- MCMC


def test_relocation_is_equation_9_of_the_paper() -> None:
    opacity, scale, copies = random(40) * 0.998 + 0.001, random(40, 3, seed=1), torch.arange(1, 41)
    found_opacity, found_scale = mcmc.relocated(opacity, scale, copies)
    for k, n in enumerate(copies.tolist()):
        o = opacity[k].double().item()
        new = 1 - (1 - o) ** (1 / n)
        total = sum(
            math.comb(i - 1, j) * (-1) ** j / math.sqrt(j + 1) * new ** (j + 1)
            for i in range(1, n + 1)
            for j in range(i)
        )
        assert found_opacity[k].item() == pytest.approx(new, rel=1e-5)
        assert found_scale[k].tolist() == pytest.approx((o / total * scale[k].double()).tolist(), rel=1e-5)


@pytest.mark.parametrize("copies", [2, 4, 11])
def test_copies_of_a_gaussian_hide_as_much_along_a_line_and_at_its_centre(copies: int) -> None:
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    shape = torch.ones(1, 3, dtype=torch.float64)
    opacity, scales = mcmc.relocated(torch.tensor([0.8], dtype=torch.float64), shape, torch.tensor([copies]))
    one = 0.8 * torch.exp(-x.square() / 2)
    many = 1 - (1 - opacity * torch.exp(-(x / scales[0, 0]).square() / 2)) ** copies
    assert many.max().item() == pytest.approx(one.max().item(), rel=1e-7)
    assert many.sum().item() == pytest.approx(one.sum().item(), rel=1e-6)


def test_the_dead_move_to_the_living_and_the_picture_stays() -> None:
    learnt = some(400, opacity=(0.05, 0.5))
    dead = torch.arange(400) % 20 == 0
    learnt["opacities"][dead] = -7.0
    before, places = picture(learnt), learnt["means"].clone()
    moved, added = mcmc.refine(learnt, cap=400, growth=1.05, generator=generator())
    assert (moved, added) == (20, 0)
    assert (learnt["opacities"].sigmoid() >= mcmc.DEAD).all()
    assert torch.equal(learnt["means"][~dead], places[~dead])
    assert (learnt["means"][dead][:, None] == places[~dead]).all(-1).any(1).all()
    assert (picture(learnt) - before).abs().mean() < 0.01


def test_growth_keeps_to_the_cap_and_the_picture() -> None:
    learnt = some(300, opacity=(0.05, 0.5))
    before = picture(learnt)
    assert mcmc.refine(learnt, cap=1000, growth=1.1, generator=generator()) == (0, 30)
    assert len(learnt) == 330
    assert (picture(learnt) - before).abs().mean() < 0.01
    assert mcmc.refine(learnt, cap=340, growth=1.1, generator=generator())[1] == 10
    assert mcmc.refine(learnt, cap=340, growth=1.1, generator=generator())[1] == 0
    assert {len(t) for t in learnt.tensors().values()} == {340}


def test_moments_of_the_copied_begin_anew_and_others_stay() -> None:
    learnt = some(100)
    learnt.step({"means": random(100, 3)}, {"means": 0.1}, number=1)
    learnt["opacities"][:3] = -7.0
    before, moments = learnt["opacities"].clone(), learnt.first["means"].clone()
    mcmc.refine(learnt, cap=100, growth=1.0, generator=generator())
    touched = learnt["opacities"] != before
    touched[:3] = False
    assert 1 <= touched.sum() <= 3
    assert (learnt.first["means"][touched] == 0).all()
    others = ~touched
    others[:3] = False
    assert torch.equal(learnt.first["means"][others], moments[others])


def test_only_the_faint_are_shaken_and_along_their_shape() -> None:
    learnt = some(3000, opacity=(0.004, 0.9))
    learnt["scales"][:] = torch.tensor([1e-1, 1e-3, 1e-3]).log()
    learnt["quats"][:] = torch.tensor([1.0, 0, 0, 0])
    before, opacities = learnt["means"].clone(), learnt["opacities"].sigmoid()
    mcmc.explore(learnt, rate=1.0, generator=generator())
    moved = (learnt["means"] - before).abs()
    assert (moved[opacities > mcmc.STILL] == 0).all()
    assert (moved[opacities < 0.01].amax(1) > 0).all()
    assert moved[:, 0].max() > 1e3 * moved[:, 1:].max()


def test_noise_is_that_of_gsplat() -> None:
    ops = pytest.importorskip("gsplat.strategy.ops", reason="gsplat is not installed")
    del ops
    learnt = some(200, opacity=(0.004, 0.1))
    drawn = torch.randn(200, 3, generator=generator(5))
    opacities, scales = learnt["opacities"].sigmoid(), learnt["scales"].exp()
    turn = mcmc.rotations(learnt["quats"])
    covariance = turn @ torch.diag_embed(scales**2) @ turn.mT
    fall = 1 / (1 + torch.exp(-100 * ((1 - opacities) - 0.995)))
    expected = learnt["means"] + torch.einsum("nij,nj->ni", covariance, drawn * fall[:, None] * 3.0)
    mcmc.explore(learnt, rate=3.0, generator=generator(5))
    torch.testing.assert_close(learnt["means"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_relocation_is_that_of_gsplats_kernel() -> None:
    from gsplat.relocation import compute_relocation

    opacity, scale = random(500) * 0.9 + 0.01, random(500, 3, seed=1)
    copies = torch.arange(500) % 8 + 1
    binoms = torch.tensor([[float(math.comb(n, k)) for k in range(51)] for n in range(51)])
    theirs = compute_relocation(opacity.cuda(), scale.cuda(), copies.cuda(), binoms.cuda())
    for ours, kernel in zip(mcmc.relocated(opacity, scale, copies), theirs, strict=True):
        torch.testing.assert_close(ours, kernel.cpu(), rtol=1e-3, atol=1e-5)


# ---------------------------------------------------------------- clone, split, prune


def seen(learnt: Learnt, pulls: Tensor) -> dict[str, Any]:
    """What the rasterizer tells of one view, with gradients of these lengths."""
    means2d = torch.zeros(1, len(learnt), 2, requires_grad=True)
    means2d.grad = torch.stack([pulls, torch.zeros_like(pulls)], -1)[None] / 32
    radii = torch.ones(1, len(learnt), 2, dtype=torch.int32)
    return {
        "means2d": means2d, "radii": radii, "width": 64, "height": 48,
        "n_cameras": 1, "gaussian_ids": None,
    }  # fmt: skip


def pulled(learnt: Learnt, pulls: Tensor) -> densify.Pull:
    pull = densify.Pull(len(learnt), torch.device("cpu"))
    pull.add(seen(learnt, pulls))
    return pull


def test_densification_is_that_of_gsplat() -> None:
    default = pytest.importorskip("gsplat.strategy", reason="gsplat is not installed")
    pulls, extent = random(60, seed=9) * 4e-4, 6.0
    ours = some()
    ours["opacities"][::9] = -6.0
    params = {k: torch.nn.Parameter(v.clone()) for k, v in ours.values.items()}
    optimisers = {k: torch.optim.Adam([v], lr=0.0) for k, v in params.items()}
    for key, value in params.items():
        value.grad = torch.ones_like(value)
        optimisers[key].step()
    strategy = default.DefaultStrategy(refine_start_iter=0, refine_every=1)
    state = strategy.initialize_state(scene_scale=extent)
    strategy._update_state(params, state, seen(ours, pulls))
    torch.manual_seed(0)
    cloned, split = strategy._grow_gs(params, optimisers, state, 1)
    pruned = strategy._prune_gs(params, optimisers, state, 1)
    assert min(cloned, split, pruned) > 0
    densify.refine(
        ours, pulled(ours, pulls), extent=extent, cap=1000, generator=generator(), prune_large=False
    )
    assert len(ours) == len(params["means"])
    for name in ("quats", "scales", "opacities", "sh"):
        torch.testing.assert_close(ours[name], params[name].detach())
    fixed = len(ours) - 2 * split
    torch.testing.assert_close(ours["means"][:fixed], params["means"][:fixed].detach())


def test_the_new_begin_without_moments_and_the_old_keep_theirs() -> None:
    learnt = some()
    learnt.step(
        {k: torch.ones_like(v) for k, v in learnt.values.items()}, dict.fromkeys(learnt.values, 0.0), number=1
    )
    pulls = torch.zeros(60)
    pulls[:6] = 1.0
    pull = densify.refine(
        learnt, pulled(learnt, pulls), extent=1e6, cap=1000, generator=generator(), prune_large=False
    )
    assert len(learnt) == 66
    assert {len(t) for t in (*learnt.tensors().values(), pull.total, pull.seen)} == {66}
    assert (learnt.first["sh"][:60] > 0).all()
    assert (learnt.first["sh"][60:] == 0).all()


def test_densification_keeps_to_the_cap_and_takes_the_strongest() -> None:
    learnt, pulls = some(), torch.linspace(1e-3, 2e-3, 60)
    places = learnt["means"].clone()
    densify.refine(
        learnt, pulled(learnt, pulls), extent=1e6, cap=64, generator=generator(), prune_large=False
    )
    assert torch.equal(learnt["means"][60:].sort(0).values, places[-4:].sort(0).values)


def test_a_reset_makes_everything_faint_and_forgets_where_it_was_going() -> None:
    learnt = some()
    learnt.step({"opacities": torch.ones(60)}, {"opacities": 0.0}, number=1)
    densify.reset_opacities(learnt)
    assert learnt["opacities"].sigmoid().max() <= densify.RESET_OPACITY + 1e-6
    assert (learnt.first["opacities"] == 0).all()
