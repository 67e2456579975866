"""What changes on the way: rates, sizes, degrees, views."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from geolab.errors import BadInput
from geolab.splats.train import TrainConfig, schedule

CONFIG = TrainConfig(
    coarse_levels=2, coarse_share=0.4, sh_degree=3, sh_share=0.2, lr_means=1.6e-4, lr_sh=2.5e-3, lr_final=0.2
)


def test_the_rate_of_positions_falls_exponentially_and_grows_with_the_extent() -> None:
    rates = [schedule.means_rate(CONFIG, p, extent=50.0) for p in (0, 0.5, 1)]
    assert rates == pytest.approx([1.6e-4 * 50, 1.6e-5 * 50, 1.6e-6 * 50])


def test_colours_of_higher_degree_move_a_twentieth_as_fast() -> None:
    rate = schedule.rates(CONFIG, 0.0, extent=1.0, coefficients=4)["sh"].reshape(4, 3)
    assert (rate[0] == np.float32(2.5e-3)).all()
    torch.testing.assert_close(rate[1:], torch.full((3, 3), 2.5e-3 / 20))


def test_rates_but_those_of_positions_fall_to_a_share_of_their_own() -> None:
    first, last = (schedule.rates(CONFIG, p, extent=1.0, coefficients=4) for p in (0.0, 1.0))
    for name in ("scales", "quats", "opacities"):
        assert first[name] == getattr(CONFIG, f"lr_{name}")
        assert last[name] == pytest.approx(0.2 * first[name])
    torch.testing.assert_close(last["sh"], 0.2 * first["sh"])
    paper = TrainConfig.paper()
    assert (paper.lr_final, paper.lr_scales, paper.start) == (1.0, 5e-3, "points")


def test_images_grow_from_coarse_to_fine() -> None:
    levels = [schedule.level(CONFIG, p, levels=2) for p in (0, 0.19, 0.21, 0.39, 0.4, 1)]
    assert levels == [2, 2, 1, 1, 0, 0]
    assert schedule.level(CONFIG, 0.0, levels=0) == 0
    at_once = dataclasses.replace(CONFIG, coarse_share=0.0)
    assert schedule.level(at_once, 0.0, levels=2) == 0


def test_degrees_rise_one_at_a_time() -> None:
    assert [schedule.degree(CONFIG, p) for p in (0, 0.19, 0.21, 0.41, 0.61, 1)] == [0, 0, 1, 2, 3, 3]


def test_every_round_shows_each_view_once_in_another_order() -> None:
    rounds = [[schedule.view(7, 9 * turn + k, views=9) for k in range(1, 10)] for turn in range(3)]
    assert all(sorted(r) == list(range(9)) for r in rounds)
    assert len({tuple(r) for r in rounds}) == 3


def test_random_numbers_are_of_seed_step_and_purpose() -> None:
    draw = lambda *key: torch.rand(3, generator=schedule.generator(*key)).tolist()  # noqa: E731
    assert draw(1, 2, 0) == draw(1, 2, 0)
    assert len({tuple(draw(*key)) for key in ((1, 2, 0), (2, 2, 0), (1, 3, 0), (1, 2, 1))}) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("strategy", "best"), ("cap", 3), ("image_px", 5), ("sh_degree", 4), ("seed", -1),
        ("minutes", -1), ("start", "auto"), ("growth", 0.5), ("lr_scales", 2), ("coarse_levels", -1),
        ("scale_reg", float("nan")), ("dssim_share", 2),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"^{name}: found"):
        dataclasses.replace(CONFIG, **{name: value})


def test_settings_of_the_paper_are_gsplats() -> None:
    paper = TrainConfig.paper(seed=3)
    assert (paper.steps, paper.cap, paper.sh_degree, paper.seed) == (30_000, 1_000_000, 3, 3)
    assert paper.refine_from * paper.steps == pytest.approx(500)
    assert paper.refine_until * paper.steps == pytest.approx(25_000)
