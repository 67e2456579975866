"""Training: it learns, it repeats itself, and it survives being killed."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from geolab.errors import BadInput, FileRejected
from geolab.splats.frame import Frame
from geolab.splats.gaussians import Gaussians
from geolab.splats.rasterize import render
from geolab.splats.train import Model, Step, TrainConfig, evaluate, exposure, loop, train, warm
from geolab.splats.train import start as starts
from geolab.splats.views import Points, Scene

WriteScene = Callable[..., Scene]

SHORT = TrainConfig(
    steps=60, cap=600, image_px=64, backend="cpu", threads=1, refine_every=10, coarse_levels=0, validations=3,
    lr_means=1e-3,
    start="points",
)  # fmt: skip


def points_of(scene: Scene) -> Points:
    assert scene.points is not None
    return scene.points


def finished(steps: list[Step]) -> Model:
    made = steps[-1].model
    assert made is not None
    return made


def same(one: Gaussians, two: Gaussians) -> bool:
    return all(torch.equal(getattr(one, k), getattr(two, k)) for k in vars(one))


def equal_but_for_time(one: Step, two: Step) -> bool:
    told = [(s.step, s.loss, s.gaussians, s.progress, s.image_px) for s in (one, two)]
    return told[0] == told[1]


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_a_poor_start_becomes_a_good_picture(write_scene: WriteScene, strategy: str) -> None:
    scene = write_scene(points=150)
    config = dataclasses.replace(SHORT, steps=300, strategy=strategy, coarse_levels=0)
    steps = list(train(scene, config=config))
    scores = [s.validation.psnr for s in steps if s.validation]
    assert scores[-1] > 25
    begun = starts.from_points(points_of(scene), opacity=0.1)
    assert evaluate(begun, scene, image_px=64, backend="cpu").psnr < 17
    judged = evaluate(finished(steps).gaussians, scene, image_px=64, backend="cpu")
    assert judged.psnr == pytest.approx(scores[-1])
    assert judged.ssim > 0.85
    assert judged.lpips is None or judged.lpips < 0.5
    assert bool(judged.note) == (judged.lpips is None)


def test_steps_come_in_order_and_the_last_one_carries_the_model(write_scene: WriteScene) -> None:
    frame = Frame(11.0, 48.0)
    scene = dataclasses.replace(write_scene(), frame=frame, warnings=("one photo is missing",))
    steps = list(train(scene, config=SHORT))
    assert [s.step for s in steps] == list(range(1, 61))
    assert [s.step for s in steps if s.validation] == [20, 40, 60]
    assert [s.progress for s in steps] == sorted(s.progress for s in steps)
    assert steps[-1].progress == 1
    assert all(s.model is None for s in steps[:-1])
    made = finished(steps)
    assert (made.frame, made.warnings) == (frame, scene.warnings)
    assert made.gaussians.sh_degree == SHORT.sh_degree
    assert made.facts["held_out"] == ["4.png"]
    assert made.facts["start"] == {"from": "points", "gaussians": 400}
    assert [h["step"] for h in made.facts["history"]] == [20, 40, 60]
    assert made.metrics["psnr"] == made.facts["history"][-1]["psnr"]
    assert made.facts["memory_mb"] > 50
    json.dumps(made.facts)


def test_one_seed_gives_one_model_bit_for_bit_and_another_seed_another(write_scene: WriteScene) -> None:
    scene = write_scene()
    one, two = (finished(list(train(scene, config=SHORT))).gaussians for _ in range(2))
    other = finished(list(train(scene, config=dataclasses.replace(SHORT, seed=1)))).gaussians
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(
    write_scene: WriteScene, tmp_path: Path, strategy: str
) -> None:
    scene = write_scene()
    config = dataclasses.replace(SHORT, strategy=strategy, reset_every=45, random_background=True)
    whole = list(train(scene, config=config))
    stopped = list(itertools.islice(train(scene, config=config, checkpoint_folder=tmp_path / "c"), 33))
    rest = list(train(scene, config=config, checkpoint_folder=tmp_path / "c"))
    assert rest[0].step == 21, "it goes on from the checkpoint, not from where it broke off"
    assert all(equal_but_for_time(s, whole[s.step - 1]) for s in stopped + rest)
    assert same(finished(whole).gaussians, finished(rest).gaussians)
    assert len({s.gaussians for s in whole}) > 1, "Gaussians came or went"


TRAINING = """
import sys
from pathlib import Path
from geolab.splats import scene
from geolab.splats.train import TrainConfig, train
from geolab.store import write_bytes
from safetensors.torch import save

config = TrainConfig(
    steps=80, cap=600, image_px=64, backend="cpu", threads=1, refine_every=10, coarse_levels=0, validations=8
)
for step in train(scene.open_scene(sys.argv[1]), config=config, checkpoint_folder=Path(sys.argv[2])):
    print(step.step, flush=True)
write_bytes(sys.argv[3], save({k: v.contiguous() for k, v in vars(step.model.gaussians).items()}))
"""


def as_transforms(scene: Scene, folder: Path) -> Path:
    """The scene as transforms.json (OpenGL axes) with its points as a PLY."""
    frames = []
    for view in scene.views:
        pose = np.linalg.inv(view.camera.world_to_camera) @ np.diag([1.0, -1, -1, 1])
        frames.append({"file_path": view.image.name, "transform_matrix": pose.tolist()})
    K, first = scene.views[0].camera.K, scene.views[0].camera
    told = {
        "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": first.width, "h": first.height,
        "camera_model": "PINHOLE", "ply_file_path": "points.ply", "frames": frames,
    }  # fmt: skip
    assert scene.points is not None
    rows = zip(scene.points.xyz.tolist(), scene.points.rgb.tolist(), strict=True)
    names = [
        f"property {t} {n}" for t, ns in (("float", "xyz"), ("uchar", ("red", "green", "blue"))) for n in ns
    ]
    head = ["ply", "format ascii 1.0", f"element vertex {len(scene.points)}", *names, "end_header"]
    lines = [" ".join(map(str, (*xyz, *rgb))) for xyz, rgb in rows]
    (folder / "points.ply").write_text("\n".join([*head, *lines]) + "\n")
    (folder / "transforms.json").write_text(json.dumps(told))
    return folder


@pytest.mark.slow
def test_a_training_killed_twice_gives_the_same_model_bit_for_bit(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    folder = as_transforms(write_scene(), tmp_path)

    def run(name: str, kill_after: int | None = None) -> None:
        arguments = [str(folder), str(tmp_path / f"check-{name}"), str(tmp_path / f"{name}.safetensors")]
        with subprocess.Popen(
            [sys.executable, "-c", TRAINING, *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if kill_after is not None and int(line) >= kill_after:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == (0 if kill_after is None else -signal.SIGKILL)

    run("whole")
    for kill_after in (15, 44):
        run("killed", kill_after)
    run("killed")
    whole, killed = (tmp_path / f"{name}.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


def test_a_finished_training_gives_its_model_again_at_once(write_scene: WriteScene, tmp_path: Path) -> None:
    scene = write_scene()
    first = list(train(scene, config=SHORT, checkpoint_folder=tmp_path / "c"))
    again = list(train(scene, config=SHORT, checkpoint_folder=tmp_path / "c"))
    assert len(again) == 1
    assert dataclasses.replace(again[0], model=None) == dataclasses.replace(first[-1], model=None)
    assert same(finished(first).gaussians, finished(again).gaussians)
    anew = list(train(scene, config=SHORT, checkpoint_folder=tmp_path / "c", resume=False))
    assert len(anew) == len(first)


def test_a_checkpoint_of_another_training_is_refused(write_scene: WriteScene, tmp_path: Path) -> None:
    scene, folder = write_scene(), tmp_path / "c"
    list(train(scene, config=SHORT, checkpoint_folder=folder))
    with pytest.raises(BadInput, match="another training"):
        next(train(scene, config=dataclasses.replace(SHORT, seed=2), checkpoint_folder=folder))
    brighter = write_scene(gains={0: 1.1})
    with pytest.raises(BadInput, match="another training"):
        next(train(brighter, config=SHORT, checkpoint_folder=folder))
    (folder / "checkpoint.safetensors").write_bytes(b"\x80\x04 not tensors")
    with pytest.raises(FileRejected, match="no checkpoint of a training"):
        next(train(scene, config=SHORT, checkpoint_folder=folder))


def test_the_cap_is_kept(write_scene: WriteScene) -> None:
    for strategy in ("mcmc", "default"):
        config = dataclasses.replace(SHORT, cap=430, strategy=strategy, growth=2.0)
        assert max(s.gaussians for s in train(write_scene(), config=config)) <= 430
    config = dataclasses.replace(SHORT, cap=100)
    assert next(train(write_scene(), config=config)).gaussians == 100


def test_images_begin_small_and_end_large(write_scene: WriteScene) -> None:
    config = dataclasses.replace(SHORT, coarse_levels=1, coarse_share=0.5)
    sides = [s.image_px for s in train(write_scene(), config=config)]
    assert sides == [64] * 60, "48 pixels are too few to halve"


def test_exposure_finds_the_gain_of_a_photo(write_scene: WriteScene) -> None:
    gains = {0: 0.7, 1: 1.0, 2: 1.1}
    scene = write_scene(gains=gains, held_out=())
    config = dataclasses.replace(SHORT, steps=400, lr_exposure=1e-2)
    training = loop.Training(scene, config, None)
    list(training.steps(None))
    found = training.exposures["matrix"]
    assert found.mean(0).flatten().tolist() == pytest.approx(torch.eye(3, 4).flatten().tolist(), abs=1e-5)
    grey = torch.tensor([0.5, 0.5, 0.5, 1.0])
    bright = (found @ grey).mean(1) / 0.5
    assert (bright[0] / bright[3:].mean()).item() == pytest.approx(0.7, abs=0.05)
    assert (bright[2] / bright[3:].mean()).item() == pytest.approx(1.1, abs=0.05)


def test_exposures_are_pulled_towards_none() -> None:
    matrix = torch.rand(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (0.3 * (matrix - torch.eye(3, 4)).square().sum()).backward()
    torch.testing.assert_close(exposure.pull(matrix.detach(), 0.3), matrix.grad)


def test_what_a_mask_covers_has_no_influence(write_scene: WriteScene) -> None:
    mask = np.ones((48, 64), bool)
    mask[10:30, 20:45] = False
    scene = write_scene(masks={0: mask, 3: mask})
    clean = finished(list(train(scene, config=SHORT))).gaussians
    for k in (0, 3):
        from PIL import Image

        path = scene.views[k].image
        with Image.open(path) as picture:
            pixels = np.array(picture)
        pixels[~mask] = (255, 0, 255)
        Image.fromarray(pixels).save(path)
    assert same(clean, finished(list(train(scene, config=SHORT))).gaussians)


def test_looking_at_a_model_on_the_way_does_not_change_it(write_scene: WriteScene) -> None:
    often = dataclasses.replace(SHORT, validations=12, sh_degree=2)
    one, two = (
        finished(list(train(write_scene(), config=dataclasses.replace(often, validations=n))))
        for n in (1, 12)
    )
    assert same(one.gaussians, two.gaussians)


def test_a_random_start_says_so(write_scene: WriteScene) -> None:
    scene = dataclasses.replace(write_scene(), points=None)
    config = dataclasses.replace(SHORT, start="random", start_points=300)
    made = finished(list(train(scene, config=config)))
    assert made.facts["start"]["from"] == "random"
    assert "random" in made.warnings[0]


def test_gaussians_may_be_handed_in(write_scene: WriteScene) -> None:
    scene = write_scene()
    first = finished(list(train(scene, config=SHORT))).gaussians
    steps = list(train(dataclasses.replace(scene, points=None), config=SHORT, initial=first))
    assert steps[0].loss < 0.1
    assert finished(steps).facts["start"]["from"] == "given"
    with pytest.raises(BadInput, match="initial"):
        next(train(scene, config=dataclasses.replace(SHORT, sh_degree=0), initial=first))


def test_a_budget_ends_the_training_early_with_a_model(write_scene: WriteScene) -> None:
    config = dataclasses.replace(SHORT, steps=100_000, minutes=0.02)
    steps = list(train(write_scene(), config=config))
    assert steps[-1].progress == 1
    assert len(steps) < 10_000
    assert finished(steps).metrics["psnr"] > 10


def test_without_views_held_out_there_is_a_model_and_no_score(write_scene: WriteScene) -> None:
    steps = list(train(write_scene(held_out=()), config=SHORT))
    assert all(s.validation is None for s in steps)
    assert finished(steps).metrics == {}


def test_a_caller_that_stops_listening_leaves_torch_as_it_was(write_scene: WriteScene) -> None:
    threads = torch.get_num_threads()
    steps = train(write_scene(), config=dataclasses.replace(SHORT, threads=threads + 1))
    next(steps)
    assert torch.get_num_threads() == threads + 1
    steps.close()
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- what can't be learnt from


def refused(scene: Scene, message: str, **changes: object) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        next(train(scene, config=dataclasses.replace(SHORT, **changes)))
    assert "\n" not in str(caught.value)


def test_too_few_views_are_refused(write_scene: WriteScene) -> None:
    refused(write_scene(held_out=tuple(range(8))), "1 views to train on .and 8 held out.")


def test_a_scene_without_points_is_refused_unless_a_random_start_was_asked_for(
    write_scene: WriteScene,
) -> None:
    refused(dataclasses.replace(write_scene(), points=None), "no points to begin from")


def test_cameras_with_all_points_behind_them_are_refused(write_scene: WriteScene) -> None:
    scene, above = write_scene(), np.array([0.0, 0.0, 50.0])
    behind = Points(points_of(scene).xyz + above, points_of(scene).rgb)
    refused(dataclasses.replace(scene, points=behind), "none of 8 cameras has in view")


def test_a_camera_that_sees_no_point_is_named(write_scene: WriteScene) -> None:
    scene = write_scene()
    first = scene.views[0]
    turned = np.diag([1.0, -1, -1, 1]) @ first.camera.world_to_camera
    away = dataclasses.replace(first, camera=dataclasses.replace(first.camera, world_to_camera=turned))
    steps = list(train(dataclasses.replace(scene, views=(away, *scene.views[1:])), config=SHORT))
    assert "1 of 8 cameras see none of the points: 0.png" in finished(steps).warnings[0]


def test_a_mask_that_leaves_nothing_is_refused(write_scene: WriteScene) -> None:
    refused(write_scene(masks={2: np.zeros((48, 64), bool)}), "mask of 2.png: found no pixel")


def test_gaussians_that_are_no_numbers_end_the_training(write_scene: WriteScene) -> None:
    made = starts.from_points(points_of(write_scene()))
    made.sh[5] = torch.inf
    with pytest.raises(BadInput, match=r"(a loss|values) of .* in|by step"):
        list(train(write_scene(), config=SHORT, initial=made))


def test_a_training_that_flies_apart_is_ended_in_words(write_scene: WriteScene) -> None:
    config = dataclasses.replace(SHORT, exposure=True, lr_exposure=1.0, lr_sh=1.0, lr_means=1.0)
    config = dataclasses.replace(config, lr_scales=1.0, lr_opacities=1.0, steps=400)
    with contextlib.suppress(BadInput):  # either it stays finite, or it says so
        assert np.isfinite(finished(list(train(write_scene(), config=config))).metrics["psnr"])


def test_warming_trains_a_moment_with_both_strategies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    warm()
    assert not list(tmp_path.iterdir())


def test_dark_ground_is_learnt_as_opaque_and_not_as_a_hole(write_scene: WriteScene) -> None:
    dark = write_scene(gains=dict.fromkeys(range(9), 0.08))
    see_through = []
    for alpha_reg in (0.0, 0.05):
        config = dataclasses.replace(SHORT, steps=200, alpha_reg=alpha_reg)
        model = finished(list(train(dark, config=config)))
        drawn = render(model.gaussians, dark.testing[0].camera, backend="cpu")
        see_through.append(float((1 - drawn.alpha).mean()))
    assert see_through[1] < 0.5 * see_through[0]
