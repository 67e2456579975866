"""What the sample world is made of: frozen values, nothing that draws.

Coordinates are metres east (x) and north (y) of the south-west corner of the nominal image;
heights are metres above the WGS 84 ellipsoid. The layout reaches `MARGIN_M` beyond the image so that
shadows and oblique photos find something there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS as RasterioCRS

Array = NDArray[np.generic]
Floats = NDArray[np.floating]

MARGIN_M = 130.0
CRS = "EPSG:32632"  # WGS 84 / UTM zone 32N
# The south-west corner of the first town, in Bavaria; what is really there is something else. Towns of other
# seeds lie further north, so that they do not overlap on a map.
EAST_M, NORTH_M = 686_500.0, 5_352_000.0
APART_M, PLACES = 5_000.0, 40
VERTICAL_DATUM = "metres above the WGS 84 ellipsoid (EPSG:4979)"


@dataclass(frozen=True)
class Conditions:
    """How the world looks on one date: everything here may differ without being change.

    season: 0 early summer (all green) .. 1 late autumn. haze: 0 clear .. 1 milky. noise: standard
    deviation in grey values. shift_px: (east, north) misregistration; warp_px: amplitude of a smooth
    local distortion on top of it. Azimuth from north over east, degrees.
    """

    date: datetime
    sun_azimuth_deg: float
    sun_elevation_deg: float
    season: float
    haze: float = 0.05
    noise: float = 1.5
    shift_px: tuple[float, float] = (0.0, 0.0)
    warp_px: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Part:
    """One rectangular body of a building; `present` says at which date (before, after) it stands."""

    x: float
    y: float
    angle: float  # of the long axis, radians from east over north
    length_m: float
    width_m: float
    eave_m: float  # above the base
    rise_m: float  # ridge above eave; 0 for flat roofs
    roof: str  # gable | hip | flat
    present: tuple[bool, bool]


@dataclass(frozen=True)
class Building:
    """Parts on one base height; the roof's colour (linear red, green, blue, nir) may differ by date."""

    use: str  # house | flats | hall | barn
    base_m: float
    parts: tuple[Part, ...]
    roof_colours: tuple[tuple[float, ...], tuple[float, ...]]
    wall_colour: tuple[float, float, float]
    cover: tuple[int, int]  # roof material per date: 0 tiles, 1 sheet metal, 2 gravel, 3 membrane
    solar: tuple[bool, bool]


@dataclass(frozen=True)
class Area:
    """A ground polygon [N, 2] of one kind, with the row of texture numbers it is drawn with per date."""

    polygon: Floats
    kind: int
    rows: tuple[Floats, Floats]
    present: tuple[bool, bool] = (True, True)


@dataclass(frozen=True)
class World:
    """Everything there is, at both dates; rendering reads this and a `Conditions` only.

    terrain: [y, x] heights on a grid of `terrain_step_m` whose row 0 is the southern edge, beginning at
    (-MARGIN_M, -MARGIN_M). trees: [N, 8] x, y, radius, height, deciduous 0/1, phase, before 0/1, after 0/1.
    hedges: [N, 7] x, y, angle, length, height, before 0/1, after 0/1.
    cars: two arrays [N, 5] x, y, angle, length, colour index.
    """

    seed: int
    width_m: float
    height_m: float
    terrain: Floats
    terrain_step_m: float
    areas: tuple[Area, ...]
    buildings: tuple[Building, ...]
    trees: Floats
    hedges: Floats
    cars: tuple[Floats, Floats]
    conditions: tuple[Conditions, Conditions]

    @property
    def corner(self) -> tuple[float, float]:
        """Easting and northing of the world's (0, 0) in CRS."""
        return EAST_M, NORTH_M + APART_M * (self.seed % PLACES)


@dataclass(frozen=True)
class Pair:
    """One town seen twice, with the truth.

    before, after: uint8 [band, y, x], red, green, blue, nir. change: uint8 [y, x], 1 where a building
    stands at exactly one of the dates. dsm_before, dsm_after, dtm: float32 [y, x], metres.
    transform, crs: rasterio's. dates: when the two images were taken (UTC).
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    change: NDArray[np.uint8]
    dsm_before: NDArray[np.float32]
    dsm_after: NDArray[np.float32]
    dtm: NDArray[np.float32]
    transform: Affine
    crs: RasterioCRS
    dates: tuple[datetime, datetime]
