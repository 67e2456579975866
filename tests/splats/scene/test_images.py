"""Pixels: sizes, distortion, orientation, masks, formats, damage."""

from __future__ import annotations

import dataclasses
import io
import struct
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import rasterio
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from geolab.errors import BadInput, FileRejected
from geolab.splats import images
from geolab.splats.loaders import areas, lenses
from geolab.splats.views import Camera, View

WIDTH, HEIGHT = 96, 72


def smooth(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """A picture [y, x, 3] that bilinear interpolation follows to a grey value."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(height, width, 3)), (4, 4, 0))
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def view_of(path: Path, camera: Camera, mask: Path | None = None) -> View:
    return View(path.name, path, camera, mask)


def pinhole(width: int = WIDTH, height: int = HEIGHT) -> Camera:
    K = np.array([[100.0, 0, width / 2 - 3], [0, 104, height / 2 + 2], [0, 0, 1]])
    return Camera(width, height, K, np.eye(4))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_straight_photo_comes_as_it_is(photo: Path) -> None:
    loaded = images.load(view_of(photo, pinhole()))
    assert np.array_equal(loaded.rgb, smooth())
    assert loaded.mask is None
    assert loaded.camera.model == "PINHOLE"
    assert np.array_equal(loaded.camera.K, pinhole().K)


def test_reducing_by_a_whole_factor_is_the_mean_of_blocks(photo: Path) -> None:
    loaded = images.load(view_of(photo, pinhole()), image_px=32)
    blocks = smooth().reshape(24, 3, 32, 3, 3).mean(axis=(1, 3))
    assert loaded.rgb.shape == (24, 32, 3)
    assert np.abs(loaded.rgb - blocks).max() < 1
    assert np.allclose(loaded.camera.K[:2], pinhole().K[:2] / 3)
    assert (loaded.camera.width, loaded.camera.height) == (32, 24)


@pytest.mark.parametrize("image_px", [50, 61, 95, 200])
def test_a_point_keeps_its_place_in_the_picture_at_any_size(photo: Path, image_px: int) -> None:
    camera = images.load(view_of(photo, pinhole()), image_px=image_px).camera
    ray = np.array([[0.2, -0.1, 1.0]])
    share = lenses.project(camera, ray) / [camera.width, camera.height]
    assert np.allclose(share, lenses.project(pinhole(), ray) / [WIDTH, HEIGHT], atol=1e-12)


def area_means(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """By the integral of the picture, read between its pixels."""
    for axis, count in ((0, height), (1, width)):
        moved = np.moveaxis(pixels.astype(float), axis, 0)
        sums = np.concatenate([np.zeros((1, *moved.shape[1:])), moved.cumsum(axis=0)])
        edges = np.linspace(0, len(moved), count + 1)
        low, part = np.floor(edges).astype(int), edges % 1
        high = np.minimum(low + 1, len(moved))
        at = sums[low] + part[:, None, None] * (sums[high] - sums[low])
        pixels = np.moveaxis(np.diff(at, axis=0) / (len(moved) / count), 0, axis)
    return pixels


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (31, 22), (96, 72), (97, 80)])
def test_means_of_areas_are_exact(size: tuple[int, int]) -> None:
    pixels = smooth(97, 80)
    assert np.abs(areas.mean(pixels, size) - area_means(pixels, *size)).max() < 1e-3


@pytest.mark.parametrize("size", [(640, 480), (1281, 1027)])
@pytest.mark.parametrize("image_px", [0, 600, 300, 40])
def test_the_quick_way_through_a_jpeg_is_the_mean_of_areas(
    tmp_path: Path, size: tuple[int, int], image_px: int
) -> None:
    Image.fromarray(smooth(*size)).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    loaded = images.load(view_of(tmp_path / "a.jpg", pinhole(*size)), image_px=image_px)
    whole = Image.open(tmp_path / "a.jpg")
    assert loaded.rgb.shape[1] == (image_px or size[0])
    slow = area_means(np.asarray(whole), *loaded.rgb.shape[1::-1])
    assert np.abs(loaded.rgb - slow).mean() < 1.5  # half a pixel of the reduced JPEG would be 5


# ---------------------------------------------------------------- distortion


def test_the_picture_between_its_pixels_is_scipys() -> None:
    rng, pixels = np.random.default_rng(4), smooth(40, 30)
    rows, columns = rng.uniform([[[-2]], [[-3]]], [[[33]], [[44]]], (2, 50, 60)).astype(np.float32)
    for band in range(3):
        slow = map_coordinates(pixels[..., band].astype(float), (rows, columns), order=1, mode="nearest")
        assert np.abs(areas.bilinear(pixels, rows, columns)[..., band] - slow).max() < 1e-3


LENSES = {
    "SIMPLE_RADIAL": (0.08,), "RADIAL": (-0.08, 0.02), "OPENCV": (0.05, -0.02, 0.004, -0.003),
    "OPENCV_FISHEYE": (0.02, -0.01, 0.003, 0.0), "FULL_OPENCV": (0.05, -0.02, 0.004, -0.003, 0.01, 0, 0, 0),
    "FOV": (0.5,), "FISHEYE": (),
}  # fmt: skip


def seen_by(camera: Camera, rays: np.ndarray) -> np.ndarray:
    """Colours [N, 3] of rays: a smooth pattern at infinity."""
    x, y = (rays[:, :2] / rays[:, 2:]).T
    waves = [np.sin(21 * x + 1) * np.cos(18 * y), np.sin(15 * x - 24 * y), np.cos(27 * y + 6 * x)]
    return 128 + 90 * np.stack(waves, axis=-1)


def taken_with(camera: Camera) -> np.ndarray:
    """The photo [y, x, 3] that a lens takes of that pattern; its inverse by pycolmap."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    focals, _ = lenses.BY_NAME[camera.model]
    params = [*[camera.K[0, 0], camera.K[1, 1]][:focals], *camera.K[:2, 2], *camera.distortion]
    there = pycolmap.Camera(model=camera.model, width=camera.width, height=camera.height, params=params)
    flat = there.cam_from_img(np.stack([u.ravel(), v.ravel()], axis=1))
    assert flat is not None
    rays = np.column_stack([flat, np.ones(len(flat))])
    return np.clip(seen_by(camera, rays), 0, 255).reshape(camera.height, camera.width, 3)


@pytest.mark.parametrize("image_px", [0, 120])
@pytest.mark.parametrize("model", LENSES)
def test_a_straightened_photo_is_what_a_pinhole_camera_sees(
    tmp_path: Path, model: str, image_px: int
) -> None:
    K = np.array([[230.0, 0, 118], [0, 230.0, 93], [0, 0, 1]])
    camera = Camera(240, 180, K, np.eye(4), model, LENSES[model])
    Image.fromarray(taken_with(camera).round().astype(np.uint8)).save(tmp_path / "a.png")
    loaded = images.load(view_of(tmp_path / "a.png", camera), image_px=image_px)
    height, width = loaded.rgb.shape[:2]
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1) @ np.linalg.inv(loaded.camera.K).T
    expected = np.clip(seen_by(camera, rays), 0, 255).reshape(height, width, 3)
    known = np.ones((height, width), bool) if loaded.mask is None else loaded.mask
    assert known.mean() > 0.8
    assert np.abs(loaded.rgb - expected)[known].mean() < 0.7
    assert np.percentile(np.abs(loaded.rgb - expected)[known], 99.9) < 3
    assert loaded.camera.model == "PINHOLE"


def test_our_remap_agrees_with_pycolmaps(tmp_path: Path) -> None:
    K = np.array([[230.0, 0, 120], [0, 230.0, 90], [0, 0, 1]])
    camera = Camera(240, 180, K, np.eye(4), "SIMPLE_RADIAL", (-0.06,))
    pixels = taken_with(camera).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    there = pycolmap.Camera(model="SIMPLE_RADIAL", width=240, height=180, params=[230, 120, 90, -0.06])
    options = pycolmap.UndistortCameraOptions()
    picture, target = pycolmap.undistort_image(options, pycolmap.Bitmap.from_array(pixels), there)
    loaded = images.load(view_of(tmp_path / "a.png", camera))
    theirs = np.asarray(picture.to_array())
    height, width = theirs.shape[:2]
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(target.calibration_matrix()).T
    at = np.rint(rays[..., :2] * 230 + [120, 90] - 0.5).astype(int)  # the same ray in ours, to a pixel
    inside = ((at >= 2) & (at < [238, 178])).all(-1)
    ours = loaded.rgb[at[..., 1].clip(0, 179), at[..., 0].clip(0, 239)]
    assert inside.mean() > 0.8
    assert np.abs(ours.astype(float) - theirs)[inside].mean() < 3


def test_a_polynomial_that_folds_back_is_masked(tmp_path: Path) -> None:
    """Beyond the fold the model maps two rays to one pixel: a mirrored ghost at the rim."""
    K = np.array([[60.0, 0, 60], [0, 60.0, 45], [0, 0, 1]])
    camera = Camera(120, 90, K, np.eye(4), "SIMPLE_RADIAL", (-0.5,))
    Image.fromarray(smooth(120, 90)).save(tmp_path / "a.png")
    loaded = images.load(view_of(tmp_path / "a.png", camera))
    assert loaded.mask is not None
    u, v = np.meshgrid((np.arange(120) + 0.5 - 60) / 60, (np.arange(90) + 0.5 - 45) / 60)
    fold = np.sqrt(1 / (3 * 0.5))  # where r (1 - r^2 / 2) stops growing
    radius = np.hypot(u, v)
    assert loaded.mask[radius < fold - 0.02].all()
    assert not loaded.mask[radius > fold + 0.02].any()


# ---------------------------------------------------------------- orientation


def turned_photo(path: Path, orientation: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = smooth(*size)
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_of_stored_pixels_ignore_the_orientation(tmp_path: Path, orientation: int) -> None:
    """COLMAP and OpenSfM read photos as they are stored."""
    pixels = turned_photo(tmp_path / "a.png", orientation)
    assert np.array_equal(images.load(view_of(tmp_path / "a.png", pinhole())).rgb, pixels)


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("image_px", [0, 48])
def test_cameras_of_upright_pixels_follow_it(tmp_path: Path, orientation: int, image_px: int) -> None:
    from PIL import ImageOps

    turned_photo(tmp_path / "a.png", orientation)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    loaded = images.load(view_of(tmp_path / "a.png", pinhole(HEIGHT, WIDTH)), image_px=image_px)
    expected = upright if image_px == 0 else upright.resize((36, 48), Image.Resampling.BOX)
    assert np.abs(loaded.rgb.astype(int) - np.asarray(expected)).max() <= 1


def test_pycolmap_reads_photos_as_they_are_stored(tmp_path: Path) -> None:
    """What the rule above rests on; should pycolmap change, the rule must."""
    pixels = turned_photo(tmp_path / "a.png", 6)
    bitmap = pycolmap.Bitmap.read(tmp_path / "a.png", True)
    assert bitmap is not None
    assert np.array_equal(np.asarray(bitmap.to_array()), pixels)


# ---------------------------------------------------------------- masks


def test_masks_of_any_style_mean_the_same(photo: Path, tmp_path: Path) -> None:
    free = np.zeros((HEIGHT, WIDTH), bool)
    free[10:50, 20:77] = True
    for style in (free * np.uint8(255), free * np.uint8(1), free):
        Image.fromarray(style).save(tmp_path / "m.png")
        loaded = images.load(view_of(photo, pinhole(), tmp_path / "m.png"))
        assert loaded.mask is not None
        assert np.array_equal(loaded.mask, free)


def test_a_pixel_that_is_masked_in_part_is_masked(photo: Path, tmp_path: Path) -> None:
    free = np.full((HEIGHT, WIDTH), 255, np.uint8)
    free[31, 47] = 0
    Image.fromarray(free).save(tmp_path / "m.png")
    loaded = images.load(view_of(photo, pinhole(), tmp_path / "m.png"), image_px=32)
    assert loaded.mask is not None
    assert np.argwhere(~loaded.mask).tolist() == [[10, 15]]


def test_transparent_pixels_are_masked(tmp_path: Path) -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:20] = 0
    Image.fromarray(np.dstack([smooth(), alpha])).save(tmp_path / "a.png")
    loaded = images.load(view_of(tmp_path / "a.png", pinhole()))
    assert loaded.mask is not None
    assert np.array_equal(loaded.mask, alpha > 0)


def test_an_empty_mask_is_one_clear_line(photo: Path, tmp_path: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 0).save(tmp_path / "m.png")
    with pytest.raises(BadInput, match=r"mask of a\.png: found no pixel to learn from, expected white") as e:
        images.load(view_of(photo, pinhole(), tmp_path / "m.png"))
    assert "\n" not in str(e.value)


def test_a_lens_that_leaves_nothing_is_not_taken_for_a_mask(photo: Path) -> None:
    wild = dataclasses.replace(pinhole(), model="SIMPLE_RADIAL", distortion=(1e9,))
    with pytest.raises(
        BadInput, match=r"camera of a\.png: found SIMPLE_RADIAL with focal length .* no pixel"
    ):
        images.load(view_of(photo, wild))


@pytest.mark.parametrize("upright", [False, True])
def test_masks_turn_with_their_photo_unless_they_stand_upright(tmp_path: Path, upright: bool) -> None:
    turned_photo(tmp_path / "a.png", 6)  # to be turned clockwise
    free = np.zeros((HEIGHT, WIDTH), bool)
    free[:20, 5:] = True
    shown = np.rot90(free, -1)
    Image.fromarray(shown if upright else free).save(tmp_path / "m.png")
    loaded = images.load(view_of(tmp_path / "a.png", pinhole(HEIGHT, WIDTH), tmp_path / "m.png"))
    assert loaded.mask is not None
    assert np.array_equal(loaded.mask, shown)


def test_a_mask_of_another_shape_is_refused(photo: Path, tmp_path: Path) -> None:
    Image.new("L", (50, 50), 255).save(tmp_path / "m.png")
    with pytest.raises(FileRejected, match=r"the mask is 50 x 50 pixels, its photo 96 x 72"):
        images.load(view_of(photo, pinhole(), tmp_path / "m.png"))


# ---------------------------------------------------------------- formats and damage


def test_other_pixels_become_eight_bits_of_red_green_blue(tmp_path: Path) -> None:
    grey = smooth()[..., 0]
    deep = (grey.astype(np.uint16) << 8) | grey
    for picture, name in (
        (Image.fromarray(grey), "g.png"), (Image.fromarray(deep), "d.png"), (Image.fromarray(deep), "d.tif"),
        (Image.fromarray(grey).convert("P"), "p.png"),
    ):  # fmt: skip
        picture.save(tmp_path / name)
        rgb = images.load(view_of(tmp_path / name, pinhole())).rgb
        assert np.array_equal(rgb, np.stack([grey] * 3, axis=-1)), name


def test_cmyk_photos_are_read(tmp_path: Path) -> None:
    Image.fromarray(smooth()).convert("CMYK").save(tmp_path / "c.jpg", quality=97)
    rgb = images.load(view_of(tmp_path / "c.jpg", pinhole())).rgb
    assert np.abs(rgb.astype(int) - smooth()).mean() < 4


@pytest.mark.parametrize("size", [0, 30, 900, 2500])
def test_a_truncated_photo_is_one_line(tmp_path: Path, size: int) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    assert len(whole) > 3000
    (tmp_path / "a.jpg").write_bytes(whole[:size])
    with pytest.raises(FileRejected, match=r"copy it again") as caught:
        images.load(view_of(tmp_path / "a.jpg", pinhole()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(96, 72), (1280, 1024)])
def test_a_photo_damaged_in_the_middle_is_one_line(tmp_path: Path, size: tuple[int, int]) -> None:
    """Pillow alone would show the rest grey or shifted."""
    Image.fromarray(smooth(*size)).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    half = len(data) // 2
    data[half : half + 60] = bytes(60)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(FileRejected, match=r"its pixels can't be read; copy it again, or leave it out"):
        images.load(view_of(tmp_path / "a.jpg", pinhole(*size)), image_px=40)


def test_a_photo_that_has_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match=r"it is not there any more"):
        images.load(view_of(tmp_path / "a.jpg", pinhole()))


def test_a_decompression_bomb_is_refused_before_a_pixel_is_read(tmp_path: Path) -> None:
    Image.new("1", (30_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(FileRejected, match=r"it claims more than the 200 million pixels"):
        images.load(view_of(tmp_path / "a.png", pinhole(30_000, 10_000)))


def test_a_photo_of_another_shape_than_its_camera_is_refused(photo: Path) -> None:
    with pytest.raises(FileRejected, match=r"it is 96 x 72 pixels, its camera 96 x 96, of another shape"):
        images.load(view_of(photo, pinhole(96, 96)))


def test_a_camera_of_the_full_size_fits_the_reduced_photo(photo: Path) -> None:
    full = dataclasses.replace(pinhole(), width=960, height=720, K=pinhole().K * [[10], [10], [1]])
    loaded = images.load(view_of(photo, full))
    assert np.allclose(loaded.camera.K, pinhole().K)


def test_the_thumbnail_in_the_exif_is_never_taken_for_the_photo(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (160, 120), (255, 0, 0)).save(stream, "JPEG")
    small = stream.getvalue()
    entries = [(0x0103, 3, 6 << 16), (0x0201, 4, 56), (0x0202, 4, len(small))]  # JPEG, where, how long
    second = struct.pack(">H", 3) + b"".join(
        struct.pack(">HHII", tag, kind, 1, v) for tag, kind, v in entries
    )
    head = struct.pack(">2sHIHII", b"MM", 42, 8, 0, 14, 0)[:14] + second + bytes(4)
    exif = b"Exif\0\0" + head.ljust(56, b"\0") + small
    for size in ((320, 240), (1280, 1024)):
        Image.new("RGB", size, (0, 0, 255)).save(tmp_path / "a.jpg", exif=exif)
        with rasterio.open(tmp_path / "a.jpg") as dataset:
            assert size[0] // 160 in dataset.overviews(1)
        for image_px in (0, 160, 40):
            rgb = images.load(view_of(tmp_path / "a.jpg", pinhole(*size)), image_px=image_px).rgb
            assert rgb[..., 0].max() < 10, (size, image_px)


def test_real_photos_load_at_every_size(real_data: Path) -> None:
    from geolab.splats import scene

    view = scene.open_scene(real_data / "posed_banana").views[0]
    whole = images.load(view)
    assert whole.rgb.shape == (1000, 1504, 3)
    assert whole.mask is not None
    assert whole.mask.mean() > 0.99
    small = images.load(view, image_px=376)
    blocks = whole.rgb.reshape(250, 4, 376, 4, 3).mean(axis=(1, 3))
    assert np.abs(small.rgb - blocks).mean() < 1.5
