"""Train, validation and test by place: contiguous areas with a gap between, never at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from geolab.change.pairs.labels import CELL_PX
from geolab.change.windows import Span, round_up
from geolab.errors import BadInput

SHARES = {"train": 0.60, "val": 0.15, "test": 0.25}

Name = TypeVar("Name")


def by_place(height: int, width: int, *, gap_px: int, what: str) -> dict[str, tuple[Span, Span]]:
    """(rows, cols) of each part: bands across the longer axis, at least `gap_px` of no man's land between.

    Borders lie on multiples of CELL_PX. what: the pair's name, for the error.
    Raises BadInput when the pair is too small to split.
    """
    longer = max(height, width)
    gap = round_up(gap_px, CELL_PX)
    usable = longer - 2 * gap
    train_stop = max(0, int(usable * SHARES["train"])) // CELL_PX * CELL_PX
    val_start = train_stop + gap
    val_stop = val_start + max(1, int(usable * SHARES["val"]) // CELL_PX) * CELL_PX
    along = {
        "train": Span(0, train_stop),
        "val": Span(val_start, val_stop),
        "test": Span(val_stop + gap, longer),
    }
    if min(span.size for span in along.values()) < CELL_PX:
        raise BadInput(
            f"pair {what}", found=f"{width} x {height} px",
            expected=f"at least {2 * gap + 3 * CELL_PX} px to one side, to be split by place",
            remedy="give a larger scene, or pairs with lists of train, val and test",
        )  # fmt: skip
    across = Span(0, min(height, width))
    return {name: (a, across) if height >= width else (across, a) for name, a in along.items()}


def by_name(names: Sequence[Name], parts: Sequence[str] = tuple(SHARES)) -> dict[str, list[Name]]:
    """Contiguous runs of the names in their order, each at least one, in the ratio of SHARES.

    Neighbours in name order mostly are neighbours on the ground, which keeps places together.
    """
    assert len(names) >= len(parts)
    total = sum(SHARES[p] for p in parts)
    runs, start, share = {}, 0, 0.0
    for index, part in enumerate(parts):
        share += SHARES[part] / total
        later = len(parts) - index - 1
        stop = min(max(round(share * len(names)), start + 1), len(names) - later)
        runs[part] = list(names[start:stop])
        start = stop
    return runs
