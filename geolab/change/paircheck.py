"""What can be said of a pair before anything is computed: bands, grids, overlap, dates, units, light.

`same_bands` is also what detection itself asks, so that a page and a run agree. Only headers are read,
but for `light`, which looks at a small overview.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolab import display, raster
from geolab.errors import BadInput, GridMismatch, one_line
from geolab.raster import Info
from geolab.raster.grid import lonlat
from geolab.raster.info import positions

Array = NDArray[Any]

LATTICE = 48  # points along each side of the grid by which the overlap is estimated
DARKER = 0.15  # a median that differs by more, relative to the spread of values, is worth a remark


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. state: ok, warn (it can run, but read this) or fail (it can't)."""

    what: str
    state: str
    text: str


def same_bands(before: Info, after: Info) -> None:
    """Nothing, if both dates have as many bands. Raises BadInput."""
    if len(before.data_bands) != len(after.data_bands):
        raise BadInput(
            "pair", found=f"{len(before.data_bands)} and {len(after.data_bands)} bands",
            expected="the same bands at both dates",
        )  # fmt: skip


def findings(
    before: Info, after: Info, *, dates: tuple[str, str] = ("", ""), align: bool = True
) -> list[Finding]:
    """All that the headers say. dates: of both images, RFC 3339, empty if unknown; align: as in detection."""
    return [*_bands(before, after), *_grids(before, after, align), _order(*dates)]


def runnable(found: list[Finding]) -> bool:
    """Whether nothing of it stops a detection."""
    return all(one.state != "fail" for one in found)


def _bands(before: Info, after: Info) -> Iterator[Finding]:
    try:
        same_bands(before, after)
    except BadInput as error:
        yield Finding("bands", "fail", str(error))
        return
    names = [[info.band_names[band - 1] for band in info.data_bands] for info in (before, after)]
    listed = one_line(", ".join(names[0]), 80)
    if [n.casefold() for n in names[0]] != [n.casefold() for n in names[1]]:
        text = (
            f"named {listed} before and {one_line(', '.join(names[1]), 80)} after; they are compared in order"
        )
        yield Finding("bands", "warn", text)
    else:
        yield Finding("bands", "ok", f"{len(names[0])} at both dates: {listed}")
    if (before.dtype, before.scales, before.offsets) != (after.dtype, after.scales, after.offsets):
        text = f"stored as {before.dtype} before and {after.dtype} after, or scaled differently; "
        yield Finding(
            "units", "warn", text + "stored values are compared, so normalise, or convert one first"
        )


def _grids(before: Info, after: Info, align: bool) -> Iterator[Finding]:
    try:
        raster.same_grid(before, after)
    except GridMismatch as error:
        yield from _apart(before, after, error, align)
        return
    yield Finding("grid", "ok", f"the same at both dates ({_grid(before)}); align has nothing to do")


def _apart(before: Info, after: Info, error: GridMismatch, align: bool) -> Iterator[Finding]:
    differ = f"they differ in {error.what}: {_grid(before)} and {_grid(after)}{_offset(before, after)}"
    if not align:
        yield Finding("grid", "fail", f"{differ}. Switch on align, which warps the later image")
        return
    if before.crs is None or after.crs is None:
        yield Finding("grid", "fail", f"{differ}. One has no CRS, so nothing can be aligned")
        return
    yield Finding("grid", "warn", f"{differ}. align warps after (bilinear) onto the grid of before")
    covered = overlap(before, after)
    if covered == 0:
        yield Finding("overlap", "fail", "none: the images lie in different places")
    elif covered < 0.995:
        text = f"about {covered:.0%} of before; the rest becomes nodata"
        yield Finding("overlap", "ok" if covered > 0.5 else "warn", text)


def _grid(info: Info) -> str:
    size = f"{info.width:,} x {info.height:,} px"
    if info.crs is None:
        return f"no CRS, {size}"
    return f"{raster.crs_name(info.crs)}, {raster.gsd_m(info):.3g} m pixels, {size}"


def _offset(before: Info, after: Info) -> str:
    """How far the corners lie apart, where that is a matter of pixels."""
    if before.crs != after.crs:
        return ""
    there = positions(after.transform, np.zeros(1), np.zeros(1))
    columns, rows = positions(~before.transform, *there)
    off = math.hypot(float(columns[0]), float(rows[0]))
    return f", corners {off:.2g} px apart" if 0 < off < 1000 else ""


def overlap(before: Info, after: Info) -> float:
    """The share of the grid of `before` that `after` covers, 0..1, from a lattice of points.

    Nodata inside the images is not looked at.
    """
    across = (np.arange(LATTICE) + 0.5) / LATTICE
    columns, rows = (a.ravel() for a in np.meshgrid(across * before.width, across * before.height))
    lon, lat = lonlat(before, columns, rows)
    xs, ys = _into(after, lon, lat)
    columns, rows = positions(~after.transform, xs, ys)
    inside = (columns >= 0) & (columns < after.width) & (rows >= 0) & (rows < after.height)
    return float(inside.mean())


def _into(info: Info, lon: Array, lat: Array) -> tuple[Array, Array]:
    from pyproj import CRS, Transformer

    assert info.crs is not None
    there = Transformer.from_crs(CRS.from_epsg(4326), CRS.from_wkt(info.crs.to_wkt()), always_xy=True)
    return there.transform(lon, lat, errcheck=False)


def _order(first: str, last: str) -> Finding:
    if not first or not last:
        which = "both dates are" if not first and not last else "one date is"
        return Finding("dates", "warn", f"{which} unknown; check by eye which image is the earlier one")
    days = f"{first[:10]} and {last[:10]}"
    if first == last:
        return Finding("dates", "warn", f"the same for both: {days}")
    if first > last:
        return Finding("dates", "warn", f"before is later than after ({days}); swap them")
    return Finding("dates", "ok", f"in order: {days}")


def light(before: str, after: str) -> Finding:
    """Whether one date is brighter as a whole, from overviews of at most 512 px, and what normalise would do.

    Raises NotFound, FileRejected.
    """
    samples = []
    for uri in (before, after):
        with raster.open_raster(uri) as dataset:
            bands = [i for i, c in enumerate(dataset.colorinterp, 1) if c.name != "alpha"]
            samples.append(display.read_sample(dataset, bands))
    apart = [_apart_by(one, two) for one, two in zip(*samples, strict=True)]
    worst = max((one for one in apart if math.isfinite(one)), key=abs, default=0.0)
    if abs(worst) <= DARKER:
        return Finding("light", "ok", "both dates are about equally bright; normalise would change little")
    way = "brighter" if worst > 0 else "darker"
    text = f"after is {way} as a whole, by {abs(worst):.0%} of the range of values in its worst band; "
    return Finding("light", "warn", text + "normalise fits it to before by pixels that did not change")


def _apart_by(before: Array, after: Array) -> float:
    """Difference of the medians, in parts of the 2-98 % range of both."""
    one, two = before[np.isfinite(before)], after[np.isfinite(after)]
    if not one.size or not two.size:
        return math.nan
    low, high = np.percentile(np.concatenate([one, two]), display.PERCENT)
    return float((np.median(two) - np.median(one)) / (high - low)) if high > low else 0.0
