"""The exported graph against torch, and the predictor against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from geolab.change import export, model
from geolab.change.model import Model, Preprocessing
from geolab.errors import BadInput


def made(bands: int = 4, size: str = "small") -> Model:
    """A model with normalisation statistics as a training leaves them."""
    scaling = Preprocessing(tuple(f"b{i}" for i in range(bands)), (0.0,) * bands, (1.0,) * bands)
    network = model.untrained(scaling, size=size, seed=3).network.train()
    torch.manual_seed(0)
    with torch.no_grad():
        network(3 * torch.randn(4, bands, 64, 64) + 1, torch.randn(4, bands, 64, 64))
    return Model(network.eval(), scaling, size)


def tiles(count: int, bands: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    both = rng.standard_normal((2, count, bands, height, width)).astype(np.float32)
    return both[0], both[1]


@pytest.mark.parametrize(("bands", "size"), [(1, "small"), (4, "small"), (13, "large")])
def test_onnxruntime_gives_what_torch_gives(bands: int, size: str) -> None:
    trained = made(bands, size)
    before, after = tiles(2, bands, 104, 72)
    probability = export.predictor(trained, device="cpu")(before, after)
    expected = export.TorchPredictor(trained, torch.device("cpu"))(before, after)
    assert probability.shape == (2, 104, 72)
    assert probability.dtype == np.float32
    assert np.ptp(expected) > 0.01, "an answer that is constant would prove nothing"
    np.testing.assert_allclose(probability, expected, atol=1e-5)


def test_a_batch_gives_the_same_bits_as_its_tiles_one_by_one_with_any_number_of_workers() -> None:
    trained = made()
    before, after = tiles(5, 4, 120, 88)
    one = export.predictor(trained, device="cpu", workers=1)
    three = export.predictor(trained, device="cpu", workers=3)
    singles = np.concatenate([one(before[i : i + 1], after[i : i + 1]) for i in range(5)])
    assert np.array_equal(one(before, after), singles)
    assert np.array_equal(three(before, after), singles)


def test_the_written_file_runs_in_plain_onnxruntime_at_any_size(tmp_path: Path) -> None:
    trained = made()
    path = export.write_onnx(trained, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    predict = export.predictor(trained, device="cpu")
    for shape in ((1, 4, 64, 64), (3, 4, 40, 96)):
        before, after = tiles(shape[0], *shape[1:])
        (found,) = session.run(None, {"before": before, "after": after})
        np.testing.assert_allclose(np.asarray(found), predict(before, after), atol=1e-6)


def test_predicting_leaves_the_model_as_it_is() -> None:
    trained = made()
    weights = {k: v.clone() for k, v in trained.network.state_dict().items()}
    export.TorchPredictor(trained, torch.device("cpu"))(*tiles(1, 4, 64, 64))
    assert all(torch.equal(v, weights[k]) for k, v in trained.network.state_dict().items())
    assert trained.network.stem.conv.weight.is_contiguous()


@pytest.mark.parametrize(("height", "width"), [(60, 64), (64, 70)])
def test_a_tile_that_is_no_multiple_of_the_stride_is_refused(height: int, width: int) -> None:
    with pytest.raises(BadInput, match="multiples of 8"):
        export.predictor(made(), device="cpu")(*tiles(1, 4, height, width))


def test_dates_of_different_shapes_are_refused() -> None:
    before, after = tiles(1, 4, 64, 64)
    with pytest.raises(BadInput, match="two equal shapes"):
        export.predictor(made(), device="cpu")(before, after[..., :32])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_on_a_machine_without_it_is_refused() -> None:
    with pytest.raises(BadInput, match="no GPU"):
        export.predictor(made(), device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    trained = made()
    before, after = tiles(3, 4, 128, 96)
    probability = export.predictor(trained, device="cuda")(before, after)
    np.testing.assert_allclose(probability, export.predictor(trained, device="cpu")(before, after), atol=2e-3)


def test_a_predictor_leaves_the_arithmetic_of_its_process_alone() -> None:
    export.predictor(made(), device="cpu", workers=2)(*tiles(2, 4, 128, 96))
    smallest = float(
        np.nextafter(0, 1)
    )  # onnxruntime can be told to flush such numbers, and then does so here too
    assert smallest * 1.0 == smallest
