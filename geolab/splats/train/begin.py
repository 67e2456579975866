"""What a training needs before its first step: a scene that can be learnt from, a device, Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from geolab.errors import BadInput
from geolab.splats import images, rasterize
from geolab.splats.gaussians import Gaussians
from geolab.splats.rasterize import Choice
from geolab.splats.train import depth
from geolab.splats.train import start as starts
from geolab.splats.train.config import TrainConfig
from geolab.splats.views import Scene, View

LEAST_VIEWS = 2
OPACITIES = {"mcmc": 0.5, "default": 0.1}  # of the first Gaussians, as in gsplat
LEAST_DEPTH, LEAST_PLACES = 0.02, 500  # share and number of pixels with a depth that make a model's start
ENOUGH = 4  # points in an image, so that the camera may be said to see them


@dataclass(frozen=True)
class Begun:
    """The first Gaussians, where they came from, and what the user should know about it."""

    gaussians: Gaussians
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def check(scene: Scene) -> None:
    """Raises BadInput unless there are two views to train on."""
    if len(scene.training) < LEAST_VIEWS:
        raise BadInput(
            "scene", found=f"{len(scene.training)} views to train on (and {len(scene.testing)} held out)",
            expected=f"at least {LEAST_VIEWS}", remedy="add photos, or hold out fewer",
        )  # fmt: skip


def device(backend: str) -> tuple[Choice, torch.device]:
    """The back end of the rasterizer and the device that it needs. Raises BadInput, MissingExtra."""
    cuda = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    choice = rasterize.choose(backend, cuda if backend in ("auto", "cuda") else torch.device("cpu"))
    return choice, cuda if choice.name == "cuda" else torch.device("cpu")


def extent(scene: Scene) -> float:
    """The unit of the learning rates, above zero."""
    found = scene.extent
    if not np.isfinite(found) or found <= 0:
        raise BadInput("cameras", found="all at one place", expected="photos from several places")
    return found


def start(scene: Scene, config: TrainConfig, initial: Gaussians | None) -> Begun:
    """The first Gaussians, as config.start says, or those that were handed in. Raises BadInput."""
    if initial is not None:
        made = initial.map(lambda t: t.detach().float())
        _check_given(made, config)
        begun = Begun(made, {"from": "given"})
    else:
        begun = {"depth": _from_depth, "points": _from_points, "random": _at_random}[config.start](
            scene, config
        )
    facts = begun.facts | {"gaussians": len(begun.gaussians)}
    return Begun(begun.gaussians, facts, (*begun.warnings, *_blind(scene, begun.gaussians)))


def _opacity(config: TrainConfig) -> float:
    return config.start_opacity or OPACITIES[config.strategy]


def _at_random(scene: Scene, config: TrainConfig) -> Begun:
    made = starts.at_random(
        [v.camera for v in scene.training], count=min(config.start_points, config.cap), seed=config.seed,
        opacity=_opacity(config), scale=config.start_scale,
    )  # fmt: skip
    warning = "the model began from random places: points from photos give better ones"
    return Begun(made, {"from": "random"}, (warning,))


def _from_points(scene: Scene, config: TrainConfig) -> Begun:
    if scene.points is None or len(scene.points) == 0:
        raise BadInput(
            "scene", found="no points to begin from", expected="points of structure from motion",
            remedy="sfm.triangulate(scene) finds them, or measure depth: start='depth'",
        )  # fmt: skip
    made = starts.from_points(
        scene.points, opacity=_opacity(config), scale=config.start_scale, cap=config.cap, seed=config.seed
    )
    return Begun(made, {"from": "points"})


def _from_depth(scene: Scene, config: TrainConfig) -> Begun:
    """From depth maps of the training photos; from points where these show too little."""
    shots = [_shot(v, config) for v in scene.training]
    maps = depth.depth_maps(shots, scene.points, threads=torch.get_num_threads())
    known = sum(int(np.isfinite(d).sum()) for d in maps)
    share = known / sum(d.size for d in maps)
    if share < LEAST_DEPTH or known < LEAST_PLACES:
        warning = f"depth could be measured in {share:.1%} of the photos only: the model began from "
        if scene.points is None or len(scene.points) == 0:
            begun = _at_random(scene, config)
            return Begun(begun.gaussians, begun.facts, (warning + "random places",))
        begun = _from_points(scene, config)
        return Begun(begun.gaussians, begun.facts, (warning + "points",))
    made = starts.from_depth(
        [s.rgb for s in shots], [s.camera for s in shots], maps, count=min(config.start_points, config.cap),
        seed=config.seed, opacity=_opacity(config), scale=config.start_scale,
    )  # fmt: skip
    return Begun(made, {"from": "depth", "measured": round(share, 3)})


def _shot(view: View, config: TrainConfig) -> depth.Shot:
    loaded = images.load(view, image_px=min(config.depth_px, config.image_px or config.depth_px))
    return depth.Shot(loaded.rgb, loaded.camera, loaded.mask)


def _check_given(made: Gaussians, config: TrainConfig) -> None:
    if len(made) < 2 or len(made) > config.cap:
        raise BadInput("initial", found=f"{len(made)} Gaussians", expected=f"2 to the cap of {config.cap}")
    if made.sh_degree > config.sh_degree:
        raise BadInput(
            "initial", found=f"colours of degree {made.sh_degree}",
            expected=f"at most sh_degree, {config.sh_degree}",
        )  # fmt: skip


def _blind(scene: Scene, made: Gaussians) -> tuple[str, ...]:
    """A warning if some cameras see nothing of the model. Raises BadInput if all do."""
    places = made.means.numpy().astype(np.float64)
    seen = {v.name: int(starts.visible(v.camera, places).sum()) for v in scene.training}
    blind = [name for name, count in seen.items() if count < min(ENOUGH, len(places))]
    if len(blind) == len(seen):
        raise BadInput(
            "scene", found=f"{len(places)} points that none of {len(seen)} cameras has in view",
            expected="points in front of the cameras",
            remedy="the camera axes are taken as OpenCV's: x right, y down, z forward",
        )  # fmt: skip
    if not blind:
        return ()
    named = ", ".join(blind[:3]) + (", ..." if len(blind) > 3 else "")
    return (f"{len(blind)} of {len(seen)} cameras see none of the points: {named}",)


def digest(gaussians: Gaussians) -> str:
    """A hash of all numbers."""
    whole = sha256()
    for tensor in vars(gaussians).values():
        whole.update(tensor.cpu().numpy().tobytes())
    return whole.hexdigest()
