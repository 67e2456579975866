from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geolab import raster
from geolab.errors import FileRejected, NotFound


def test_a_header_says_what_was_written(make, pixels):
    path = make(nodata=0, names=("red", "green", "blue"), tags={"GEOLAB_ROLE": "image"})

    info = raster.read_info(path)

    assert (info.width, info.height, info.count, info.dtype) == (90, 70, 3, "uint8")
    assert info.shape == pixels.shape[1:]
    assert info.nodata == 0
    assert info.band_names == ("red", "green", "blue")
    assert info.tags["GEOLAB_ROLE"] == "image"
    assert info.bounds == (600_000, 3_500_000 - 350, 600_270, 3_500_000)
    assert info.driver == "GTiff"


def test_alpha_is_no_data_band(make):
    data = np.ones((4, 20, 30), np.uint8)
    info = raster.read_info(make(data=data, colorinterp=("red", "green", "blue", "alpha")))
    assert info.data_bands == (1, 2, 3)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        raster.read_info(tmp_path / "nowhere.tif")


@pytest.mark.parametrize(
    "content,reason",
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\n <html><body>Not found</body></html>", "web page"),
        (b"hello world", "plain text"),
        (b"II*\x00\x08\x00", "TIFF whose header"),
        (b"PK\x03\x04aaaa", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(range(256)), "not in a raster format"),
    ],
)
def test_what_is_no_raster_is_named(tmp_path, content, reason):
    path = tmp_path / "image.tif"
    path.write_bytes(content)
    with pytest.raises(FileRejected) as caught:
        raster.read_info(path)
    assert reason in caught.value.reason


def test_a_vrt_is_refused_since_it_may_name_any_file(make, tmp_path):
    target = make("secret.tif")
    vrt = tmp_path / "harmless.tif"
    vrt.write_text(
        '<VRTDataset rasterXSize="90" rasterYSize="70"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{target}</SourceFilename>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(FileRejected, match="VRT"):
        raster.read_info(vrt)


def test_names_with_a_meaning_for_other_programs_are_only_names(make, tmp_path):
    for name in ("zip+a!b.tif", "a:b.tif", "naïve ünï.tif"):
        assert raster.read_info(make(name)).count == 3
    assert Path(tmp_path, "zip+a!b.tif").exists()
