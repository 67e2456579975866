"""Which way is up: by the plane of a flight, where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geolab.splats import leveling
from geolab.splats.leveling import Up

from .conftest import block, line


def tilted(degrees: float) -> Up:
    return Up(Rotation.from_euler("x", degrees, degrees=True).apply([0.0, 0, 1]), "cameras", 5.0)


def angle(up: Up) -> float:
    return float(np.degrees(np.arccos(min(1.0, up.direction[2]))))


def climbing() -> np.ndarray:
    """A flight that begins with a climb, at heights that vary by decimetres."""
    places = block()[0]
    climb = np.array([(x, 0.3 * x, 30.0 + 4 * k) for k, x in enumerate(range(-40, -10, 6))], float)
    return np.concatenate([climb, places + np.random.default_rng(0).normal(0, [0, 0, 0.3], places.shape)])


def test_flight_at_one_height_tells_up_though_it_began_with_a_climb() -> None:
    found = leveling.by_flight(tilted(4.0), climbing())
    assert angle(found) < 0.7
    assert found.by == "cameras, flown at one height"
    assert found.sigma_deg < 5


@pytest.mark.parametrize(
    "places",
    [
        climbing() @ Rotation.from_euler("x", 16, degrees=True).as_matrix().T,  # along a slope
        line()[0],  # does not span a plane
        block()[0] + np.random.default_rng(0).normal(0, [0, 0, 5.0], (16, 3)),  # following the ground
        block()[0][:4],
        np.zeros((8, 3)),
    ],
    ids=["slope", "line", "heights", "few", "one place"],
)
def test_other_flights_leave_it_to_the_cameras(places: np.ndarray) -> None:
    up = tilted(4.0)
    assert leveling.by_flight(up, places) is up
