"""What change masks of many cells and years say: areas in each cell's own metres, scores against a truth.

A mask tells its cell and years itself: detection carries the tags of the images it compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geolab import raster, store
from geolab.change import metrics
from geolab.change.metrics import NODATA, Confusion
from geolab.errors import BadInput, FileRejected, one_line

if TYPE_CHECKING:
    import pandas as pd

CARRIED = ("GEOLAB_CELL",)  # tags that a mask has from its images
SAMPLE = "sample"
_NAME = re.compile(r"(.+)-(\d{4})-(\d{4})-change\.tif", re.ASCII)


def carried(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The tags of two images that their change keeps: the cell, and the time from one to the other."""
    tags = {name: before[name] for name in CARRIED if name in before and before[name] == after.get(name)}
    if "START_DATETIME" in before and "END_DATETIME" in after:
        tags |= {"START_DATETIME": before["START_DATETIME"], "END_DATETIME": after["END_DATETIME"]}
    return tags


@dataclass(frozen=True)
class Changed:
    """One mask in numbers. confusion: against the truth, None without one."""

    uri: str
    cell: str
    start: str
    end: str
    valid_m2: float
    changed_m2: float
    confusion: Confusion | None = None

    @property
    def years(self) -> str:
        """Such as 2021-2022; empty where the mask does not say."""
        return f"{self.start[:4]}-{self.end[:4]}" if self.start and self.end else ""

    @property
    def share(self) -> float:
        """Of the valid area, 0..1."""
        return self.changed_m2 / self.valid_m2 if self.valid_m2 else 0.0


def given(masks: Sequence[str], folder: str | Path) -> list[str]:
    """The masks; the word "sample" alone makes the exact ones of a small archive in the folder."""
    if list(masks) != [SAMPLE]:
        return list(masks)
    from geolab.town import satellite

    made = satellite.write(Path(folder), years=range(2021, 2024), cells=4, cell_px=64)
    return sorted(str(path) for path in made.truth if _NAME.fullmatch(path.name))


def summarise(masks: Sequence[str], *, truth: str = "") -> Iterator[Changed]:
    """Each mask in numbers, in order of cell and years.

    masks: URIs, 1 changed, 0 not, 255 unknown. truth: a folder with exact masks CELL-YEAR-YEAR-change.tif on
    the same grids. Raises BadInput without masks; FileRejected, NotFound, GridMismatch.
    """
    if not masks:
        raise BadInput("masks", found="none", expected="at least one change mask")
    yield from sorted((_changed(uri, truth) for uri in masks), key=lambda one: (one.cell, one.start, one.uri))


def _changed(uri: str, truth: str) -> Changed:
    info = raster.read_info(uri)
    mask = _read(uri)
    areas = raster.row_areas_m2(info)
    cell, start, end = _named(uri, info.tags)
    found = Changed(
        uri=uri,
        cell=cell,
        start=start,
        end=end,
        valid_m2=float((mask != NODATA).sum(axis=1) @ areas),
        changed_m2=float((mask == 1).sum(axis=1) @ areas),
    )
    return (
        found if not truth else Changed(**{**vars(found), "confusion": _compared(found, info, mask, truth)})
    )


def _named(uri: str, tags: Mapping[str, str]) -> tuple[str, str, str]:
    """Cell, start and end of a mask, by its tags, else by a name such as CELL-2021-2022-change.tif."""
    name = one_line(uri.rstrip("/").rsplit("/", 1)[-1], 200)
    read = _NAME.fullmatch(name)
    cell, start, end = read.groups() if read else (name, "", "")
    told = (("GEOLAB_CELL", cell), ("START_DATETIME", start), ("END_DATETIME", end))
    cell, start, end = (one_line(tags.get(tag, otherwise), 100) for tag, otherwise in told)
    return cell, start, end


def _read(uri: str) -> np.ndarray:
    """[y, x] of a mask. Raises FileRejected for values that are none."""
    with raster.open_raster(uri) as dataset:
        pixels = raster.read_window(dataset)
    if len(pixels) != 1:
        raise FileRejected(uri, f"{len(pixels)} bands; a change mask has one")
    mask = np.where(np.isfinite(pixels[0]), pixels[0], NODATA)
    if not np.isin(mask, (0, 1, NODATA)).all():
        raise FileRejected(uri, "values other than 0, 1 and nodata; it is no change mask")
    return mask.astype(np.uint8)


def _compared(found: Changed, info: raster.Info, mask: np.ndarray, truth: str) -> Confusion:
    """The mask against the exact one of its cell and years, where both are known."""
    name = f"{found.cell}-{found.years}-change.tif"
    if "/" in name or "\\" in name:
        raise BadInput(
            "cell", found=found.cell, expected="an id that can be a file's name, to find its truth"
        )
    path = f"{truth.rstrip('/')}/{name}"
    raster.same_grid(info, path)
    known = _read(path)
    return metrics.confusion(mask, np.where(mask == NODATA, NODATA, known).astype(np.uint8), ignore=NODATA)


# ---------------------------------------------------------------- many masks


def table(found: Iterable[Changed]) -> pd.DataFrame:
    """A row for each mask: cell, years, hectares known and changed, per cent; with a truth, its scores."""
    import pandas as pd

    return pd.DataFrame([_row(one) for one in found])


def _row(one: Changed) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cell": one.cell,
        "years": one.years,
        "valid_ha": round(one.valid_m2 / 1e4, 2),
        "changed_ha": round(one.changed_m2 / 1e4, 2),
        "changed_pct": round(100 * one.share, 3),
    }
    if one.confusion is not None and one.confusion.pixels:
        scores = {name: round(getattr(one.confusion, name), 4) for name in ("f1", "precision", "recall")}
        row |= {"truth_px": one.confusion.tp + one.confusion.fn, **scores}
    return row


def by_years(found: Iterable[Changed]) -> dict[str, list[str]]:
    """The URIs of all cells' masks for each pair of years, in order: the bands of a mosaic."""
    layers: dict[str, list[str]] = {}
    for one in sorted(found, key=lambda one: (one.years, one.cell)):
        layers.setdefault(one.years or "change", []).append(one.uri)
    return layers


def areas(found: Iterable[Changed]) -> dict[str, float]:
    """The changed area of all cells for each pair of years, m2, in the order of by_years."""
    total = dict.fromkeys(by_years(found := list(found)), 0.0)
    for one in found:
        total[one.years or "change"] += one.changed_m2
    return total


def f1_by_mask(found: Iterable[Changed]) -> dict[str, float]:
    """F1 of every mask that has a truth, by cell and years."""
    return {
        f"{one.cell} {one.years}": one.confusion.f1
        for one in found
        if one.confusion is not None and one.confusion.pixels
    }


def pooled(found: Iterable[Changed]) -> Confusion | None:
    """The counts of all masks together; None where none has a truth."""
    counts = [one.confusion for one in found if one.confusion is not None]
    return reduce(add, counts) if counts else None


def scores(found: Iterable[Changed]) -> dict[str, float]:
    """F1, precision and recall over all masks; empty without a truth."""
    counts = pooled(found)
    if counts is None or not counts.pixels:
        return {}
    return {name: getattr(counts, name) for name in ("f1", "precision", "recall")}


def write_table(found: Iterable[Changed], path: Any) -> None:
    """The table as CSV."""
    store.write_bytes(path, table(found).to_csv(index=False, lineterminator="\n").encode())
