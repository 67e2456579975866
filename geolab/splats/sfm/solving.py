"""Photos to cameras and points."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pycolmap

from geolab.errors import BadInput, FileRejected, one_line
from geolab.splats.photo import Photo
from geolab.splats.scene import hold_out
from geolab.splats.sfm import mapping, pairing
from geolab.splats.sfm.cameras import from_colmap
from geolab.splats.sfm.config import Config, Focal
from geolab.splats.sfm.copies import write_copies
from geolab.splats.sfm.database import Features, Pair, find_features, match, open_work
from geolab.splats.sfm.entry import enter
from geolab.splats.sfm.photoset import Lens, gather, groups_left_out, left_out, lenses, located
from geolab.splats.sfm.points import believed, triangulated
from geolab.splats.sfm.solution import Facts, LensFound, Step
from geolab.splats.views import EVERY, Scene, View

LEAST_PHOTOS = 3
LEAST_POINTS, LEAST_POINTS_OF_PHOTO = 50, 10
GOOD_SIGMA_M = 1.0  # of positions that help the adjustment
ENOUGH = 0.5  # share of the photos that must fit the focal length they state
_STAGES = {"copies": (0.0, 0.1), "features": (0.1, 0.3), "matches": (0.3, 0.6), "cameras": (0.6, 0.95)}
_MORE = "take more photos, each showing 60 % or more of the one before"


def solve(
    photos: Iterable[str | Path | Photo],
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
    config = Config(image_px, focal, positions, held_out, threads, seed, features or Features(most=3000))
    yield from _Solving(photos, Path(work), config).steps()


class _Solving:
    """One solution on its way."""

    def __init__(self, photos: Iterable[str | Path | Photo], work: Path, config: Config):
        self.config = config
        good, self.warnings = gather(photos)
        self.found = len(good) + len(self.warnings)
        self.photos = dict(enumerate(good, start=1))
        self._enough()
        self.place = open_work(work, self._identity())
        self.sizes: dict[int, tuple[int, int]] = {}
        self.pairs = self.freed = ""
        self.share = 0.0

    def _identity(self) -> dict[str, object]:
        """What copies, features and matches depend on."""
        files = [
            (p.name, str(p.path), (t := p.path.stat()).st_size, t.st_mtime_ns) for p in self.photos.values()
        ]
        how = dataclasses.asdict(dataclasses.replace(self.config.how, threads=0))
        return {"task": "solve", "photos": files, "image_px": self.config.image_px, "how": how}

    def _enough(self) -> None:
        if len(self.photos) >= LEAST_PHOTOS:
            return
        first = f"; {self.warnings[0]}" if self.warnings else ""
        raise BadInput(
            "photos", found=f"{len(self.photos)} of {self.found} that can be used{first}",
            expected=f"at least {LEAST_PHOTOS}", remedy=_MORE,
        )  # fmt: skip

    def steps(self) -> Iterator[Step]:
        yield from self._copies()
        groups = lenses(self.photos)
        enter(self.place, self.photos, groups, self.sizes)
        yield from _staged("features", find_features(self.place, list(self.photos), self.config.how))
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
        """Write the working copies; those that can't be decoded are left out."""
        total = len(self.photos)
        views = {n: photo.view() for n, photo in self.photos.items()}
        targets = {n: self.place.copies / self.place.copy_name(n) for n in views}
        made = write_copies(
            views, targets, self.place.masks, image_px=self.config.image_px, threads=self.config.threads
        )
        for done, (number, camera) in enumerate(made):
            if isinstance(camera, FileRejected):
                self.warnings.append(left_out(self.photos.pop(number).name, camera.reason))
            else:
                self.sizes[number] = camera.width, camera.height
            yield _step("copies", (done + 1) / total)
        self._use_once(targets)
        self._enough()

    def _use_once(self, copies: Mapping[int, Path]) -> None:
        """Leave out pictures that are there twice: a copy of one that is held out would be learnt from."""
        first: dict[bytes, str] = {}
        for number, photo in sorted(self.photos.items(), key=lambda p: (len(p[1].name), p[1].name)):
            key = hashlib.sha256(copies[number].read_bytes()).digest()
            if first.setdefault(key, photo.name) != photo.name:
                del self.photos[number]
                same = f"it is the same picture as {one_line(first[key], 80)}"
                self.warnings.append(left_out(photo.name, same))

    @property
    def priors(self) -> bool:
        """Whether positions are good enough to help the adjustment: by a receiver with corrections.

        Those of plain receivers are worse than the photos' own geometry, and treble the time.
        """
        whole = [p for p in self.photos.values() if p.measured and math.isfinite(p.measured[2])]
        good = len(whole) == len(self.photos) and all(p.sigma_m[0] <= GOOD_SIGMA_M for p in whole)
        return self.config.positions and good and located(whole)

    def _pairs(self) -> list[Pair]:
        ids = sorted(self.photos)
        if len(ids) <= pairing.ALL_PAIRS_UP_TO:
            self.pairs = "every photo with every other"
            return pairing.every(ids)
        if self.config.positions and located(list(self.photos.values())):
            self.pairs = f"each photo with the {pairing.NEAREST} nearest by GPS"
            return pairing.by_position(self.photos)
        if len(ids) <= pairing.ALL_PAIRS_WITHOUT_POSITIONS:
            self.pairs = "every photo with every other"
            return pairing.every(ids)
        self.pairs = "photos near each other in the order of their names"
        return pairing.by_order(ids)

    # ------------------------------------------------------------ cameras

    def _cameras(self, groups: Sequence[Lens]) -> Generator[Step, None, mapping.Models]:
        """Map with the focal lengths held where they are known, and once more if hardly a photo fits so."""
        known = all(lens.focal_px is not None for lens in groups)
        held = known and self.config.focal != "free"
        models = yield from self._mapped(hold_focal=held)
        if held and self.config.focal == "auto" and _most(models) < ENOUGH * len(self.photos):
            freed = yield from self._mapped(hold_focal=False)
            if _most(freed) > _most(models):
                self.freed = f"held, it would place {_most(models)} of {len(self.photos)} photos"
                return freed
        return models

    def _mapped(self, *, hold_focal: bool) -> Generator[Step, None, mapping.Models]:
        how = mapping.Mapping(hold_focal, self.priors, threads=self.config.threads, seed=self.config.seed)
        with closing(mapping.grow(self.place, how)) as growing:
            while True:
                try:
                    placed = next(growing)
                except StopIteration as end:
                    return end.value
                self.share = max(self.share, min(1.0, placed / len(self.photos)))
                yield _step("cameras", self.share, f"{placed} of {len(self.photos)} photos")

    def _largest(self, models: mapping.Models) -> tuple[pycolmap.Reconstruction, list[str]]:
        """The model of most photos, and a line for each photo that is not in it. Raises BadInput."""
        best = max(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), default=None)
        placed = 0 if best is None else best.num_reg_images()
        if best is None or placed < LEAST_PHOTOS:
            raise BadInput(
                "photos", found=f"{placed} of {len(self.photos)} that could be placed together",
                expected=f"at least {LEAST_PHOTOS} of the same ground", remedy=_MORE,
            )  # fmt: skip
        inside = {i for i, image in best.images.items() if image.has_pose}
        groups = []
        for model in sorted(models.values(), key=lambda m: -m.num_reg_images()):
            names = [self.photos[i].name for i in sorted(model.reg_image_ids()) if i not in inside]
            if names:
                groups.append(names)
            inside |= set(model.reg_image_ids())
        alone = [photo.name for number, photo in self.photos.items() if number not in inside]
        return best, groups_left_out(alone, groups, len(self.photos))

    def _focal_lengths(self, model: pycolmap.Reconstruction, groups: Sequence[Lens]) -> tuple[LensFound, ...]:
        """Free the focal lengths if that is asked for, or if the block can tell them."""
        block = mapping.shape(model)
        seen = (
            f"the cameras' axes spread by {block.axes_deg:.0f}° and the relief is {100 * block.relief:.0f} %"
        )
        known = all(lens.focal_px is not None for lens in groups)
        held = (
            known
            and not self.freed
            and (self.config.focal == "hold" or (self.config.focal == "auto" and not block.determines_focal))
        )
        if known and not held and not self.freed and self.config.focal == "auto":
            mapping.free_focal(model, threads=self.config.threads)
        return tuple(
            self._lens(model, lens, held, self._why(held, known, seen))
            for lens in groups
            if lens.number in model.cameras
        )

    def _why(self, held: bool, known: bool, seen: str) -> str:
        if not known or self.freed:
            return f"{self.freed or 'no photo states it'}; {seen}"
        if self.config.focal != "auto":
            return f"as asked ({self.config.focal}); {seen}"
        return f"{seen}: the block can{'not' if held else ''} determine it"

    def _lens(self, model: pycolmap.Reconstruction, lens: Lens, held: bool, why: str) -> LensFound:
        photo = self.photos[lens.members[0]]
        camera = model.cameras[lens.number]
        focal = camera.mean_focal_length() * photo.width / camera.width
        words = " ".join(str(k) for k in lens.key[:2] if k)
        return LensFound(len(lens.members), words or "unknown camera", lens.focal_px, focal, held, why)

    # ------------------------------------------------------------ the scene

    def _last(self, model: pycolmap.Reconstruction, found: tuple[LensFound, ...], models: int) -> Step:
        placed = [i for i, image in sorted(model.images.items()) if image.has_pose]
        views = tuple(self._view(model, number) for number in placed)
        points = believed(model)
        least = max(LEAST_POINTS, LEAST_POINTS_OF_PHOTO * len(views))
        if len(points) < least:
            raise BadInput(
                "photos", found=f"{len(points)} points that {len(views)} of them have in common",
                expected=f"at least {least}", remedy=_MORE,
            )  # fmt: skip
        facts = Facts(
            photos=self.found, registered=len(views), models=models, points=len(points),
            reprojection_px=float(model.compute_mean_reprojection_error()), pairs=self.pairs,
            position_priors=self.priors, lenses=found,
        )  # fmt: skip
        source = str(next(iter(self.photos.values())).path.parent)
        held_out = hold_out(views, self.config.held_out)
        scene = Scene(views, points, None, held_out, tuple(self.warnings), source)
        return Step("points", 1.0, f"{len(views)} photos, {len(points)} points", scene, facts)

    def _view(self, model: pycolmap.Reconstruction, number: int) -> View:
        photo, image = self.photos[number], model.images[number]
        pose = image.cam_from_world().matrix()
        camera = from_colmap(model.cameras[image.camera_id], pose, (photo.width, photo.height))
        return dataclasses.replace(photo.view(), camera=camera)


def _most(models: mapping.Models) -> int:
    """Photos in the largest model."""
    return max((m.num_reg_images() for m in models.values()), default=0)


def _step(stage: str, share: float, detail: str = "") -> Step:
    low, high = _STAGES[stage]
    return Step(stage, low + (high - low) * share, detail)


def _staged(stage: str, shares: Iterator[float]) -> Iterator[Step]:
    for share in shares:
        yield _step(stage, share)
