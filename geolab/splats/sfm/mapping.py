"""COLMAP's incremental mapping, with progress, and what is adjusted in it."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import pycolmap

from geolab.splats.sfm.database import Work
from geolab.splats.views import Floats

SMALLEST_MODEL = 3  # photos
_POLL_S = 0.2
CONVERGENT_DEG = 15.0  # spread of the cameras' axes from which on a block determines its focal length
RELIEF = 0.35  # or this range of heights, as a share of the distance of the ground
GROWN = 1.3  # times as many photos or points: then all is adjusted again; COLMAP's 1.1 takes 40 % longer
MOST_ERROR_PX, LEAST_ANGLE_DEG = 4.0, 1.5  # COLMAP's own, of points that are adjusted with the cameras

Models = dict[int, pycolmap.Reconstruction]


@dataclass(frozen=True)
class Mapping:
    """How cameras are found. hold_focal: do not adjust focal lengths. priors: draw cameras to positions."""

    hold_focal: bool
    priors: bool
    threads: int = 2
    seed: int = 0


def _options(how: Mapping) -> pycolmap.IncrementalPipelineOptions:
    found = pycolmap.IncrementalPipelineOptions(num_threads=how.threads, random_seed=how.seed)
    found.min_model_size = SMALLEST_MODEL
    found.max_num_models = 8
    found.mapper.random_seed = found.triangulation.random_seed = how.seed
    found.ba_refine_focal_length = not how.hold_focal
    found.mapper.abs_pose_refine_focal_length = not how.hold_focal
    found.ba_global_frames_ratio = found.ba_global_points_ratio = GROWN
    found.use_prior_position = how.priors
    found.use_robust_loss_on_prior_position = how.priors
    return found


def grow(work: Work, how: Mapping) -> Generator[int, None, Models]:
    """Yields the number of photos placed so far; returns the models, largest or not.

    Runs in a thread, so that the caller sees progress; when the generator is closed, the thread ends at the
    next photo.
    """
    out = work.folder / "model-new"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    placed: queue.SimpleQueue[int] = queue.SimpleQueue()
    token = pycolmap.CancellationToken()
    result: list[Models | BaseException] = []

    def run() -> None:
        try:
            result.append(
                pycolmap.incremental_mapping(
                    work.database, work.copies, out, options=_options(how),
                    initial_image_pair_callback=lambda: placed.put(2),
                    next_image_callback=lambda: placed.put(1),
                    cancellation_token=token,
                )
            )  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            result.append(error)

    thread = threading.Thread(target=run, name="geolab-mapping")
    thread.start()
    try:
        yield from _counted(thread, placed)
    finally:
        token.cancel()
        thread.join()
        shutil.rmtree(out, ignore_errors=True)
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def _counted(thread: threading.Thread, placed: queue.SimpleQueue[int]) -> Iterator[int]:
    total = 0
    while thread.is_alive() or not placed.empty():
        try:
            total += placed.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        yield total


# ---------------------------------------------------------------- can this block determine a focal length?


@dataclass(frozen=True)
class Shape:
    """Of a block of photos. axes_deg: 90th percentile of the angles between the cameras' axes and their mean.
    relief: range of the points (5th to 95th percentile) along that mean, as a share of their distance."""

    axes_deg: float
    relief: float

    @property
    def determines_focal(self) -> bool:
        """A flat ground seen along parallel axes fits any focal length, at another height of flight."""
        return self.axes_deg >= CONVERGENT_DEG or self.relief >= RELIEF


def shape(model: pycolmap.Reconstruction) -> Shape:
    """The shape of the block that a model is."""
    poses = [image.cam_from_world() for image in model.images.values() if image.has_pose]
    axes = np.array([pose.rotation.matrix()[2] for pose in poses])
    mean = axes.mean(axis=0)
    mean /= np.linalg.norm(mean)
    angles = np.degrees(np.arccos(np.clip(axes @ mean, -1, 1)))
    centre = np.mean([-pose.rotation.matrix().T @ pose.translation for pose in poses], axis=0)
    depths = (_xyz(model) - centre) @ mean
    low, middle, high = np.percentile(depths, [5, 50, 95]) if len(depths) else (0.0, 1.0, 0.0)
    return Shape(float(np.percentile(angles, 90)), float((high - low) / max(abs(middle), 1e-9)))


def _xyz(model: pycolmap.Reconstruction) -> Floats:
    return np.array([p.xyz for p in model.points3D.values()], np.float64).reshape(-1, 3)


def free_focal(model: pycolmap.Reconstruction, *, threads: int) -> None:
    """Adjust all of a model again, now with its focal lengths; twice, the outliers removed in between."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)  # refines focal length and distortion
    options.ceres.solver_options.num_threads = threads
    config = pycolmap.BundleAdjustmentConfig()
    for number in model.reg_image_ids():
        config.add_image(number)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    for _ in range(2):  # pycolmap.bundle_adjustment would set glog's level back to INFO (4.2.1)
        pycolmap.create_default_bundle_adjuster(options, config, model).solve()
        pycolmap.ObservationManager(model).filter_all_points3D(MOST_ERROR_PX, LEAST_ANGLE_DEG)
