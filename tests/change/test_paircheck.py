"""What is said of a pair before a run agrees with what the run then does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from geolab import raster
from geolab.change import detect, paircheck
from geolab.errors import GeolabError

UTM = Affine(5, 0, 500_000, 0, -5, 5_200_000)
DATES = ("2020-05-01T00:00:00Z", "2022-06-01T00:00:00Z")


def write(
    path: Path, *, bands=3, shape=(60, 80), crs="EPSG:32633", transform=UTM, dtype="uint8", plus=0
) -> str:
    pixels = np.random.default_rng(bands).integers(60, 140, (bands, *shape)) + plus
    with rasterio.open(
        path, "w", driver="GTiff", dtype=dtype, count=bands, height=shape[0], width=shape[1],
        crs=crs, transform=transform, photometric="MINISBLACK",
    ) as dataset:  # fmt: skip
        dataset.write(pixels.astype(dtype))
    return str(path)


def said(folder: Path, *, dates=DATES, align=True, **after) -> dict[str, paircheck.Finding]:
    one, two = write(folder / "1.tif"), write(folder / "2.tif", **after)
    found = paircheck.findings(raster.read_info(one), raster.read_info(two), dates=dates, align=align)
    return {each.what: each for each in found}


def runs(folder: Path, *, align=True) -> bool:
    try:
        detect.scene(str(folder / "1.tif"), str(folder / "2.tif"), folder / "out", align=align)
    except GeolabError:
        return False
    return True


@pytest.mark.parametrize(
    "after, align",
    [
        ({}, True),
        ({}, False),
        ({"bands": 4}, True),
        ({"transform": UTM @ Affine.translation(3, 1)}, True),
        ({"transform": UTM @ Affine.translation(3, 1)}, False),
        ({"shape": (61, 80)}, True),
        ({"transform": Affine(5, 0, 700_000, 0, -5, 5_300_000)}, True),
        ({"crs": None}, True),
        ({"crs": "EPSG:32634", "transform": Affine(5, 0, 43_000, 0, -5, 5_200_000), "shape": (900, 900)}, 1),
    ],
)  # fmt: skip
def test_a_pair_that_is_said_to_fail_fails_and_one_that_is_not_runs(tmp_path: Path, after: dict, align: bool):
    found = said(tmp_path, align=align, **after)
    assert paircheck.runnable(list(found.values())) == runs(tmp_path, align=align)


def test_a_good_pair_is_said_to_be_good_in_every_respect(tmp_path: Path):
    found = said(tmp_path)
    assert {each.state for each in found.values()} == {"ok"}
    assert "EPSG:32633, 5 m pixels, 80 x 60 px" in found["grid"].text
    assert found["dates"].text == "in order: 2020-05-01 and 2022-06-01"


def test_the_overlap_is_the_share_of_the_earlier_image(tmp_path: Path):
    found = said(tmp_path, transform=UTM @ Affine.translation(20, 0))  # 60 of 80 columns are left
    assert "75%" in found["overlap"].text
    assert "corners 20 px apart" in found["grid"].text
    assert "align warps after" in found["grid"].text


def test_dates_out_of_order_the_same_or_unknown_are_a_warning(tmp_path: Path):
    for dates, words in (
        (DATES[::-1], "before is later than after"),
        ((DATES[0], DATES[0]), "the same"),
        (("", DATES[1]), "one date is unknown"),
        (("", ""), "both dates are unknown"),
    ):
        found = said(tmp_path, dates=dates)["dates"]
        assert found.state == "warn"
        assert words in found.text


def test_other_units_and_other_light_are_a_warning(tmp_path: Path):
    assert said(tmp_path, dtype="uint16")["units"].state == "warn"
    one, same = write(tmp_path / "1.tif"), write(tmp_path / "2.tif")
    bright = write(tmp_path / "3.tif", plus=60)
    assert paircheck.light(one, same).state == "ok"
    found = paircheck.light(one, bright)
    assert (found.state, "brighter as a whole" in found.text) == ("warn", True)
    assert "darker" in paircheck.light(bright, one).text
