"""When and how the two images are usually taken: dates, sun, season, haze and the sensor's errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from geolab.town.model import Conditions


def usual(seed: int) -> tuple[Conditions, Conditions]:
    """Early summer 2021 in the morning, and autumn 2024 in the afternoon, a little different by seed."""
    rng = np.random.default_rng([seed, 4242])
    days = int(rng.integers(0, 30)), int(rng.integers(0, 28))
    minutes = int(rng.integers(0, 90)), int(rng.integers(0, 90))
    heading, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.8)
    before = Conditions(
        date=datetime(2021, 6, 5, 9, 10, tzinfo=UTC) + timedelta(days=days[0], minutes=minutes[0]),
        sun_azimuth_deg=130.0 + minutes[0] * 0.4,
        sun_elevation_deg=53.0 + minutes[0] * 0.08,
        season=float(rng.uniform(0.0, 0.15)),
        haze=float(rng.uniform(0.02, 0.06)),
        noise=1.4,
    )
    after = Conditions(
        date=datetime(2024, 8, 28, 11, 50, tzinfo=UTC) + timedelta(days=days[1], minutes=minutes[1]),
        sun_azimuth_deg=202.0 + minutes[1] * 0.3,
        sun_elevation_deg=50.0 - days[1] * 0.2 - minutes[1] * 0.03,
        season=float(rng.uniform(0.3, 0.5)),
        haze=float(rng.uniform(0.05, 0.11)),
        noise=2.2,
        shift_px=(float(shift * np.cos(heading)), float(shift * np.sin(heading))),
        warp_px=0.2,
        gain=float(rng.uniform(0.97, 1.05)),
    )
    return before, after
