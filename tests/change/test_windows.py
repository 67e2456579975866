"""The plan of tiles: it covers the scene once, with the context each tile needs."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.change.windows import CANDIDATES, Span, Tiling, bounding, reflect, sample

SHAPES = [(1, 1), (1, 700), (613, 1), (95, 130), (512, 512), (513, 1025)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "halo_px", "multiple_px"), [(64, 0, 1), (100, 30, 8), (512, 64, 16)])
def test_cores_cover_every_pixel_exactly_once(height, width, tile_px, halo_px, multiple_px):
    covered = np.zeros((height, width), int)
    tiling = Tiling(height, width, tile_px, halo_px=halo_px, multiple_px=multiple_px, panel_px=256)
    for tile in tiling:
        covered[tile.rows.start : tile.rows.stop, tile.cols.start : tile.cols.stop] += 1
    assert (covered == 1).all()
    assert len(tiling) == len(list(tiling))


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_tiles_begin_and_end_on_the_networks_own_grid_with_all_their_context(height, width):
    for tile in Tiling(height, width, 100, halo_px=30, multiple_px=8):
        for core, read in ((tile.rows, tile.read_rows), (tile.cols, tile.read_cols)):
            assert read.start % 8 == read.stop % 8 == 0
            assert core.start - read.start >= 30
            assert read.stop - core.stop >= 30
            assert read.size <= 104 + 2 * 32


def test_the_core_of_what_was_read_is_the_core():
    scene = np.arange(95 * 130).reshape(95, 130)
    for tile in Tiling(95, 130, 64, halo_px=20, multiple_px=4):
        rows, cols = reflect(tile.read_rows, 95), reflect(tile.read_cols, 130)
        core = tile.core(scene[np.ix_(rows, cols)])
        expected = scene[tile.rows.start : tile.rows.stop, tile.cols.start : tile.cols.stop]
        assert np.array_equal(core, expected)
        inner = tile.within(95, 130)
        read = scene[
            inner.read_rows.start : inner.read_rows.stop, inner.read_cols.start : inner.read_cols.stop
        ]
        assert np.array_equal(inner.core(read), expected)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("before", [0, 1, 6, 130])
def test_reflection_is_that_of_numpy(length, before):
    after = before + 3
    expected = np.pad(np.arange(length), (before, after), mode="reflect")
    assert np.array_equal(reflect(Span(-before, length + after), length), expected)


def test_what_must_be_read_for_a_reflected_span_lies_within_the_scene():
    span = bounding(reflect(Span(-40, 200), 90))
    assert (span.start, span.stop) == (0, 90)


def test_panels_keep_tiles_of_one_height_close_in_time():
    tiles = list(Tiling(1000, 5000, 100, panel_px=1000))
    for first in range(0, len(tiles), 10):
        assert tiles[first].rows.start == tiles[first + 9].rows.start
        assert tiles[first + 9].cols.stop - tiles[first].cols.start == 1000


def test_a_small_scene_is_its_own_sample():
    assert list(sample(1000, 700)) == [(Span(0, 1000), Span(0, 700))]


@pytest.mark.parametrize(("height", "width"), [(3000, 9000), (90, 90_000), (40_000, 50)])
def test_the_first_windows_of_a_sample_are_spread_over_the_whole_scene(height, width):
    windows = list(sample(height, width))
    assert len(windows) == CANDIDATES
    assert all(0 <= r.start < r.stop <= height and 0 <= c.start < c.stop <= width for r, c in windows)
    quarters = {(2 * r.start // height, 2 * c.start // width) for r, c in windows[:16]}
    expected = {
        (i, j) for i in (0, 1) for j in (0, 1) if (height > 128 or i == 0) and (width > 128 or j == 0)
    }
    assert quarters == expected
    assert windows == list(sample(height, width))
