"""Twenty kills at random moments, of drivers, workers and kernels: in the end it is as if there were none."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "soak.py"


@pytest.fixture
def soaking():
    """bench/soak.py, which does the same with more kills on the yearly pipeline."""
    spec = importlib.util.spec_from_file_location("bench_soak", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_soak"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_after_twenty_kills_every_product_is_that_of_an_undisturbed_run(
    workspace, tmp_path, monkeypatch, driving, soaking
):
    monkeypatch.setenv("GEOLAB_WARM", "0")
    monkeypatch.setenv("GEOLAB_WORKERS", "2")
    file = driving.small(tmp_path / "files", cells=6, years="2021-2024", work_s=0.4)
    calm = soaking.undisturbed(file, tmp_path / "calm", given={})
    stormy = soaking.soak(file, tmp_path / "stormy", given={}, kills=20, seed=4)
    soaking.show(calm, stormy)
    assert stormy.kills.total() == 20
    assert min(stormy.kills[kind] for kind in soaking.KINDS) >= 6
    assert soaking.differences(calm, stormy) == []
    assert (len(calm.products), calm.executions, calm.repeated) == (48, 48, 0)
    assert stormy.done_twice == []
    assert (stormy.active, stormy.orphans) == (0, [])
    # a driver's death costs no run at all, each other death at most the one that it held
    assert stormy.repeated == stormy.interrupted <= stormy.kills["worker"] + stormy.kills["kernel"]
