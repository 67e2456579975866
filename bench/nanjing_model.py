"""A network trained on one half of Nanjing and judged on the other, beside CVA and IR-MAD there.

python bench/nanjing_model.py [DATA] [--minutes 2] [--half east]

DATA: the folder with t1_*.tif, t2_*.tif and label.tif (0 unlabelled, 1 unchanged, 2 changed);
without it, cd_landsat_nanjing below GEOLAB_TEST_DATA.
The half to learn from is cut into five strips, the middle one for validation. Unlabelled pixels
count nowhere.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from geolab.change import classic, evaluate, metrics, pairs
from geolab.change.pairs import UNKNOWN
from geolab.change.train import TrainConfig, train

STRIPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    beside = Path(__file__).parents[2] / "shared" / "data"
    default = Path(os.environ.get("GEOLAB_TEST_DATA") or beside) / "cd_landsat_nanjing"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--half", choices=("east", "west"), default="east", help="the half to be judged on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"no folder {arguments.data}: give the folder of the Nanjing pair")
    before, after, label = scene(arguments.data)
    middle = label.shape[1] // 2
    west, east = np.s_[:, :middle], np.s_[:, middle:]
    learn, judge = (west, east) if arguments.half == "east" else (east, west)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), before, after, label, learn=learn, judge=judge)
        found = pairs.open_pairs(folder)
        for part in (found.train, found.val, found.test):
            print(f"{part.name:>6}: {part.labelled} labelled pixels, {part.changed} changed")
        config = TrainConfig(epochs=100_000, minutes=arguments.minutes, tile_px=64, seed=arguments.seed)
        for step in train(found, config=config):
            if step.validation and step.validation.best:
                print(f"step {step.step}, loss {step.loss:.3f}, F1 on validation {step.validation.f1:.3f}")
        assert step.model is not None
        report("model", evaluate.evaluate(step.model, found.test).confusion)
    truth = label[judge]
    for method in ("cva", "irmad"):
        fitted = classic.fit(method, [(before, after)])
        score = fitted.score(fitted.statistic(before, after))[judge]
        curve = metrics.pr_curve(score, truth, UNKNOWN)
        report(f"{method}, Otsu", curve.confusion(0.5))


def scene(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """before, after float32 [band, y, x]; label uint8 [y, x] 0, 1 or UNKNOWN."""

    def read(pattern: str) -> np.ndarray:
        with rasterio.open(next(data.glob(pattern))) as dataset:
            return dataset.read()

    coded = read("label.tif")[0]
    label = np.full(coded.shape, UNKNOWN, dtype=np.uint8)
    label[coded == 1], label[coded == 2] = 0, 1
    return read("t1_*.tif").astype(np.float32), read("t2_*.tif").astype(np.float32), label


def write_folder(folder: Path, before, after, label, *, learn, judge) -> None:
    """A/ B/ label/ and list/: strips of the half to learn from, and the other half whole."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": ["judged"]}
    write(folder, "judged", before[:, *judge], after[:, *judge], label[judge])
    for number, rows in enumerate(strips(label.shape[0])):
        name = f"strip-{number}"
        lists["val" if number == STRIPS // 2 else "train"].append(name)
        part = (rows, learn[1])
        write(folder, name, before[:, *part], after[:, *part], label[part])
    (folder / "list").mkdir()
    for part, names in lists.items():
        (folder / "list" / f"{part}.txt").write_text("\n".join(names))


def strips(height: int) -> Iterator[slice]:
    for number in range(STRIPS):
        yield slice(number * height // STRIPS, (number + 1) * height // STRIPS)


def write(folder: Path, name: str, before, after, label) -> None:
    for kind, pixels in (("A", before), ("B", after), ("label", label[None])):
        path = folder / kind / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        count, height, width = pixels.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype="uint8"
        ) as dataset:
            dataset.write(pixels.astype(np.uint8))


def report(name: str, found: metrics.Confusion) -> None:
    print(
        f"{name:>12}: F1 {found.f1:.3f}, kappa {found.kappa:.3f}, "
        f"precision {found.precision:.3f}, recall {found.recall:.3f}"
    )


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    main()
