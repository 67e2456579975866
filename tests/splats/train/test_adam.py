"""The optimiser: one kernel equals torch's Adam, and its memory follows the Gaussians."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from geolab.splats.train import adam
from geolab.splats.train.adam import Learnt


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_steps_are_those_of_torchs_adam() -> None:
    learnt = Learnt({"a": numbers(7, 3)})
    theirs = numbers(7, 3).requires_grad_()
    optimiser = torch.optim.Adam([theirs], lr=0.03, eps=adam.EPSILON)
    for step in range(1, 6):
        grad = numbers(7, 3, seed=step)
        theirs.grad = grad.clone()
        optimiser.step()
        learnt.step({"a": grad}, {"a": 0.03}, number=step)
    torch.testing.assert_close(learnt["a"], theirs.detach(), rtol=1e-5, atol=1e-6)


def test_kernel_and_torch_agree_on_rates_of_columns_and_rows_that_are_not_seen() -> None:
    grad, rate = numbers(50, 6, seed=1), torch.rand(6, generator=torch.Generator().manual_seed(2))
    seen = numbers(50, seed=3) > 0
    tables = [[numbers(50, 6), numbers(50, 6, seed=4), numbers(50, 6, seed=5) ** 2] for _ in range(2)]
    adam.update(*tables[0], grad, rate, number=3, visible=seen)
    fixed = 1 - adam.BETA1**3, 1 - adam.BETA2**3
    adam.update_in_torch(*tables[1], grad, rate, fixed, seen)
    for fast, slow in zip(*tables, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    assert torch.equal(tables[0][0][~seen], numbers(50, 6)[~seen]), "what is not seen stays"


def test_a_rate_for_every_coefficient_is_taken_as_such() -> None:
    learnt = Learnt({"sh": torch.zeros(2, 4, 3)})
    rate = torch.zeros(4, 3)
    rate[0] = 0.1
    learnt.step({"sh": torch.ones(2, 4, 3)}, {"sh": rate.flatten()}, number=1)
    assert learnt["sh"][:, 0].tolist() == [[pytest.approx(-0.1)] * 3] * 2
    assert (learnt["sh"][:, 1:] == 0).all()


def test_moments_follow_their_rows_when_gaussians_come_and_go() -> None:
    learnt = Learnt({"a": numbers(5, 3), "b": numbers(5, 2, 3)})
    learnt.step({"a": numbers(5, 3, seed=1), "b": numbers(5, 2, 3, seed=2)}, {"a": 0.1, "b": 0.1}, number=1)
    before = {name: tensor.clone() for name, tensor in learnt.tensors().items()}
    index = torch.tensor([3, 0])
    learnt.keep(index)
    learnt.append(learnt.rows(torch.tensor([1])))
    for name, tensor in learnt.tensors().items():
        assert torch.equal(tensor[:2], before[name][index])
        expected = before[name][0] if name.startswith("value") else torch.zeros_like(tensor[2])
        assert torch.equal(tensor[2], expected)
    learnt.widen("b", 4)
    assert {tuple(t.shape) for n, t in learnt.tensors().items() if n.endswith(".b")} == {(3, 4, 3)}
    assert (learnt["b"][:, 2:] == 0).all()


def test_a_checkpoint_of_it_gives_it_back() -> None:
    learnt, other = (Learnt({"a": numbers(5, 3, seed=s)}) for s in (0, 1))
    learnt.step({"a": numbers(5, 3)}, {"a": 0.1}, number=1)
    other.restore(learnt.tensors())
    assert all(torch.equal(other.tensors()[k], v) for k, v in learnt.tensors().items())
