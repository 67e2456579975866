"""Features and matches of photos in a COLMAP database that a killed run leaves usable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pycolmap

from geolab.errors import BadInput
from geolab.store import write_bytes

Pair = tuple[int, int]
_OWN = (
    "identity.json",
    "copies",
    "masks",
    "features.db",
    "features.db-journal",
    "pairs.txt",
    "model",
    "model-new",
)
_AT_ONCE = 8  # photos in a piece of work, so that progress is seen
_PAIRS_AT_ONCE = 64

pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)  # else each photo is ten lines on stderr
pycolmap.logging.logtostderr = False


@dataclass(frozen=True)
class Features:
    """How features are found and matched. seed: of the random sampling in the verification."""

    most: int = 4096  # of a photo
    first_octave: int = 0  # -1 doubles the picture: twice the points for four times the work
    peak: float = 0.0015  # SIFT's peak threshold; COLMAP's 0.0067 leaves fields and roofs bare
    ratio: float = 0.8  # of the distances of the nearest and the second descriptor
    epipolar_px: float = 2.0
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Work:
    """A folder of work in progress, ours alone."""

    folder: Path

    @property
    def copies(self) -> Path:
        return self.folder / "copies"

    @property
    def masks(self) -> Path:
        return self.folder / "masks"

    @property
    def database(self) -> Path:
        return self.folder / "features.db"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def copy_name(self, number: int) -> str:
        """The name of a photo's copy; the photo's own name is never used as one."""
        return f"{number:06d}.jpg"


def open_work(folder: Path, identity: dict[str, object]) -> Work:
    """The work folder, emptied of what an earlier, different task left in it.

    Raises BadInput if a file is in the way.
    """
    work = Work(Path(folder).absolute())
    if work.folder.exists() and not work.folder.is_dir():
        raise BadInput("work", found=f"the file {work.folder}", expected="a folder")
    told = json.dumps(identity, sort_keys=True).encode()
    mark = work.folder / "identity.json"
    if not mark.is_file() or mark.read_bytes() != told:
        forget(work)
        write_bytes(mark, told)
    work.copies.mkdir(exist_ok=True)
    return work


def forget(work: Work) -> None:
    """Remove what is ours from a work folder."""
    for name in _OWN:
        path = work.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def opened(work: Work) -> Iterator[pycolmap.Database]:
    database = pycolmap.Database.open(work.database)
    try:
        yield database
    finally:
        database.close()


def register(
    work: Work, cameras: Sequence[pycolmap.Camera], images: Sequence[tuple[int, str, pycolmap.Camera]]
) -> None:
    """Enter cameras and images (id, name of the copy, its camera), those that are there already excepted.

    Ids are ours, so that they do not depend on which thread was first.
    """
    with opened(work) as database, pycolmap.DatabaseTransaction(database):
        for camera in cameras:
            if not database.exists_camera(camera.camera_id):
                database.write_camera(camera, use_camera_id=True)
                rig = pycolmap.Rig(rig_id=camera.camera_id)
                rig.add_ref_sensor(camera.sensor_id)
                database.write_rig(rig, use_rig_id=True)
        for number, name, camera in images:
            if not database.exists_image(number):
                image = pycolmap.Image(name=name, camera_id=camera.camera_id, image_id=number)
                image.frame_id = number
                frame = pycolmap.Frame(frame_id=number, rig_id=camera.camera_id)
                frame.add_data_id(image.data_id)
                database.write_frame(frame, use_frame_id=True)
                database.write_image(image, use_image_id=True)


def find_features(work: Work, ids: Sequence[int], how: Features) -> Iterator[float]:
    """Find features in the copies that have none yet; the share done, 0..1."""
    with opened(work) as database:
        names = [database.read_image(n).name for n in ids if not database.exists_descriptors(n)]
    options = pycolmap.FeatureExtractionOptions(num_threads=how.threads, use_gpu=False)
    options.sift.max_num_features = how.most
    options.sift.first_octave = how.first_octave
    options.sift.peak_threshold = how.peak
    reader = pycolmap.ImageReaderOptions(**({"mask_path": work.masks} if work.masks.is_dir() else {}))
    done = len(ids) - len(names)
    for k in range(0, len(names), _AT_ONCE):
        yield (done + k) / len(ids)
        piece = names[k : k + _AT_ONCE]
        pycolmap.extract_features(
            work.database, work.copies, image_names=piece, extraction_options=options,
            reader_options=reader, device=pycolmap.Device.cpu,
        )  # fmt: skip
    yield 1.0


def match(work: Work, pairs: Sequence[Pair], how: Features) -> Iterator[float]:
    """Match the pairs that are not matched yet and verify their geometry; the share done, 0..1."""
    with opened(work) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        todo = [(a, b) for a, b in pairs if not _is_verified(database, a, b)]
    options = pycolmap.FeatureMatchingOptions(num_threads=how.threads, use_gpu=False)
    options.sift.max_ratio = how.ratio
    verify = pycolmap.TwoViewGeometryOptions()
    verify.ransac.random_seed = how.seed
    verify.ransac.max_error = how.epipolar_px
    listed = pycolmap.ImportedPairingOptions(match_list_path=work.folder / "pairs.txt")
    done = len(pairs) - len(todo)
    for k in range(0, len(todo), _PAIRS_AT_ONCE):
        yield (done + k) / len(pairs)
        piece = todo[k : k + _PAIRS_AT_ONCE]
        listed.match_list_path.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in piece))
        pycolmap.match_image_pairs(
            work.database, matching_options=options, pairing_options=listed, verification_options=verify,
            device=pycolmap.Device.cpu,
        )  # fmt: skip
    yield 1.0


def _is_verified(database: pycolmap.Database, a: int, b: int) -> bool:
    return database.exists_matches(a, b) and database.exists_two_view_geometry(a, b)
