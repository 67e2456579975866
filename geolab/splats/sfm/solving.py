"""Photos to cameras and points."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pycolmap

from geolab.errors import BadInput, FileRejected, one_line
from geolab.splats.scene import hold_out
from geolab.splats.sfm import mapping, pairing
from geolab.splats.sfm.cameras import from_colmap
from geolab.splats.sfm.copies import write_copies
from geolab.splats.sfm.database import Features, Pair, find_features, match, open_work, opened, register
from geolab.splats.sfm.points import believed, triangulated
from geolab.splats.sfm.shots import GUESSED_FOCAL, Lens, lenses, located, read_shots
from geolab.splats.sfm.solution import Facts, LensFound, Step
from geolab.splats.views import EVERY, Scene, View

LEAST_PHOTOS = 3
GOOD_SIGMA_M = 1.0
_STAGES = {"copies": (0.0, 0.1), "features": (0.1, 0.3), "matches": (0.3, 0.6), "cameras": (0.6, 0.95)}
_MORE = "take more photos, each showing 60 % or more of the one before"

Focal = Literal["auto", "hold", "free"]


@dataclass(frozen=True)
class _Config:
    """How cameras are found; as `solve` says."""

    image_px: int
    focal: Focal
    positions: bool
    held_out: int | Sequence[str]
    threads: int
    seed: int
    features: Features

    def __post_init__(self) -> None:
        expected = {
            "image_px": (self.image_px == 0 or self.image_px >= 200, "0, or at least 200 pixels"),
            "focal": (self.focal in ("auto", "hold", "free"), "auto, hold or free"),
            "threads": (self.threads >= 1, "at least 1"),
            "seed": (self.seed >= 0, "0 or more"),
        }
        for name, (good, wanted) in expected.items():
            if not good:
                raise BadInput(name, found=repr(getattr(self, name)), expected=wanted)

    @property
    def how(self) -> Features:
        return dataclasses.replace(self.features, threads=self.threads, seed=self.seed)


def solve(
    photos: Iterable[str | Path],
    *,
    work: Path,
    image_px: int = 1280,
    focal: Focal = "auto",
    positions: bool = True,
    held_out: int | Sequence[str] = EVERY,
    threads: int = 2,
    seed: int = 0,
    features: Features | None = None,
) -> Iterator[Step]:
    """The steps of finding the cameras of photos; the last one carries the scene, in a frame of its own.

    Cameras are those of the stored pixels of the photos. work: a folder for working copies, features and
    matches; what a killed run left there is taken up again. image_px: longest side of the working copies; 0:
    as the photos are. focal: "hold" the focal lengths that the photos state, adjust them ("free"), or adjust
    them where the block of photos can determine them ("auto"). positions: use GPS to choose the pairs to
    match and to keep the block from bending. held_out: as in `scene.open_scene`.
    The same seed gives the same result on one thread; on more, sums are rounded in another order.
    Photos that can't be read, or that found no place, are named in the scene's warnings. Raises BadInput if
    fewer than three photos can be placed together.
    """
    config = _Config(image_px, focal, positions, held_out, threads, seed, features or Features(most=3000))
    yield from _Solving(photos, Path(work), config).steps()


class _Solving:
    """One solution on its way."""

    def __init__(self, photos: Iterable[str | Path], work: Path, config: _Config):
        self.config = config
        shots, self.warnings = read_shots(Path(p) for p in photos)
        self.found = len(shots) + len(self.warnings)
        self.shots = dict(enumerate(shots, start=1))
        self._enough("can be read")
        self.place = open_work(work, self._identity())
        self.sizes: dict[int, tuple[int, int]] = {}
        self.pairs = ""

    def _identity(self) -> dict[str, object]:
        """What copies, features and matches depend on."""
        files = [
            (s.name, str(s.path), (t := s.path.stat()).st_size, t.st_mtime_ns) for s in self.shots.values()
        ]
        how = dataclasses.asdict(dataclasses.replace(self.config.how, threads=0))
        return {"task": "solve", "photos": files, "image_px": self.config.image_px, "how": how}

    def _enough(self, what: str) -> None:
        if len(self.shots) >= LEAST_PHOTOS:
            return
        first = f"; {self.warnings[0]}" if self.warnings else ""
        raise BadInput(
            "photos", found=f"{len(self.shots)} of {self.found} that {what}{first}",
            expected=f"at least {LEAST_PHOTOS}", remedy=_MORE,
        )  # fmt: skip

    def steps(self) -> Iterator[Step]:
        yield from self._copies()
        groups = lenses(self.shots)
        self._register(groups)
        yield from _staged("features", find_features(self.place, list(self.shots), self.config.how))
        yield from _staged("matches", match(self.place, self._pairs(), self.config.how))
        models = yield from self._cameras(groups)
        model, lone = self._largest(models)
        self.warnings += lone
        found = self._focal_lengths(model, groups)
        yield Step("points", 0.95)
        dense = triangulated(
            model, self.place.database, self.place.copies, self.place.model,
            threads=self.config.threads, seed=self.config.seed,
        )  # fmt: skip
        yield self._last(dense, found, len(models))

    # ------------------------------------------------------------ photos

    def _copies(self) -> Iterator[Step]:
        """Write the working copies; photos that can't be decoded leave the shots."""
        total = len(self.shots)
        views = {n: shot.view() for n, shot in self.shots.items()}
        targets = {n: self.place.copies / self.place.copy_name(n) for n in views}
        made = write_copies(
            views, targets, self.place.masks, image_px=self.config.image_px, threads=self.config.threads
        )
        for done, (number, camera) in enumerate(made):
            if isinstance(camera, FileRejected):
                name = one_line(self.shots.pop(number).name, 80)
                self.warnings.append(f"photo {name} is left out: {camera.reason}")
            else:
                self.sizes[number] = camera.width, camera.height
            yield _step("copies", (done + 1) / total)
        self._enough("can be decoded")

    def _register(self, groups: Sequence[Lens]) -> None:
        images, cameras = [], []
        for lens in groups:
            width, height = self.sizes[lens.members[0]]
            shot = self.shots[lens.members[0]]
            focal = (lens.focal_px or GUESSED_FOCAL * max(shot.width, shot.height)) * width / shot.width
            camera = pycolmap.Camera(
                camera_id=lens.number, model="SIMPLE_RADIAL", width=width, height=height,
                params=[focal, width / 2, height / 2, 0.0], has_prior_focal_length=lens.focal_px is not None,
            )  # fmt: skip
            cameras.append(camera)
            images += [(n, self.place.copy_name(n), camera) for n in lens.members]
        register(self.place, cameras, sorted(images, key=lambda image: image[0]))
        if self.priors:
            self._write_priors()

    def _write_priors(self) -> None:
        """Positions with covariances: without these COLMAP ignores them."""
        shots = {n: s for n, s in self.shots.items() if s.position and math.isfinite(s.position[2])}
        _, places = pairing.enu(list(shots.values()))
        with opened(self.place) as database:
            database.clear_pose_priors()
            for (number, shot), place in zip(shots.items(), places, strict=True):
                across, up = shot.sigma_m
                prior = pycolmap.PosePrior(
                    corr_data_id=database.read_image(number).data_id, position=place,
                    position_covariance=np.diag([across**2, across**2, up**2]),
                    coordinate_system=pycolmap.PosePriorCoordinateSystem.CARTESIAN,
                )  # fmt: skip
                database.write_pose_prior(prior)

    @property
    def priors(self) -> bool:
        """Whether positions are good enough to help the adjustment: by a receiver with corrections.

        Those of plain receivers are worse than the photos' own geometry, and treble the time.
        """
        whole = [s for s in self.shots.values() if s.position and math.isfinite(s.position[2])]
        good = len(whole) == len(self.shots) and all(s.sigma_m[0] <= GOOD_SIGMA_M for s in whole)
        return self.config.positions and good and located(whole)

    def _pairs(self) -> list[Pair]:
        ids = sorted(self.shots)
        if len(ids) <= pairing.ALL_PAIRS_UP_TO:
            self.pairs = "every photo with every other"
            return pairing.every(ids)
        if self.config.positions and located(list(self.shots.values())):
            self.pairs = f"each photo with the {pairing.NEAREST} nearest by GPS"
            return pairing.by_position(self.shots)
        if len(ids) <= pairing.ALL_PAIRS_WITHOUT_POSITIONS:
            self.pairs = "every photo with every other"
            return pairing.every(ids)
        self.pairs = "photos near each other in the order of their names"
        return pairing.by_order(ids)

    # ------------------------------------------------------------ cameras

    def _cameras(self, groups: Sequence[Lens]) -> Generator[Step, None, mapping.Models]:
        """Map with the focal lengths held where they are known."""
        known = all(lens.focal_px is not None for lens in groups)
        how = mapping.Mapping(
            hold_focal=known and self.config.focal != "free", priors=self.priors,
            threads=self.config.threads, seed=self.config.seed,
        )  # fmt: skip
        growing = mapping.grow(self.place, how)
        while True:
            try:
                placed = next(growing)
            except StopIteration as end:
                return end.value
            share = min(1.0, placed / len(self.shots))
            yield _step("cameras", share, f"{placed} of {len(self.shots)} photos")

    def _largest(self, models: mapping.Models) -> tuple[pycolmap.Reconstruction, list[str]]:
        """The model of most photos, and a line for each photo that is not in it. Raises BadInput."""
        best = max(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), default=None)
        placed = 0 if best is None else best.num_reg_images()
        if best is None or placed < LEAST_PHOTOS:
            raise BadInput(
                "photos", found=f"{placed} of {len(self.shots)} that could be placed together",
                expected=f"at least {LEAST_PHOTOS} of the same ground", remedy=_MORE,
            )  # fmt: skip
        inside = {i for i, image in best.images.items() if image.has_pose}
        others = {
            i: m.num_reg_images()
            for m in models.values() if m is not best
            for i, image in m.images.items() if image.has_pose
        }  # fmt: skip
        return best, [self._lone(n, others.get(n)) for n in self.shots if n not in inside]

    def _lone(self, number: int, together: int | None) -> str:
        name = one_line(self.shots[number].name, 80)
        if together is None:
            return f"photo {name} is left out: it has too little in common with the others to be placed"
        return f"photo {name} is left out: it belongs to {together} photos that do not connect to the rest"

    def _focal_lengths(self, model: pycolmap.Reconstruction, groups: Sequence[Lens]) -> tuple[LensFound, ...]:
        """Free the focal lengths if that is asked for, or if the block can tell them."""
        block = mapping.shape(model)
        seen = (
            f"the cameras' axes spread by {block.axes_deg:.0f}° and the relief is {100 * block.relief:.0f} %"
        )
        known = all(lens.focal_px is not None for lens in groups)
        held = known and (
            self.config.focal == "hold" or (self.config.focal == "auto" and not block.determines_focal)
        )
        if known and not held and self.config.focal == "auto":
            mapping.free_focal(model, threads=self.config.threads)
        return tuple(
            self._lens(model, lens, held, self._why(held, known, seen))
            for lens in groups
            if lens.number in model.cameras
        )

    def _why(self, held: bool, known: bool, seen: str) -> str:
        if not known:
            return f"no photo states it; {seen}"
        if self.config.focal != "auto":
            return f"as asked ({self.config.focal}); {seen}"
        return f"{seen}: the block can{'not' if held else ''} determine it"

    def _lens(self, model: pycolmap.Reconstruction, lens: Lens, held: bool, why: str) -> LensFound:
        shot = self.shots[lens.members[0]]
        camera = model.cameras[lens.number]
        focal = camera.mean_focal_length() * shot.width / camera.width
        words = " ".join(str(k) for k in lens.key[:2] if k)
        return LensFound(len(lens.members), words or "unknown camera", lens.focal_px, focal, held, why)

    # ------------------------------------------------------------ the scene

    def _last(self, model: pycolmap.Reconstruction, found: tuple[LensFound, ...], models: int) -> Step:
        placed = [i for i, image in sorted(model.images.items()) if image.has_pose]
        views = tuple(self._view(model, number) for number in placed)
        points = believed(model)
        facts = Facts(
            photos=self.found, registered=len(views), models=models, points=len(points),
            reprojection_px=float(model.compute_mean_reprojection_error()), pairs=self.pairs,
            position_priors=self.priors, lenses=found,
        )  # fmt: skip
        source = str(next(iter(self.shots.values())).path.parent)
        held_out = hold_out(views, self.config.held_out)
        scene = Scene(views, points, None, held_out, tuple(self.warnings), source)
        return Step("points", 1.0, f"{len(views)} photos, {len(points)} points", scene, facts)

    def _view(self, model: pycolmap.Reconstruction, number: int) -> View:
        shot, image = self.shots[number], model.images[number]
        pose = image.cam_from_world().matrix()
        camera = from_colmap(model.cameras[image.camera_id], pose, (shot.width, shot.height))
        return dataclasses.replace(shot.view(), camera=camera)


def _step(stage: str, share: float, detail: str = "") -> Step:
    low, high = _STAGES[stage]
    return Step(stage, low + (high - low) * share, detail)


def _staged(stage: str, shares: Iterator[float]) -> Iterator[Step]:
    for share in shares:
        yield _step(stage, share)
