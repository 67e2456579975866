"""The network, what it sees, and the folder that keeps it."""

from __future__ import annotations

import json
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as tensor_bytes

from geolab.change import model
from geolab.change.model import Model, Preprocessing
from geolab.change.network import Network, reach_px
from geolab.errors import BadInput, FileRejected, NotFound

SCALING = Preprocessing(("red", "green", "nir"), (100.0, 90.0, 50.0), (20.0, 10.0, 5.0))


def lively(size: str = "small", scaling: Preprocessing = SCALING) -> Model:
    """A model whose normalisation statistics are not those of a fresh network."""
    made = model.untrained(scaling, size=size, seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in made.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 10)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return made


def logits(network: Network, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(before), torch.from_numpy(after)).numpy()


def two_dates(height: int, width: int, bands: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    both = rng.standard_normal((2, 1, bands, height, width)).astype(np.float32)
    return both[0], both[1]


def test_preprocessing_is_one_fixed_scale_and_invalid_pixels_are_zero() -> None:
    pixels = np.full((3, 2, 4), 100.0, dtype=np.float32)
    pixels[1, 1, 2] = np.nan
    pixels[2, 0, 0] = np.inf
    scaled = SCALING.apply(pixels)
    assert scaled.dtype == np.float32
    assert scaled[0, 0, 0] == 0
    assert scaled[1, 0, 0] == 1
    assert scaled[2, 1, 1] == 10
    assert scaled[1, 1, 2] == scaled[2, 0, 0] == 0
    assert np.isnan(pixels[1, 1, 2]), "the caller's pixels stay as they are"
    assert np.array_equal(SCALING.apply(pixels[None])[0], scaled)


def test_an_image_with_other_bands_than_in_training_is_refused() -> None:
    with pytest.raises(BadInput, match="bands of the image: found 4, expected 3, as in training"):
        SCALING.apply(np.zeros((4, 8, 8)))


@pytest.mark.parametrize(("size", "millions"), [("small", 0.5), ("large", 2.0)])
def test_the_two_sizes_have_about_half_a_million_and_two_million_parameters(
    size: str, millions: float
) -> None:
    count = sum(p.numel() for p in Network(4, size).parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.05)


def test_swapping_the_dates_changes_nothing() -> None:
    network = lively().network
    before, after = two_dates(48, 64)
    assert np.array_equal(logits(network, before, after), logits(network, after, before))


def test_the_computed_reach_is_exactly_where_gradients_come_from() -> None:
    network = Network(1, "small").eval()
    for parameter in network.parameters():
        parameter.data.abs_()  # with all weights positive no ReLU and no cancellation hides a path
    side, at = 160, 80
    furthest = 0
    for offset in range(model.MULTIPLE_PX):
        before = torch.ones(1, 1, side, side + 8, requires_grad=True)
        network(before, torch.zeros_like(before))[0, at + offset, at].backward()
        assert before.grad is not None
        rows = np.flatnonzero(before.grad[0, 0].abs().sum(dim=1).numpy())
        furthest = max(furthest, at + offset - int(rows[0]), int(rows[-1]) - at - offset)
    assert furthest == reach_px(network) == reach_px(Network(1, "large"))


def test_a_tile_with_its_halo_is_what_the_whole_image_is() -> None:
    made = lively()
    before, after = two_dates(256, 224)
    whole = logits(made.network, before, after)

    def tile(halo: int) -> np.ndarray:
        window = np.s_[..., 96 - halo : 136 + halo, 104 - halo : 120 + halo]
        inner = np.s_[..., halo : halo + 40, halo : halo + 16]
        return logits(made.network, before[window], after[window])[inner]

    expected = whole[..., 96:136, 104:120]
    assert made.halo_px == 64
    np.testing.assert_allclose(tile(made.halo_px), expected, atol=1e-5)
    assert np.abs(tile(8) - expected).max() > 1e-4, "a much smaller halo would be seen"


def test_the_network_repeats_itself_under_shifts_by_its_stride() -> None:
    made = lively()
    before, after = two_dates(208, 200)
    step = made.multiple_px
    whole = logits(made.network, before, after)[0, 64 + step : 144, 64:136]
    moved = logits(made.network, before[..., step:, :], after[..., step:, :])[0, 64 : 144 - step, 64:136]
    np.testing.assert_allclose(moved, whole, atol=1e-5)


def test_a_model_comes_back_from_its_folder_bit_for_bit(tmp_path: Path) -> None:
    made = Model(lively().network, SCALING, "small", 0.37, {"iou": 0.8}, {"steps": 3})
    folder = model.save(made, tmp_path / "kept")
    model.save(made, folder)  # once more, over itself
    back = model.load(folder)
    assert (back.preprocessing, back.size, back.threshold) == (SCALING, "small", 0.37)
    assert (back.metrics, back.facts) == ({"iou": 0.8}, {"steps": 3})
    before, after = two_dates(64, 72)
    assert np.array_equal(logits(made.network, before, after), logits(back.network, before, after))
    assert not back.network.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept"], "nothing temporary stays"
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert model.load(folder.as_uri()).threshold == 0.37


def test_saving_does_not_replace_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="other things"):
        model.save(lively(), tmp_path / "data")
    assert (tmp_path / "data" / "notes.txt").read_text() == "mine"


def test_a_folder_without_a_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="model"):
        model.load(tmp_path / "nothing")


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace_weights(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    rewrite(folder, weights_sha256=sha256(data).hexdigest())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema 2"),
        ({"threshold": 7}, "threshold 7"),
        ({"threshold": float("nan")}, "threshold nan"),
        (
            {"architecture": {"kind": "siamese-difference", "size": "vast", "bands": 3}},
            "unknown architecture",
        ),
        ({"architecture": {"kind": "siamese-difference", "size": "small", "bands": 9}}, "bands"),
        ({"architecture": [1]}, "not a model's description"),
        ({"preprocessing": {"bands": ["x"] * 10**5, "mean": [], "std": []}}, "100000 bands"),
        ({"preprocessing": {"bands": ["a", "b", "c"], "mean": [0, 0, 0], "std": [1, 0, 1]}}, "positive"),
        (
            {"preprocessing": {"bands": ["a", "b", "c"], "mean": [0, 0], "std": [1, 1, 1]}},
            "one finite number",
        ),
        ({"weights_sha256": "0" * 64}, "not those that model.json was written with"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, change: dict, reason: str) -> None:
    folder = model.save(lively(), tmp_path / "kept")
    rewrite(folder, **change)
    with pytest.raises(FileRejected, match=reason):
        model.load(folder)


def hostile_weights() -> dict[str, bytes]:
    state = {k: v for k, v in lively().network.state_dict().items() if "num_batches" not in k}
    other = dict(state)
    other["head.conv.weight"] = torch.zeros(4, 24, 5, 5)
    lacking = {k: v for k, v in state.items() if k != "head.conv.bias"}
    huge = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    good = tensor_bytes(state)
    return {
        "another shape": tensor_bytes(other),
        "a tensor missing": tensor_bytes(lacking),
        "another type": tensor_bytes({k: v.double() for k, v in state.items()}),
        "a pickle": pickle.dumps({"a": 1}),
        "a header longer than the file": (2**62).to_bytes(8, "little") + b"{}",
        "a vast tensor": len(huge).to_bytes(8, "little") + huge,
        "cut off": good[: len(good) // 2],
        "nothing": b"",
    }


@pytest.mark.parametrize("case", sorted(hostile_weights()))
def test_weights_that_do_not_fit_the_architecture_are_refused(tmp_path: Path, case: str) -> None:
    folder = model.save(lively(), tmp_path / "kept")
    replace_weights(folder, hostile_weights()[case])
    with pytest.raises(FileRejected, match="not this model's weights"):
        model.load(folder)
