"""Labelled pairs: layouts, what label values mean, splits by place, windows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from geolab.change import pairs
from geolab.change.pairs import UNKNOWN, PairSet, Part
from geolab.change.pairs.reader import Reader
from geolab.change.pairs.split import by_name, by_place
from geolab.change.windows import Span, reflect
from geolab.errors import BadInput, FileRejected, GridMismatch, NotFound

Written = Callable[..., Path]


def ids(part: Part) -> list[str]:
    return [block.pair.id for block in part.blocks]


def write_tif(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **options) as dataset:
        dataset.write(pixels)


def one_scene(folder: Path, label: np.ndarray, seed: int = 0, **options: object) -> Path:
    rng = np.random.default_rng(seed)
    for kind in ("A", "B"):
        pixels = rng.integers(0, 4000, (2, *label.shape)).astype(np.uint16)
        write_tif(folder / kind / "scene.tif", pixels, **options)
    write_tif(folder / "label" / "scene.tif", label[None], **options)
    return folder


def sparse_label(height: int, width: int, *values: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.choice(np.array(values, dtype=np.uint8), (height, width))


# ---------------------------------------------------------------- layouts and splits


def test_lists_say_which_pair_is_in_which_part(tmp_path: Path, write_pairs: Written) -> None:
    folder = write_pairs(tmp_path, count=5)
    (folder / "list").mkdir()
    for name, text in {"train": "03\n00.png\n\n", "val": "04.png\n", "test": "01\n"}.items():
        (folder / "list" / f"{name}.txt").write_text(text)
    found = pairs.open_pairs(folder)
    assert (ids(found.train), ids(found.val), ids(found.test)) == (["00", "03"], ["04"], ["01"])


def test_folders_of_parts_are_read_as_levir_cd_ships_them(tmp_path: Path, write_pairs: Written) -> None:
    for number, part in enumerate(("train", "val", "test")):
        write_pairs(tmp_path / part, count=2, first=2 * number)
    found = pairs.open_pairs(tmp_path)
    assert ids(found.train) == ["train/00", "train/01"]
    assert ids(found.test) == ["test/04", "test/05"]


def test_without_lists_the_names_are_cut_into_three_runs(tmp_path: Path, write_pairs: Written) -> None:
    found = pairs.open_pairs(write_pairs(tmp_path, count=10))
    assert ids(found.train) == ["00", "01", "02", "03", "04", "05"]
    assert ids(found.val) == ["06", "07"]
    assert ids(found.test) == ["08", "09"]


def test_a_missing_list_is_cut_from_the_end_of_the_training_names(
    tmp_path: Path, write_pairs: Written
) -> None:
    folder = write_pairs(tmp_path, count=7)
    (folder / "list").mkdir()
    (folder / "list" / "train.txt").write_text("\n".join(f"0{i}" for i in range(5)))
    (folder / "list" / "test.txt").write_text("05\n06")
    found = pairs.open_pairs(folder)
    assert (ids(found.train), ids(found.val), ids(found.test)) == (
        ["00", "01", "02", "03"],
        ["04"],
        ["05", "06"],
    )


def test_runs_of_names_keep_every_name_once_and_no_part_empty() -> None:
    for count in range(3, 40):
        names = list(range(count))
        runs = by_name(names)
        assert [n for part in ("train", "val", "test") for n in runs[part]] == names
        assert all(runs.values())


def test_one_scene_is_cut_by_place_with_a_gap_that_belongs_to_none(tmp_path: Path) -> None:
    found = pairs.open_pairs(one_scene(tmp_path, sparse_label(90, 700, 0, 1)))
    blocks = [part.blocks[0] for part in (found.train, found.val, found.test)]
    assert all((b.rows.start, b.rows.stop) == (0, 90) for b in blocks)
    assert blocks[0].cols.start == 0
    assert blocks[2].cols.stop == 700
    for left, right in pairwise(blocks):
        assert right.cols.start - left.cols.stop >= pairs.GAP_PX
    recorded = found.manifest["parts"]["test"][0]
    assert recorded["cols"] == [blocks[2].cols.start, 700]
    assert len(recorded["before"]) == 64


def test_the_cut_goes_across_the_longer_axis_in_the_ratio_of_the_shares() -> None:
    tall = by_place(4096, 500, gap_px=64, what="x")
    wide = by_place(500, 4096, gap_px=64, what="x")
    for part, (rows, cols) in tall.items():
        assert (cols.start, cols.stop) == (0, 500)
        assert wide[part] == (cols, rows)
    usable = 4096 - 128
    assert tall["train"][0].size == pytest.approx(0.60 * usable, abs=33)
    assert tall["test"][0].size == pytest.approx(0.25 * usable, abs=65)


def test_the_smallest_scene_that_can_be_split_has_a_cell_in_every_part() -> None:
    assert {span.size for span, _ in by_place(224, 50, gap_px=64, what="x").values()} == {32}


def test_a_scene_too_small_to_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"pair scene: found 120 x 223 px, expected at least 224 px"):
        pairs.open_pairs(one_scene(tmp_path, sparse_label(223, 120, 0, 1)))


@pytest.mark.parametrize("kind", ["A", "B", "label"])
def test_a_missing_partner_is_named(tmp_path: Path, write_pairs: Written, kind: str) -> None:
    folder = write_pairs(tmp_path, count=4)
    (folder / kind / "02.png").unlink()
    with pytest.raises(NotFound, match=f"no file '{kind}/02'"):
        pairs.open_pairs(folder)


def test_a_pair_of_other_size_is_named(tmp_path: Path, write_pairs: Written) -> None:
    folder = write_pairs(tmp_path, count=4)
    write_pairs(tmp_path / "other", count=1, shape=(40, 64))
    (tmp_path / "other" / "B" / "00.png").replace(folder / "B" / "02.png")
    with pytest.raises(BadInput, match=r"B/02.png: found 64 x 40 px, expected 64 x 96 px, as A/02.png has"):
        pairs.open_pairs(folder)


def test_geotiffs_on_other_grids_are_refused(tmp_path: Path) -> None:
    grid = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 600000, 0, -0.5, 5000000)}
    folder = one_scene(tmp_path, sparse_label(90, 700, 0, 1), **grid)
    moved = grid | {"transform": Affine(0.5, 0, 600010, 0, -0.5, 5000000)}
    write_tif(folder / "B" / "scene.tif", np.zeros((2, 90, 700), np.uint16), **moved)
    with pytest.raises(GridMismatch):
        pairs.open_pairs(folder)


def test_a_list_with_an_unknown_name_is_refused(tmp_path: Path, write_pairs: Written) -> None:
    folder = write_pairs(tmp_path, count=4)
    (folder / "list").mkdir()
    (folder / "list" / "train.txt").write_text("00\n../../etc/passwd\n")
    with pytest.raises(NotFound, match=r"no pair 'passwd'.*list/train.txt"):
        pairs.open_pairs(folder)


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="pairs lie in A/, B/ and label/"):
        pairs.open_pairs(tmp_path)


# ---------------------------------------------------------------- labels


def decoded(found: PairSet, name: str = "train") -> np.ndarray:
    part = getattr(found, name)
    return np.concatenate([t.label.ravel() for t in part.tiles(64, halo_px=0, multiple_px=1)])


def test_labels_of_0_and_255_mean_unchanged_and_changed(tmp_path: Path, write_pairs: Written) -> None:
    found = pairs.open_pairs(write_pairs(tmp_path, changed=255))
    assert set(np.unique(decoded(found))) == {0, 1}
    assert found.manifest["labels"] == {"changed": 255, "ignore": None}


def test_in_labels_of_0_and_1_the_value_255_is_unlabelled(tmp_path: Path) -> None:
    found = pairs.open_pairs(one_scene(tmp_path, sparse_label(90, 700, 0, 1, 255)))
    assert set(np.unique(decoded(found))) == {0, 1, UNKNOWN}
    assert found.train.labelled < found.train.pixels


def test_another_ignore_value_can_be_given(tmp_path: Path) -> None:
    folder = one_scene(tmp_path, sparse_label(90, 700, 0, 7, 255))
    found = pairs.open_pairs(folder, ignore=7)
    assert set(np.unique(decoded(found))) == {0, 1, UNKNOWN}
    with pytest.raises(BadInput, match=r"label scene \(scene.tif\): found values 0, 7, 255, expected 0/255"):
        pairs.open_pairs(folder)


def test_an_image_in_place_of_a_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match="not a label: more than 64 values"):
        pairs.open_pairs(one_scene(tmp_path, sparse_label(90, 700, *range(200))))


def test_a_part_without_change_is_refused(tmp_path: Path) -> None:
    label = sparse_label(90, 700, 0, 1)
    label[:, 350:] = 0
    with pytest.raises(BadInput, match="labels of the val part: found only unchanged pixels"):
        pairs.open_pairs(one_scene(tmp_path, label))


def test_counts_of_changed_and_labelled_pixels_are_those_of_the_blocks(tmp_path: Path) -> None:
    label = sparse_label(101, 700, 0, 1, 255)
    found = pairs.open_pairs(one_scene(tmp_path, label))
    for part in (found.train, found.val, found.test):
        inside = label[:, part.blocks[0].cols.start : part.blocks[0].cols.stop]
        assert (part.changed, part.labelled) == ((inside == 1).sum(), (inside != 255).sum())


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_images_of_every_usual_format_are_read(tmp_path: Path, write_pairs: Written, suffix: str) -> None:
    found = pairs.open_pairs(write_pairs(tmp_path, suffix=suffix))
    sample = found.train.draw(np.random.default_rng(0), tile_px=32)
    assert sample.before.shape == sample.after.shape == (3, 32, 32)
    assert sample.label.shape == (32, 32)
    assert len(found.bands) == 3


def test_drawn_windows_lie_in_their_block_and_hold_its_pixels(tmp_path: Path) -> None:
    label = sparse_label(90, 700, *([0] * 60), 1)
    folder = one_scene(tmp_path, label)
    found = pairs.open_pairs(folder)
    with rasterio.open(folder / "A" / "scene.tif") as dataset:
        whole = dataset.read()
    cols = found.train.blocks[0].cols
    rng = np.random.default_rng(0)
    for _ in range(50):
        sample = found.train.draw(rng, tile_px=48, changed_share=1.0)
        at = np.argwhere(whole[0, : 90 - 47, : cols.stop - 47] == sample.before[0, 0, 0])
        places = [(y, x) for y, x in at if np.array_equal(whole[:, y : y + 48, x : x + 48], sample.before)]
        assert len(places) == 1, "inside of the training block, at one place"
        y, x = places[0]
        assert np.array_equal(sample.label, label[y : y + 48, x : x + 48])


def test_windows_are_laid_around_rare_change(tmp_path: Path) -> None:
    label = np.zeros((90, 1500), dtype=np.uint8)
    label[10:13, 100:103] = label[40:50, 1000:1010] = label[20:30, 1300:1310] = 1
    found = pairs.open_pairs(one_scene(tmp_path, label))
    rng = np.random.default_rng(0)

    def hits(share: float) -> int:
        drawn = (found.train.draw(rng, tile_px=64, changed_share=share) for _ in range(60))
        return sum(bool((s.label == 1).any()) for s in drawn)

    assert hits(1.0) > 40
    assert hits(0.0) < 20


def test_a_block_smaller_than_the_window_is_filled_with_unknown(tmp_path: Path, write_pairs: Written) -> None:
    found = pairs.open_pairs(write_pairs(tmp_path, shape=(40, 72)))
    sample = found.train.draw(np.random.default_rng(0), tile_px=64)
    assert sample.before.shape == (3, 64, 64)
    assert np.isnan(sample.before[:, 40:]).all()
    assert (sample.label[40:] == UNKNOWN).all()
    assert np.isfinite(sample.before[:, :40]).all()


def test_the_same_generator_draws_the_same_windows(tmp_path: Path, write_pairs: Written) -> None:
    found = pairs.open_pairs(write_pairs(tmp_path))
    one, two = (found.train.draw(np.random.default_rng(5), tile_px=32) for _ in range(2))
    assert np.array_equal(one.before, two.before)
    assert np.array_equal(one.label, two.label)


def test_tiles_with_context_are_windows_of_the_reflected_whole(tmp_path: Path) -> None:
    folder = one_scene(tmp_path, sparse_label(90, 700, 0, 1))
    found = pairs.open_pairs(folder)
    with rasterio.open(folder / "B" / "scene.tif") as dataset:
        whole = dataset.read().astype(np.float32)
    margin = 200
    ys, xs = reflect(Span(-margin, 90 + margin), 90), reflect(Span(-margin, 700 + margin), 700)
    extended = whole[:, ys[:, None], xs]
    seen = 0
    for place in found.test.places(56):
        _, rows, cols = place
        tile = found.test.tile(place, halo_px=64, multiple_px=8)
        assert tile.after.shape[1] % 8 == tile.after.shape[2] % 8 == 0
        core = tile.after[:, *tile.core]
        assert np.array_equal(core, whole[:, rows.start : rows.stop, cols.start : cols.stop])
        top, left = rows.start - tile.core[0].start + margin, cols.start - tile.core[1].start + margin
        high, wide = tile.after.shape[1:]
        assert np.array_equal(tile.after, extended[:, top : top + high, left : left + wide])
        seen += tile.label.size
    assert seen == found.test.pixels


def test_reading_from_memory_is_reading_from_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 5, (2, 1100, 70)).astype(np.int16)
    write_tif(tmp_path / "image.tif", pixels, nodata=3)
    uri = str(tmp_path / "image.tif")
    cached, direct = Reader(), Reader(cache_bytes=0)
    for rows, cols in ((Span(0, 1100), Span(0, 70)), (Span(500, 530), Span(11, 44))):
        one, two = cached.read(uri, rows, cols), direct.read(uri, rows, cols)
        np.testing.assert_array_equal(one, two)
        assert np.isnan(one).sum() == (pixels[:, rows.start : rows.stop, cols.start : cols.stop] == 3).sum()


def test_images_that_do_not_fit_in_memory_together_are_read_again(
    tmp_path: Path, write_pairs: Written
) -> None:
    folder = write_pairs(tmp_path, count=6)
    small, large = Reader(cache_bytes=50_000), Reader()
    for _ in range(2):
        for number in range(6):
            uri = str(folder / "A" / f"0{number}.png")
            window = (Span(3, 40), Span(5, 60))
            assert np.array_equal(small.read(uri, *window), large.read(uri, *window))


def test_the_scaling_is_that_of_the_training_part_alone(tmp_path: Path) -> None:
    folder = one_scene(tmp_path, sparse_label(90, 700, 0, 1))
    with rasterio.open(folder / "A" / "scene.tif", "r+") as dataset:
        pixels = dataset.read()
        pixels[:, :, 400:] = 60000  # outside of the training block
        dataset.write(pixels)
    found = pairs.open_pairs(folder)
    scaling = pairs.preprocessing(found)
    stop = found.train.blocks[0].cols.stop
    dates = []
    for kind in ("A", "B"):
        with rasterio.open(folder / kind / "scene.tif") as dataset:
            dates.append(dataset.read()[:, :, :stop].reshape(2, -1).astype(np.float64))
    both = np.concatenate(dates, axis=1)
    np.testing.assert_allclose(scaling.mean, both.mean(axis=1))
    np.testing.assert_allclose(scaling.std, both.std(axis=1))
