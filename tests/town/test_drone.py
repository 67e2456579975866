"""Drone photos: exact cameras, what they see, and what they say about themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import ExifTags, Image

from geolab import town
from geolab.town import drone, exif, frame, scene
from geolab.town.terrain import height_at

SEED = 4


@pytest.fixture(scope="module")
def world() -> town.World:
    return town.world(SEED, (160, 240))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> town.Written:
    return town.write(tmp_path_factory.mktemp("town"), seed=SEED, size_px=(160, 240), photos=3)


@pytest.fixture(scope="module")
def cameras(written: town.Written) -> dict:
    assert written.cameras is not None
    return json.loads(written.cameras.read_text())


@pytest.fixture(scope="module")
def shots(world: town.World) -> tuple[drone.Flight, list[drone.Photo]]:
    flight = drone.plan(world, 3)
    return flight, list(drone.photograph(world, flight))


def project(record: dict, enu: np.ndarray) -> np.ndarray:
    """Pixels and depth [N, 3] of points [N, 3] by the file's own matrices."""
    seen = np.c_[enu, np.ones(len(enu))] @ np.array(record["world_to_camera"]).T[:, :3]
    pixels = seen @ np.array(record["K"]).T
    return np.c_[pixels[:, :2] / pixels[:, 2:], seen[:, 2]]


def test_frame_agrees_with_geodesy_and_its_inverse(world: town.World) -> None:
    local = frame.frame_at(world, (60.0, 40.0, 565.0))
    points = np.array([[60.0, 40, 565], [160, 40, 575], [60, -60, 560], [-40, 140, 600]])
    enu = local.enu(points)
    np.testing.assert_allclose(enu[0], 0, atol=1e-6)
    np.testing.assert_allclose(points, enu @ local.to_world.T + local.world, atol=0.004)
    np.testing.assert_allclose(local.lonlat(enu), frame.lonlat(points, world.corner), atol=1e-8, rtol=0)


def test_ground_points_and_roofs_project_to_where_the_photo_has_that_depth(
    world: town.World, cameras: dict, shots: tuple[drone.Flight, list[drone.Photo]]
) -> None:
    flight, photos = shots
    x0, y0, _ = flight.frame.world
    step = 0.1
    drawn = scene.draw(
        world, scene.things(world, 1), left=x0 - 40, top=y0 + 40, step_m=step, shape=(800, 800)
    )
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(100, 700, (2, 4000))
    points = np.stack(
        [drawn.left + (columns + 0.5) * step, drawn.top - (rows + 0.5) * step, drawn.height[rows, columns]],
        axis=1,
    )
    enu = flight.frame.enu(points)
    for record, photo in zip(cameras["photos"], photos, strict=True):
        u, v, depth = project(record, enu).T
        inside = (u > 2) & (u < 958) & (v > 2) & (v < 718)
        assert inside.sum() > 300
        rendered = photo.depth[v[inside].astype(int), u[inside].astype(int)]
        seen = np.abs(rendered - depth[inside]) < 0.3
        hidden = rendered < depth[inside] - 0.3
        assert (seen | hidden).mean() > 0.98
        assert seen.mean() > (0.9 if photo.camera.pitch_deg == -90 else 0.6)


def test_cast_rays_meet_what_a_slow_march_meets(
    world: town.World, shots: tuple[drone.Flight, list[drone.Photo]]
) -> None:
    flight, photos = shots
    photo = photos[0]
    items = scene.things(world, 1)
    x0, y0, _ = flight.frame.world
    step = drone.STEP_M
    cells = round(2 * drone.REACH_M / step)
    drawn = scene.draw(
        world, items, left=x0 - drone.REACH_M, top=y0 + drone.REACH_M, step_m=step, shape=(cells, cells)
    )
    origin, directions = drone.rays(photo.camera, flight.frame)
    rng = np.random.default_rng(1)
    for v, u in zip(rng.integers(60, 720, 60), rng.integers(0, 960, 60), strict=True):
        ray = directions[v * 960 + u]
        t = np.arange(20.0, 260.0, 0.02)
        path = origin + t[:, None] * ray
        r = np.floor((drawn.top - path[:, 1]) / step).astype(int)
        c = np.floor((path[:, 0] - drawn.left) / step).astype(int)
        inside = (r >= 0) & (c >= 0) & (r < cells) & (c < cells)
        below = path[inside, 2] <= drawn.height[r[inside], c[inside]]
        # Neither may see a spike thinner than its own stride: compare to a decimetre.
        assert photo.depth[v, u] == pytest.approx(t[inside][np.argmax(below)], abs=0.12)


def test_facades_are_seen_from_the_side_only(shots: tuple[drone.Flight, list[drone.Photo]]) -> None:
    _, photos = shots
    assert [p.camera.pitch_deg == -90 for p in photos] == [False, True, True]
    oblique, nadir = photos[0], photos[2]
    assert np.ptp(oblique.depth) > np.ptp(nadir.depth)
    assert np.isfinite(oblique.depth).all()


def test_photos_show_the_orthophoto_of_the_second_date(
    world: town.World, shots: tuple[drone.Flight, list[drone.Photo]]
) -> None:
    flight, photos = shots
    nadir = photos[2]
    pair = town.render(world)
    rng = np.random.default_rng(2)
    ground = np.stack([flight.frame.world[0] + rng.uniform(-25, 25, 3000),
                       flight.frame.world[1] + rng.uniform(-20, 20, 3000)], axis=1)  # fmt: skip
    inside = (
        (ground > 1).all(axis=1) & (ground[:, 0] < world.width_m - 1) & (ground[:, 1] < world.height_m - 1)
    )
    ground = ground[inside]
    z = height_at(world.terrain, ground[:, 0], ground[:, 1])
    enu = flight.frame.enu(np.c_[ground, z])
    seen = enu @ nadir.camera.axes.T + nadir.camera.world_to_camera[:3, 3]
    u = (seen[:, 0] / seen[:, 2] * drone.FOCAL_PX + 480).astype(int)
    v = (seen[:, 1] / seen[:, 2] * drone.FOCAL_PX + 360).astype(int)
    here = (u >= 0) & (u < 960) & (v >= 0) & (v < 720)
    open_ground = np.abs(nadir.depth[v[here], u[here]] - seen[here, 2]) < 0.1
    photo = nadir.rgb[v[here], u[here]].astype(float)[open_ground]
    rows, columns = (
        ((world.height_m - ground[here, 1]) / 0.5).astype(int),
        (ground[here, 0] / 0.5).astype(int),
    )
    ortho = np.moveaxis(pair.after[:3], 0, -1)[rows, columns].astype(float)[open_ground]
    assert open_ground.sum() > 300
    correlations = [np.corrcoef(photo[:, k], ortho[:, k])[0, 1] for k in range(3)]
    assert min(correlations) > 0.75


def test_exif_and_xmp_say_where_the_camera_was(written: town.Written, cameras: dict) -> None:
    for path, record in zip(written.photos, cameras["photos"], strict=True):
        with Image.open(path) as picture:
            assert picture.size == (record["width"], record["height"])
            tags = picture.getexif()
            gps, details = tags.get_ifd(ExifTags.IFD.GPSInfo), tags.get_ifd(ExifTags.IFD.Exif)
            xmp = picture.info["xmp"]
        assert (tags[ExifTags.Base.Make], tags[ExifTags.Base.Model]) == ("geolab", "Town Cam")
        assert degrees(gps[ExifTags.GPS.GPSLatitude]) == pytest.approx(record["lat"], abs=1e-10)
        assert degrees(gps[ExifTags.GPS.GPSLongitude]) == pytest.approx(record["lon"], abs=1e-10)
        assert float(gps[ExifTags.GPS.GPSAltitude]) == pytest.approx(record["height_m"], abs=1e-5)
        assert gps[ExifTags.GPS.GPSAltitudeRef] == b"\x02"  # above the ellipsoid
        assert details[ExifTags.Base.DateTimeOriginal].startswith("2024:")
        focal_px = (
            float(details[ExifTags.Base.FocalLength])
            / 10
            * float(details[ExifTags.Base.FocalPlaneXResolution])
        )
        assert focal_px == pytest.approx(record["K"][0][0], rel=1e-6)
        diagonal = math.hypot(record["width"], record["height"])
        by_35mm = details[ExifTags.Base.FocalLengthIn35mmFilm] / math.hypot(36, 24) * diagonal
        assert by_35mm == pytest.approx(record["K"][0][0], rel=1e-4)
        said = gimbal(xmp)
        assert float(said["GpsLatitude"]) == pytest.approx(record["lat"], abs=1e-9)
        assert float(said["AbsoluteAltitude"]) == pytest.approx(record["height_m"], abs=1e-3)
        above = float(said["AbsoluteAltitude"]) - cameras["origin"]["height_m"]
        assert float(said["RelativeAltitude"]) == pytest.approx(above, abs=1e-3)
        ahead = np.array(record["world_to_camera"])[2, :3]
        pitch, yaw = (math.radians(float(said[f"Gimbal{n}Degree"])) for n in ("Pitch", "Yaw"))
        flat = [math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)]
        np.testing.assert_allclose(ahead, flat, atol=1e-5)


def degrees(parts: tuple) -> float:
    return float(parts[0]) + float(parts[1]) / 60 + float(parts[2]) / 3600


def gimbal(xmp: bytes) -> dict[str, str]:
    text = xmp.decode().rstrip("\x00")
    tree = ElementTree.fromstring(text[text.index("<x:xmpmeta") : text.index("<?xpacket end")])
    description = tree.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return {k.rsplit("}", 1)[1]: v for k, v in description.attrib.items() if "drone-dji" in k}


def test_cameras_look_at_the_corner_and_their_axes_are_a_rotation(cameras: dict) -> None:
    for record in cameras["photos"]:
        matrix = np.array(record["world_to_camera"])
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
        u, v, depth = project(record, np.zeros((1, 3)))[0]
        assert depth > 40
        assert -200 < u < 1160
        assert -200 < v < 920


def test_gps_noise_moves_what_the_photo_says_but_not_the_camera(world: town.World, tmp_path: Path) -> None:
    noisy = town.write(tmp_path, seed=SEED, size_px=(160, 240), photos=1, gps_noise_m=2.0)
    assert noisy.cameras is not None
    record = json.loads(noisy.cameras.read_text())["photos"][0]
    with Image.open(noisy.photos[0]) as picture:
        gps = picture.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    off = (degrees(gps[ExifTags.GPS.GPSLatitude]) - record["lat"]) * 111_200
    assert 0.001 < abs(off) < 12
    np.testing.assert_allclose(
        record["world_to_camera"], drone.plan(world, 1).cameras[0].world_to_camera, atol=0, rtol=0
    )


def test_same_photo_has_the_same_bytes(world: town.World, written: town.Written, tmp_path: Path) -> None:
    again = town.write(tmp_path, seed=SEED, size_px=(160, 240), photos=3)
    for a, b in zip(written.photos, again.photos, strict=True):
        assert a.name == b.name
        assert a.read_bytes() == b.read_bytes()
    assert written.cameras is not None
    assert again.cameras is not None
    assert written.cameras.read_bytes() == again.cameras.read_bytes()


@pytest.mark.parametrize("value", [0.0, 48.2957, 11.999999999999, 59.9999999999 / 60, -33.5])
def test_sexagesimal_parts_add_up(value: float) -> None:
    assert degrees(exif._sexagesimal(value)) == pytest.approx(abs(value), abs=2e-11)
