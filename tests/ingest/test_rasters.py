from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.control import GroundControlPoint

from geolab import catalog, ingest, raster, store
from geolab.errors import BadInput

from .conftest import run, write_raster


def pixels_of(item):
    with raster.open_raster(item["assets"]["data"]["href"]) as dataset:
        return dataset.read()


def test_a_raster_is_described_by_its_header(one, tmp_path):
    path = write_raster(
        tmp_path / "field-2024-05-06.tif", tags={"TIFFTAG_DATETIME": "2023:01:02 03:04:05"}, nodata=0
    )
    with rasterio.open(path, "r+") as out:
        out.descriptions = ("red", "green", "nir")
    item = one(path)

    found = item["properties"]
    assert (found["title"], found["geolab:role"]) == ("field-2024-05-06", "image")
    assert (found["datetime"], found["geolab:datetime_source"]) == (
        "2023-01-02T03:04:05Z",
        "tag:TIFFTAG_DATETIME",
    )
    assert (found["proj:code"], found["proj:shape"]) == ("EPSG:32650", [60, 80])
    assert found["proj:transform"] == [3, 0, 600_000, 0, -5, 3_500_000]
    assert found["gsd"] == pytest.approx(15**0.5)
    assert found["geolab:sha256"] == store.sha256(path)
    assert item["id"] == store.sha256(path)[:20]
    bands = item["assets"]["data"]["bands"]
    assert bands[2] == {"name": "nir", "data_type": "uint8", "nodata": 0, "eo:common_name": "nir"}
    assert item["geometry"]["type"] == "Polygon"


@pytest.mark.parametrize(
    "transform",
    [
        Affine(3, 0, 600_000, 0, -5, 3_500_000),
        Affine(2.6, 2.5, 600_000, 1.5, -4.3, 3_500_000),
        Affine(3, 0, 600_000, 0, 5, 3_500_000),
    ],
)
def test_the_stored_cog_has_every_pixel_on_the_same_grid(one, tmp_path, transform):
    path = write_raster(tmp_path / "a.tif", transform=transform, compress="packbits")
    item = one(path)
    href = item["assets"]["data"]["href"]
    assert raster.is_cog(href)
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(), pixels_of(item))
        assert raster.read_info(href).transform == source.transform
    assert item["assets"]["data"]["file:checksum"] == "1220" + store.sha256(href)


def test_the_bytes_of_a_sound_cog_are_kept(one, tmp_path):
    path = tmp_path / "cog.tif"
    raster.make_cog(str(write_raster(tmp_path / "a.tif", data=smooth())), path)
    assert store.read_bytes(one(path)["assets"]["data"]["href"]) == path.read_bytes()


def smooth() -> np.ndarray:
    wave = np.add.outer(np.sin(np.arange(700) / 90), np.cos(np.arange(900) / 70)) * 60 + 120
    return wave.astype(np.uint8)[None]


def test_overviews_that_lie_are_made_anew(one, tmp_path):
    path = write_raster(tmp_path / "a.tif", data=smooth(), tiled=True)
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4], rasterio.enums.Resampling.average)
        out.write(255 - smooth())
    item = one(path)
    assert not raster.stale_overviews(item["assets"]["data"]["href"])
    np.testing.assert_array_equal(pixels_of(item), 255 - smooth())


@pytest.mark.parametrize("role", ["label", "dsm", "image"])
def test_tags_tell_the_role_and_the_interval(one, tmp_path, role):
    tags = {"GEOLAB_ROLE": role, "GEOLAB_START": "2020-01-02", "GEOLAB_END": "2023-04-05T06:07:08Z"}
    found = one(write_raster(tmp_path / "a.tif", tags=tags))["properties"]
    assert found["geolab:role"] == role
    assert found["datetime"] is None
    assert (found["start_datetime"], found["end_datetime"]) == (
        "2020-01-02T00:00:00Z",
        "2023-04-05T06:07:08Z",
    )


def test_tags_that_make_no_sense_are_warnings(one, tmp_path):
    tags = {"GEOLAB_ROLE": "weapon", "GEOLAB_START": "2024-01-02", "GEOLAB_END": "2023-04-05"}
    found = one(write_raster(tmp_path / "a.tif", tags=tags))["properties"]
    assert found["geolab:role"] == "image"
    assert len(found["geolab:warnings"]) == 2


def test_a_role_given_by_hand_wins(one, tmp_path):
    path = write_raster(tmp_path / "a.tif", tags={"GEOLAB_ROLE": "dsm"})
    assert one(path, role="label")["properties"]["geolab:role"] == "label"
    with pytest.raises(BadInput, match="one of image, label"):
        one(path, role="photograph")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "options,reason",
    [
        ({"crs": None}, "transform but no CRS"),
        ({"transform": Affine.identity()}, "CRS but no transform"),
        ({"crs": None, "transform": Affine.identity()}, "neither CRS nor transform"),
        ({"crs": "EPSG:4326"}, "can't be degrees"),
        ({"transform": Affine(3, 6, 600_000, 1, 2, 3_500_000)}, "no area"),
        ({"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "not tied to the Earth"),
        ({"transform": Affine(1e9, 0, 1e12, 0, -1e9, 1e12)}, "not on Earth"),
        ({"data": np.zeros((1, 20, 30), np.uint8), "nodata": 0}, "every pixel is nodata"),
        ({"data": np.full((1, 20, 30), np.nan, np.float32)}, "every pixel is nodata"),
    ],
)
def test_rasters_that_lie_nowhere_or_hold_nothing_are_refused(refused, tmp_path, options, reason):
    said = refused(write_raster(tmp_path / "a.tif", **options))
    assert reason in said
    assert ";" in said  # a remedy follows


def test_ground_control_points_need_a_rectification(refused, tmp_path):
    path = write_raster(tmp_path / "a.tif", crs=None, transform=None)
    points = [GroundControlPoint(r, c, 9 + c / 100, 49 - r / 100) for r in (0, 60) for c in (0, 80)]
    with rasterio.open(path, "r+") as out:
        out.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    assert "gdalwarp" in refused(path)


def test_a_bomb_is_refused_by_its_header(refused, tmp_path):
    path = tmp_path / "bomb.tif"
    profile = {"driver": "GTiff", "width": 400_000, "height": 300_000, "count": 3, "dtype": "uint16"}
    with rasterio.open(
        path, "w", crs="EPSG:32650", transform=Affine(3, 0, 600_000, 0, -5, 3_500_000), tiled=True,
        blockxsize=4096, blockysize=4096, SPARSE_OK=True, BIGTIFF=True, **profile,
    ):  # fmt: skip
        pass
    assert path.stat().st_size < 5_000_000
    assert "header claims 400000 x 300000 px" in refused(path)


def test_blocks_too_large_for_memory_are_refused(refused, tmp_path):
    path = tmp_path / "strip.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=50_000, height=40_000, count=1, dtype="uint8", crs="EPSG:32650",
        transform=Affine(3, 0, 600_000, 0, -5, 3_500_000), tiled=True, blockxsize=40_000, blockysize=40_000,
        SPARSE_OK=True, compress="deflate",
    ):  # fmt: skip
        pass
    assert "TILED=YES" in refused(path)


def test_a_vrt_is_refused(refused, tmp_path):
    path = tmp_path / "a.vrt"
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"/>')
    assert "VRT" in refused(path)


# ---------------------------------------------------------------- what a file is


def test_a_geotiff_named_jpg_is_a_raster(one, tmp_path):
    item = one(write_raster(tmp_path / "a.jpg"))
    assert item["properties"]["geolab:role"] == "image"
    assert item["properties"]["proj:code"] == "EPSG:32650"


def test_a_png_with_world_file_and_aux_is_a_raster(one, refused, tmp_path):
    path = tmp_path / "map.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path)
    (tmp_path / "map.pgw").write_text("3\n0\n0\n-5\n600001.5\n3499997.5\n")
    assert "no CRS" in refused(path)
    srs = rasterio.crs.CRS.from_epsg(32650).to_wkt()
    (tmp_path / "map.png.aux.xml").write_text(
        f"<PAMDataset><SRS>{srs}</SRS></PAMDataset>".replace('"', "&quot;")
    )
    item = one(path)
    assert item["properties"]["proj:transform"] == [3, 0, 600_000, 0, -5, 3_500_000]
    assert item["id"] != store.sha256(path)[:20]  # the world file is part of the content


def test_statistics_left_by_a_viewer_change_nothing(one, tmp_path):
    path = write_raster(tmp_path / "a.tif")
    before = one(path)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">5</MDI></Metadata>'
        "</PAMRasterBand></PAMDataset>"
    )
    assert one(path) == before
    assert before["id"] == store.sha256(path)[:20]


def test_an_external_mask_is_part_of_the_content(one, tmp_path):
    path = write_raster(tmp_path / "a.tif")
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 255
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as out:
        out.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists()
    with raster.open_raster(one(path)["assets"]["data"]["href"]) as stored:
        np.testing.assert_array_equal(stored.dataset_mask(), mask)


def test_an_envi_image_brings_its_header(workspace, tmp_path):
    write_raster(tmp_path / "scene", driver="ENVI")
    assert {p.name for p in tmp_path.iterdir()} >= {"scene", "scene.hdr"}
    (outcome,) = run(workspace, tmp_path)
    item = catalog.open_catalog(workspace).get(outcome.id)
    assert item["properties"]["proj:code"] == "EPSG:32650"
    assert raster.is_cog(item["assets"]["data"]["href"])


# ---------------------------------------------------------------- products


def test_a_product_stays_where_it_is(tmp_path):
    path = write_raster(tmp_path / "runs" / "mask.tif", tags={"GEOLAB_ROLE": "image"})
    item = ingest.product_item(
        str(path), item_id="mask-1", collection="results", title="Mask",
        properties={"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2021-01-01T00:00:00Z"},
        derived_from=["one", "two"],
    )  # fmt: skip
    catalog.items.validate(item)
    assert item["assets"]["data"]["href"] == path.as_uri()
    assert item["properties"]["geolab:role"] == "product"
    assert item["properties"]["proj:shape"] == [60, 80]
    assert [link["href"] for link in item["links"] if link["rel"] == "derived_from"] == [
        "#items/one",
        "#items/two",
    ]


def test_a_product_without_a_date_takes_that_of_its_header_and_its_datum(tmp_path):
    tags = {"TIFFTAG_DATETIME": "2024:05:01 10:00:00", "VERTICAL_DATUM": "EGM96"}
    path = write_raster(tmp_path / "dsm.tif", tags=tags)
    facts = {"item_id": "m", "collection": "r", "title": "M", "datetime": "2030-01-01T00:00:00Z"}
    properties = ingest.product_item(str(path), properties={}, **facts)["properties"]
    assert properties["datetime"] == "2024-05-01T10:00:00Z"
    assert properties["geolab:vertical_datum"] == "EGM96"
    bare = write_raster(tmp_path / "bare.tif")
    assert ingest.product_item(str(bare), properties={}, **facts)["properties"]["datetime"].startswith("2030")


def test_a_product_needs_a_date(tmp_path):
    path = write_raster(tmp_path / "mask.tif")
    with pytest.raises(BadInput, match="no date"):
        ingest.product_item(str(path), item_id="m", collection="r", title="M", properties={})
