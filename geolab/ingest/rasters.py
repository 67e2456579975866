"""Rasters: what is refused and why, and the fields that describe the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rasterio.enums import WktVersion

from geolab import raster, store
from geolab.errors import FileRejected
from geolab.ingest import dates
from geolab.ingest.dates import Taken
from geolab.raster import Info

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
NAME = "data.tif"
ROLES = ("image", "label", "dsm")  # that the tag GEOLAB_ROLE may name

LARGEST_BLOCK_BYTES = 1 << 30  # one block is decoded in memory
LARGEST_BYTES = 1 << 43
BOMB_BYTES, BOMB_RATIO = 1 << 33, 5000  # more pixels than this from so small a file is no image

# eo:common_name of the eo extension 2.0
_COMMON_NAMES = frozenset(
    [
        *("pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071"),
        *("rededge075", "rededge078", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22"),
        *("lwir", "lwir11", "lwir12"),
    ]
)
_COMPLEX = {"complex64": "cfloat32", "complex128": "cfloat64", "complex_int16": "cint16"}
_DATA_TYPES = frozenset(
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()  # noqa: SIM905
)


def check_header(info: Info, size_bytes: int) -> None:
    """Nothing, if the header describes a raster that lies somewhere on Earth. Raises FileRejected."""
    reason = _refused_size(info, size_bytes) or _refused_place(info)
    if reason:
        raise FileRejected(info.uri, reason)


def _refused_size(info: Info, size_bytes: int) -> str | None:
    if info.count == 0:
        return None  # check_content names the parts of a container
    total = info.width * info.height * info.count * _item_bytes(info)
    if total > LARGEST_BYTES or (total > BOMB_BYTES and total > BOMB_RATIO * size_bytes):
        return (
            f"its header claims {info.width} x {info.height} px in {info.count} bands ({total / 1e9:.0f} GB) "
            f"but the file has {size_bytes} bytes; it is damaged or hostile"
        )
    block = math.prod(info.block_shape) * _item_bytes(info) * info.count
    if block > LARGEST_BLOCK_BYTES:
        return (
            f"its blocks of {info.block_shape[1]} x {info.block_shape[0]} px are too large to read; "
            "tile it first: gdal_translate -co TILED=YES IN OUT"
        )
    return None


def _item_bytes(info: Info) -> int:
    digits = "".join(c for c in info.dtype if c.isdigit())
    return max(1, int(digits or 8) // 8) * (2 if info.dtype == "complex_int16" else 1)


def _refused_place(info: Info) -> str | None:
    if info.count == 0:
        return None
    if info.crs is None and not info.has_transform:
        if info.has_gcps or info.has_rpcs:
            points = "ground control points" if info.has_gcps else "RPCs"
            return f"it has {points} but no grid; rectify it first: gdalwarp -r bilinear IN OUT"
        return (
            "it has no georeference (neither CRS nor transform); add one: "
            "gdal_edit.py -a_srs EPSG:... -a_ullr LEFT TOP RIGHT BOTTOM FILE"
        )
    if info.crs is None:
        return "it has a transform but no CRS; assign one: gdal_edit.py -a_srs EPSG:... FILE"
    if not info.has_transform:
        return (
            "it has a CRS but no transform, so its place is unknown; assign one: "
            "gdal_edit.py -a_ullr LEFT TOP RIGHT BOTTOM FILE"
        )
    if not (info.crs.is_geographic or info.crs.is_projected):
        name = raster.crs_name(info.crs)
        return f"its CRS ({name}) is not tied to the Earth; assign one: gdal_edit.py -a_srs EPSG:... FILE"
    return _refused_transform(info)


def _refused_transform(info: Info) -> str | None:
    numbers = (*info.transform[:6], info.transform.determinant)
    if not all(map(math.isfinite, numbers)) or info.transform.determinant == 0:
        return (
            "its transform gives pixels no area; repair it: gdal_edit.py -a_ullr LEFT TOP RIGHT BOTTOM FILE"
        )
    west, south, east, north = info.bounds
    slack = 1.0  # degree: the outer half of a pixel may stand out
    possible = -90 - slack <= south and north <= 90 + slack and -360 - slack <= west and east <= 540 + slack
    if info.crs is None or not info.crs.is_geographic or possible:
        return None
    return (
        f"its coordinates ({west:g}, {south:g} to {east:g}, {north:g}) can't be degrees, as its CRS "
        f"({raster.crs_name(info.crs)}) says; assign the right one: gdal_edit.py -a_srs EPSG:... FILE"
    )


def check_pixels(uri: str) -> None:
    """Nothing, if every pixel can be read and some hold a value. Raises FileRejected."""
    if not raster.check_content(uri).any_valid:
        raise FileRejected(
            uri,
            "every pixel is nodata, there is no image; "
            "if the nodata value is wrong: gdal_edit.py -unsetnodata FILE",
        )


def write_object(uri: str, target: Path) -> None:
    """Write the raster as a COG; the bytes of a file that already is a sound one are kept.

    Overviews that no longer show the pixels are made anew.
    """
    alone = len(raster.read_info(uri).files) == 1
    if alone and raster.is_cog(uri) and not raster.stale_overviews(uri):
        store.put_file(uri, str(target))
    else:
        raster.make_cog(uri, target)


# ---------------------------------------------------------------- fields of the item


def grid_properties(info: Info) -> dict[str, Any]:
    """gsd and proj:* of a raster."""
    left, bottom, right, top = info.bounds
    properties: dict[str, Any] = {
        "gsd": float(f"{raster.gsd_m(info):.9g}"),
        "proj:shape": list(info.shape),
        "proj:transform": list(info.transform[:6]),
        "proj:bbox": [left, bottom, right, top],
    }
    assert info.crs is not None
    authority = info.crs.to_authority()
    if authority is not None:
        return properties | {"proj:code": ":".join(authority)}
    return properties | {"proj:code": None, "proj:wkt2": info.crs.to_wkt(version=WktVersion.WKT2_2019)}


def bands(info: Info) -> list[dict[str, Any]]:
    """STAC `bands` of a raster."""
    return [_band(info, index) for index in range(info.count)]


def _band(info: Info, index: int) -> dict[str, Any]:
    name, dtype = info.band_names[index], info.dtypes[index]
    band: dict[str, Any] = {"name": name, "data_type": _data_type(dtype)}
    if info.nodata is not None:
        band["nodata"] = info.nodata if math.isfinite(info.nodata) else str(info.nodata)
    common = next((c for c in (name.lower(), info.colorinterp[index]) if c in _COMMON_NAMES), None)
    if common:
        band["eo:common_name"] = common
    if (info.scales[index], info.offsets[index]) != (1.0, 0.0):
        band |= {"raster:scale": info.scales[index], "raster:offset": info.offsets[index]}
    return band


def _data_type(dtype: str) -> str:
    return _COMPLEX.get(dtype) or (dtype if dtype in _DATA_TYPES else "other")


def taken(info: Info) -> Taken | None:
    """When it was taken, as its tags say."""
    return dates.from_tags(info.tags)


def role(tags: Mapping[str, str], warnings: list[str]) -> str:
    """What the raster is, by its tag GEOLAB_ROLE; 'image' without one."""
    named = tags.get("GEOLAB_ROLE", "image").strip().lower()
    if named in ROLES:
        return named
    warnings.append(f"the tag GEOLAB_ROLE is '{named[:40]}', none of {', '.join(ROLES)}; taken as image")
    return "image"


def interval(tags: Mapping[str, str], warnings: list[str]) -> tuple[str, str] | None:
    """Begin and end of what the raster describes, by its tags GEOLAB_START and GEOLAB_END, RFC 3339."""
    if "GEOLAB_START" not in tags and "GEOLAB_END" not in tags:
        return None
    start, end = (dates.parse(tags.get(name, "")) for name in ("GEOLAB_START", "GEOLAB_END"))
    if start is None or end is None or start > end:
        warnings.append("the tags GEOLAB_START and GEOLAB_END are no interval of two dates; not used")
        return None
    return dates.rfc3339(start), dates.rfc3339(end)
