"""Labelled pairs of images for training and judging: where they lie, how they are split, their windows.

found = pairs.open_pairs("town", settings=settings.load())
sample = found.train.draw(rng, tile_px=128)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from geolab import raster, store
from geolab.change.pairs import folder as folders
from geolab.change.pairs import split
from geolab.change.pairs.labels import UNKNOWN, Census, Coding, census, coding
from geolab.change.pairs.part import Block, Pair, Part, Place, Sample, Tile
from geolab.change.pairs.reader import Reader
from geolab.change.preprocessing import Preprocessing
from geolab.change.windows import Span
from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.settings import load as load_settings

__all__ = ["UNKNOWN", "Block", "Pair", "PairSet", "Part", "Sample", "Tile", "open_pairs", "preprocessing"]

GAP_PX = 64  # the network's halo: no pixel that a test sees was trained on
FEW_PAIRS = 4  # fewer pairs without lists are each split by place
SAMPLE_WINDOWS = 256  # windows that the scaling is computed from
SAMPLE_PX = 256

Areas = Sequence[Place]


@dataclass(frozen=True)
class PairSet:
    """Three parts that share no place. manifest: what is in which part, with hashes; JSON values only."""

    train: Part
    val: Part
    test: Part
    bands: tuple[str, ...]
    manifest: dict[str, Any]


def open_pairs(
    ref: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    ignore: int | None = None,
    gap_px: int = GAP_PX,
) -> PairSet:
    """The pairs of a folder (A/ B/ label/) or of a collection of the catalogue, split by place.

    ignore: the label value of unlabelled pixels; 255 when the labels are 0/1.
    gap_px: width of the ground between the parts of one scene that belongs to none.
    A folder's own lists are kept to. Raises NotFound, BadInput, GridMismatch, FileRejected.
    """
    areas = _areas(os.fspath(ref), settings, gap_px)
    pairs = list({pair.id: pair for part in areas.values() for pair, _, _ in part}.values())
    names = {pair.id: os.path.basename(pair.label) for pair in pairs}  # noqa: PTH119 - a URI, not a path
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(names, pool.map(census, (pair.label for pair in pairs)), strict=True))
        hashes = dict(zip(names, pool.map(_hashes, pairs), strict=True))
    code = coding({f"{i} ({names[i]})": c for i, c in found.items()}, ignore)
    reader = Reader()
    parts = {name: _part(name, some, found, code, reader) for name, some in areas.items()}
    for name in ("train", "val"):
        _check_labels(parts[name])
    bands = _bands(pairs)
    manifest = _manifest(areas, hashes, code)
    return PairSet(parts["train"], parts["val"], parts["test"], bands, manifest)


def preprocessing(pairs: PairSet) -> Preprocessing:
    """Mean and standard deviation of each band over the training part, both dates together.

    From up to 256 windows spread evenly over it. A band that never changes is divided by 1.
    """
    windows = list(pairs.train.places(SAMPLE_PX))
    step = max(1, -(-len(windows) // SAMPLE_WINDOWS))
    sums = np.zeros((3, len(pairs.bands)))
    for pair, rows, cols in windows[::step]:
        for uri in (pair.before, pair.after):
            sums += _sums(pairs.train.reader.read(uri, rows, cols))
    count, total, squares = sums
    if not count.all():
        raise BadInput("training images", found="a band without any valid pixel", expected="valid pixels")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std[std == 0] = 1
    return Preprocessing(pairs.bands, tuple(map(float, mean)), tuple(map(float, std)))


def _sums(pixels: np.ndarray) -> np.ndarray:
    """Number, sum and sum of squares of the valid pixels of each band, [3, band] float64."""
    valid = np.isfinite(pixels)
    values = np.where(valid, pixels, 0).astype(np.float64)
    return np.stack([valid.sum((1, 2)), values.sum((1, 2)), (values**2).sum((1, 2))])


def _areas(ref: str, settings: Settings | None, gap_px: int) -> dict[str, list[Place]]:
    """(pair, rows, cols) of each part."""
    path = store.local_path(ref)
    if path is not None and path.is_dir():
        if not folders.is_layout(path):
            raise NotFound("folder", str(path / "A"), remedy="pairs lie in A/, B/ and label/")
        parts = folders.read(path)
    else:
        from geolab.change.pairs import collection  # the catalogue: not needed for folders

        parts = {"all": collection.read(ref, settings or load_settings())}
        return _split_each(parts["all"], gap_px)
    if "all" not in parts:
        return {name: [_whole(pair) for pair in some] for name, some in parts.items()}
    if len(parts["all"]) < FEW_PAIRS:
        return _split_each(parts["all"], gap_px)
    return {name: [_whole(p) for p in some] for name, some in split.by_name(parts["all"]).items()}


def _whole(pair: Pair) -> Place:
    return pair, Span(0, pair.height), Span(0, pair.width)


def _split_each(pairs: Sequence[Pair], gap_px: int) -> dict[str, list[Place]]:
    cuts = {p.id: split.by_place(p.height, p.width, gap_px=gap_px, what=p.id) for p in pairs}
    return {name: [(pair, *cuts[pair.id][name]) for pair in pairs] for name in split.SHARES}


def _part(name: str, areas: Areas, found: dict[str, Census], code: Coding, reader: Reader) -> Part:
    blocks = []
    for pair, rows, cols in areas:
        counts = found[pair.id].counts
        empty = np.zeros(_cell_shape(pair), dtype=np.int32)
        changed = counts.get(float(code.changed), empty)
        blocks.append(Block(pair, rows, cols, changed, changed + counts.get(0.0, empty)))
    return Part(name, tuple(blocks), code, reader)


def _cell_shape(pair: Pair) -> tuple[int, int]:
    from geolab.change.pairs.labels import CELL_PX

    return -(-pair.height // CELL_PX), -(-pair.width // CELL_PX)


def _check_labels(part: Part) -> None:
    if part.changed == 0 or part.changed == part.labelled:
        only = "unchanged" if part.changed == 0 else "changed"
        raise BadInput(
            f"labels of the {part.name} part", found=f"only {only} pixels",
            expected="changed and unchanged ones",
            remedy="give more pairs, or lists that divide them otherwise",
        )  # fmt: skip


def _bands(pairs: Sequence[Pair]) -> tuple[str, ...]:
    first = raster.read_info(pairs[0].before)
    for pair in pairs[1:]:
        info = raster.read_info(pair.before)
        if len(info.data_bands) != len(first.data_bands):
            raise BadInput(
                f"pair {pair.id}", found=f"{len(info.data_bands)} bands",
                expected=f"{len(first.data_bands)}, as pair {pairs[0].id} has",
            )  # fmt: skip
    return tuple(first.band_names[i - 1] for i in first.data_bands)


def _hashes(pair: Pair) -> dict[str, str]:
    return {kind: store.sha256(getattr(pair, kind)) for kind in ("before", "after", "label")}


def _manifest(areas: dict[str, Any], hashes: dict[str, dict[str, str]], code: Coding) -> dict[str, Any]:
    def entry(pair: Pair, rows: Span, cols: Span) -> dict[str, Any]:
        spans = {"rows": [rows.start, rows.stop], "cols": [cols.start, cols.stop]}
        return {"pair": pair.id, **spans, **hashes[pair.id]}

    return {
        "schema": 1,
        "labels": {"changed": code.changed, "ignore": code.ignore},
        "parts": {name: [entry(*area) for area in some] for name, some in areas.items()},
    }
