"""Drone photos of a corner of the town: where the cameras are, and what they see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from geolab.town import light, looks, ortho, paint, raycast, scene, sensor
from geolab.town.frame import Frame, frame_at
from geolab.town.model import Conditions, Floats, World
from geolab.town.terrain import height_at

WIDTH_PX, HEIGHT_PX = 960, 720
FOCAL_MM, FOCAL_35MM = 9.0, 27
PX_PER_CM = 832.0502  # of the sensor, as EXIF's FocalPlaneXResolution says
FOCAL_PX = FOCAL_MM / 10 * PX_PER_CM
STEP_M = 0.1  # cells of the height field
REACH_M = 165.0  # of the height field around the middle
HEIGHT_M = 66.0  # of flight above the ground in the middle
NADIR_SHARE = 1 / 2  # of the photos look straight down
SPACING_M = 20.0  # between these, both ways: three quarters of a photo overlap
SHORT_M = 12.0  # before the middle is where the rings look, so that others see the background, too
AFTER = 1


@dataclass(frozen=True)
class Camera:
    """One exact pinhole camera.

    Pixel centres lie at +0.5. world_to_camera [4, 4]: from the frame's east-north-up metres to OpenCV axes
    (x right, y down, z forward). yaw clockwise from north and pitch (-90 straight down), degrees.
    """

    name: str
    position: tuple[float, float, float]  # east, north, up
    yaw_deg: float
    pitch_deg: float
    taken: datetime

    @property
    def axes(self) -> Floats:
        """Right, down and forward as rows."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
        ahead = np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
        return np.stack([right, np.cross(ahead, right), ahead])

    @property
    def world_to_camera(self) -> Floats:
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes
        matrix[:3, 3] = -self.axes @ np.array(self.position)
        return matrix

    @property
    def K(self) -> Floats:
        return np.array([[FOCAL_PX, 0, WIDTH_PX / 2], [0, FOCAL_PX, HEIGHT_PX / 2], [0, 0, 1.0]])


@dataclass(frozen=True)
class Flight:
    """A frame around a corner of the town and the cameras in it."""

    frame: Frame
    cameras: tuple[Camera, ...]


@dataclass(frozen=True)
class Photo:
    """What a camera saw: rgb uint8 [y, x, 3]; depth float32 [y, x], metres along the camera's axis."""

    camera: Camera
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]


def plan(world: World, photos: int) -> Flight:
    """A flight over the liveliest corner: two rings looking inward and a block looking straight down."""
    x, y = _corner(world)
    frame = frame_at(world, (x, y, float(height_at(world.terrain, np.array([x]), np.array([y]))[0])))
    start = world.conditions[AFTER].date
    nadir = round(photos * NADIR_SHARE) if photos > 2 else 0
    poses = [*_rings(photos - nadir), *_block(nadir)]
    cameras = (
        Camera(f"town-{k + 1:03d}.jpg", position, yaw, pitch, start + timedelta(seconds=4 * k))
        for k, (position, yaw, pitch) in enumerate(poses)
    )
    return Flight(frame, tuple(cameras))


def _corner(world: World) -> tuple[float, float]:
    """The place inside the image, away from its edge, with most standing bodies within 55 m."""
    parts = np.array([
        (p.x, p.y, p.eave_m * math.sqrt(p.length_m * p.width_m))
        for b in world.buildings for p in b.parts if p.present[AFTER]
    ]).reshape(-1, 3)  # fmt: skip
    rim_x, rim_y = min(75.0, world.width_m / 2), min(75.0, world.height_m / 2)
    xs = np.arange(rim_x, world.width_m - rim_x + 0.1, 12.0)
    ys = np.arange(rim_y, world.height_m - rim_y + 0.1, 12.0)
    places = [(float(x), float(y)) for x in xs for y in ys]
    full = [
        float(np.minimum(parts[np.hypot(parts[:, 0] - x, parts[:, 1] - y) < 55, 2], 110).sum())
        for x, y in places
    ]
    return places[int(np.argmax(full))]


Pose = tuple[tuple[float, float, float], float, float]


def _rings(n: int) -> Iterator[Pose]:
    """Cameras around the middle that look at the ground before it, every other one nearer and lower."""
    for k in range(n):
        turn = 2 * math.pi * k / n
        radius, up = (44.0, HEIGHT_M) if k % 2 == 0 else (34.0, HEIGHT_M - 6)
        yaw = math.degrees(turn) - 180.0
        pitch = -math.degrees(math.atan2(up - 4, radius - SHORT_M))
        yield (radius * math.sin(turn), radius * math.cos(turn), up), round(yaw, 4), round(pitch, 4)


def _block(n: int) -> Iterator[Pose]:
    """Cameras that look straight down, in lines flown one after the other, to and fro."""
    lines = max(1, math.ceil(math.sqrt(n)))
    for line in range(lines):
        count = n // lines + (line < n % lines)
        across = (line - (lines - 1) / 2) * SPACING_M
        for place in range(count):
            along = (place - (count - 1) / 2) * SPACING_M
            yaw = 0.0 if line % 2 == 0 else 180.0
            yield (across, along if yaw == 0 else -along, HEIGHT_M + 6), yaw, -90.0


def again(flight: Flight, start: datetime) -> Flight:
    """The same flight at another time: the same places and directions, for photos of an edited world."""
    first = min(camera.taken for camera in flight.cameras)
    cameras = (replace(camera, taken=start + (camera.taken - first)) for camera in flight.cameras)
    return Flight(flight.frame, tuple(cameras))


def photograph(
    world: World,
    flight: Flight,
    conditions: Conditions | None = None,
    *,
    date: int = AFTER,
    haze: float = 0.0,
    noise: float = 0.0,
) -> Iterator[Photo]:
    """The photos of a flight in order; two are made at once.

    date: 0 before, 1 after. conditions: the date's own if None; of these only sun, season and gain count, for
    a drone flies low and its camera is good. haze (0..1) and noise (standard deviation, grey values) make
    it worse; the depth stays exact.
    """
    seen = conditions or world.conditions[date]
    x, y, _ = flight.frame.world
    cells = round(2 * REACH_M / STEP_M)
    drawn = scene.draw(
        world, scene.things(world, date), left=x - REACH_M, top=y + REACH_M, step_m=STEP_M,
        shape=(cells, cells),
    )  # fmt: skip
    stage = _Stage(drawn, scene.peaks(drawn.height), ortho.open_sky(drawn.height, STEP_M), seen, haze)
    with ThreadPoolExecutor(2) as pool:
        photos = pool.map(lambda camera: _photo(stage, flight.frame, camera), flight.cameras)
        for number, photo in enumerate(photos):
            rng = np.random.default_rng([world.seed, date, number])
            yield photo if noise == 0 else replace(photo, rgb=sensor.grainy(photo.rgb, noise, rng))


@dataclass(frozen=True)
class _Stage:
    scene: scene.Scene
    peaks: NDArray[np.float32]
    open_sky: NDArray[np.float32]
    conditions: Conditions
    haze: float


def points(photo: Photo) -> Floats:
    """Where each pixel's ray meets the world: [y, x, 3] in the flight's frame; infinite where it does not."""
    camera = photo.camera
    ways = (_pixel_rays() @ camera.axes).reshape(HEIGHT_PX, WIDTH_PX, 3)
    return np.array(camera.position) + photo.depth[..., None].astype(np.float64) * ways


def rays(camera: Camera, frame: Frame) -> tuple[Floats, Floats]:
    """The camera's place [3] and each pixel's ray [N, 3] in the world; a ray is one metre of depth long."""
    directions = _pixel_rays() @ (camera.axes @ frame.to_world.T)
    return np.array(frame.world) + frame.to_world @ np.array(camera.position), directions


@cache
def _pixel_rays() -> Floats:
    """Each pixel's ray [N, 3] in the camera's axes, one metre deep; row by row."""
    u, v = np.meshgrid(np.arange(WIDTH_PX) + 0.5, np.arange(HEIGHT_PX) + 0.5)
    seen = np.stack([(u - WIDTH_PX / 2) / FOCAL_PX, (v - HEIGHT_PX / 2) / FOCAL_PX, np.ones_like(u)], axis=-1)
    return seen.reshape(-1, 3)


def _photo(stage: _Stage, frame: Frame, camera: Camera) -> Photo:
    origin, directions = rays(camera, frame)
    drawn, n = stage.scene, len(directions)
    x, y, z = (np.zeros(n) for _ in range(3))
    row, side, depth = np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n)
    raycast.cast(
        origin, directions, drawn.height, drawn.rows, stage.peaks, drawn.left, drawn.top, drawn.step_m,
        1000.0, x, y, z, row, side, depth,
    )  # fmt: skip
    missed = row < 0
    row[missed] = 0
    sun = scene.to_sun(stage.conditions.sun_azimuth_deg, stage.conditions.sun_elevation_deg)
    at_x, at_y = _off_walls(drawn.things.table, x, y, row, side)
    lit = paint.sunlit(
        at_x, at_y, z.astype(np.float32), drawn.height, stage.peaks, drawn.left, drawn.top, drawn.step_m, sun
    )  # fmt: skip
    r = np.clip((drawn.top - at_y) / drawn.step_m, 0, drawn.height.shape[0] - 1).astype(int)
    c = np.clip((at_x - drawn.left) / drawn.step_m, 0, drawn.height.shape[1] - 1).astype(int)
    out = np.empty((n, 4), np.float32)
    light.shade(
        x, y, z.astype(np.float32), row, side, lit, stage.open_sky[r, c], drawn.things.table, sun,
        stage.conditions.season, out,
    )  # fmt: skip
    out[missed] = 0.6
    rgb = sensor.tone(out[:, :3], stage.conditions, haze=stage.haze)
    shape = (HEIGHT_PX, WIDTH_PX)
    return Photo(camera, rgb.reshape(*shape, 3), depth.astype(np.float32).reshape(shape))


def _off_walls(
    table: Floats, x: Floats, y: Floats, row: np.ndarray, side: np.ndarray
) -> tuple[Floats, Floats]:
    """The points, those on facades moved a little outward, so that a facade does not shade itself."""
    x, y = x.copy(), y.copy()
    on = np.flatnonzero((side == 1) & (table[row, looks.KIND] == looks.ROOF))
    t = table[row[on]]
    dx, dy = x[on] - t[:, looks.X], y[on] - t[:, looks.Y]
    u = dx * t[:, looks.COS] + dy * t[:, looks.SIN]
    v = -dx * t[:, looks.SIN] + dy * t[:, looks.COS]
    end = t[:, looks.A] - np.abs(u) < t[:, looks.B] - np.abs(v)
    nu, nv = np.where(end, np.sign(u), 0), np.where(end, 0, np.sign(v))
    x[on] += 2.5 * STEP_M * (nu * t[:, looks.COS] - nv * t[:, looks.SIN])
    y[on] += 2.5 * STEP_M * (nu * t[:, looks.SIN] + nv * t[:, looks.COS])
    return x, y
