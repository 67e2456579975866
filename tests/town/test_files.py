"""The files of a town."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from geolab import town
from geolab.errors import BadInput

SHAPE = (96, 144)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> town.Written:
    return town.write(tmp_path_factory.mktemp("town") / "new" / "folder", seed=2, size_px=SHAPE, photos=0)


def test_images_are_named_by_their_dates_and_say_what_they_are(written: town.Written) -> None:
    pair = town.pair(2, SHAPE)
    for path, pixels, date in zip(
        (written.before, written.after), (pair.before, pair.after), pair.dates, strict=True
    ):
        assert path.name == f"town-{date:%Y-%m-%d}.tif"
        with rasterio.open(path) as image:
            np.testing.assert_array_equal(image.read(), pixels)
            assert image.descriptions == ("red", "green", "blue", "nir")
            assert image.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            assert image.colorinterp[3] != ColorInterp.alpha
            assert image.nodata is None
            assert image.profile["tiled"]
            assert image.compression.name == "deflate"
            assert image.crs.to_epsg() == 32632
            assert image.transform == pair.transform
            assert image.tags()["TIFFTAG_DATETIME"] == f"{date:%Y:%m:%d %H:%M:%S}"
            assert image.tags()["GEOLAB_ROLE"] == "image"


def test_truth_lies_on_the_images_grid(written: town.Written) -> None:
    pair = town.pair(2, SHAPE)
    with rasterio.open(written.change) as label:
        np.testing.assert_array_equal(label.read(1), pair.change)
        assert label.transform == pair.transform
        assert label.tags()["GEOLAB_ROLE"] == "label"
        assert label.tags()["GEOLAB_START"] == f"{pair.dates[0]:%Y-%m-%dT%H:%M:%SZ}"
        assert label.tags()["GEOLAB_END"] == f"{pair.dates[1]:%Y-%m-%dT%H:%M:%SZ}"
    for path, heights in ((written.dsm_before, pair.dsm_before), (written.dsm_after, pair.dsm_after)):
        with rasterio.open(path) as dsm:
            np.testing.assert_array_equal(dsm.read(1), heights)
            assert dsm.tags()["GEOLAB_ROLE"] == "dsm"
            assert "ellipsoid" in dsm.tags()["VERTICAL_DATUM"]
            assert dsm.units == ("metre",)


def test_nothing_else_is_written_and_no_path_is_in_the_files(written: town.Written) -> None:
    names = {p.name for p in written.folder.iterdir()}
    assert names == {
        p.name for p in (written.before, written.after, written.change, written.dsm_before, written.dsm_after)
    } | {"README.txt"}
    assert written.photos == ()
    assert written.cameras is None
    for path in written.folder.iterdir():
        assert str(written.folder).encode() not in path.read_bytes()


def test_writing_again_replaces_our_files_with_the_same_bytes_and_leaves_others(
    written: town.Written, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "change.tif").write_text("old")
    again = town.write(tmp_path, seed=2, size_px=SHAPE, photos=0)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for name in ("before", "after", "change", "dsm_before", "dsm_after", "readme"):
        assert getattr(again, name).read_bytes() == getattr(written, name).read_bytes(), name


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(BadInput, match="a folder, or a name that is free"):
            town.write(folder, size_px=64, photos=0)


@pytest.mark.parametrize("photos", [-1, 1.5, True, 501])
def test_bad_photo_counts_are_refused_before_anything_is_written(tmp_path: Path, photos: object) -> None:
    with pytest.raises(BadInput, match="photos"):
        town.write(tmp_path / "town", size_px=64, photos=photos)  # type: ignore[arg-type]
    assert not (tmp_path / "town").exists()


def test_the_note_names_every_file(written: town.Written) -> None:
    text = written.readme.read_text()
    for path in (written.before, written.after, written.change, written.dsm_before, written.dsm_after):
        assert path.name in text
    assert "fictitious" in text
