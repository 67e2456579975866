"""What an item says of itself, in words with units. Plain text throughout; nothing here is HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from geolab.errors import one_line
from geolab.maps import origin

Item = Mapping[str, Any]

LONGEST = 300  # characters of a value; the STAC JSON has all of it
_UNITS = {"m": "m", "deg": "°", "px": "px", "mm": "mm", "pct": "%", "s": "s", "m2": "m²", "db": "dB"}
_KNOWN_UNITS = {"gsd": "m", "eo:cloud_cover": "%", "eo:snow_cover": "%"} | dict.fromkeys(
    ("view:off_nadir", "view:azimuth", "view:sun_azimuth", "view:sun_elevation", "view:incidence_angle"), "°"
)
_SHOWN = {  # what `main` tells already
    "title", "description", "datetime", "start_datetime", "end_datetime", "gsd", "geolab:role", "geolab:run",
    "geolab:notebook", "geolab:result", "geolab:position", "geolab:footprint", "geolab:sources",
}  # fmt: skip
_TYPES = {
    "image/tiff; application=geotiff; profile=cloud-optimized": "Cloud-optimised GeoTIFF",
    "image/tiff; application=geotiff": "GeoTIFF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WebP picture",
    "application/json": "JSON",
    "application/geo+json": "GeoJSON",
    "application/vnd.apache.parquet": "GeoParquet",
}
_DEGREE = 111_320.0  # metres of one degree of latitude


def size(count: object) -> str:
    """A number of bytes in words: 3.71 MB; "" for what is none."""
    if not isinstance(count, int | float) or isinstance(count, bool) or not 0 <= count < 1e24:
        return ""
    number, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.3g} {unit}"


def value(name: str, given: Any) -> str:
    """A property's value with the unit that its name tells; short."""
    if given is None:
        return "none"
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, int | float):
        unit = unit_of(name)
        return number(given) + (unit if unit == "°" else f" {unit}" if unit else "")
    if isinstance(given, list) and all(isinstance(one, str | int | float) for one in given):
        return one_line(", ".join(number(one) if not isinstance(one, str) else one for one in given), LONGEST)
    return one_line(given, LONGEST)


def number(given: float) -> str:
    """A number with sensible digits: 632.35, 0.0961, 12,345."""
    if isinstance(given, int):
        return f"{given:,}" if abs(given) >= 100_000 else str(given)
    if not math.isfinite(given):
        return str(given)
    text = f"{given:,.6g}" if abs(given) < 1000 else f"{given:,.2f}".rstrip("0").rstrip(".")
    return text


def unit_of(name: str) -> str:
    """The unit of a property, by its name; "" if it has none."""
    known = _KNOWN_UNITS.get(name)
    return known if known is not None else _UNITS.get(name.rpartition("_")[2] if "_" in name else "", "")


def label(name: str) -> str:
    """A property's name in words: geolab:relative_altitude_m is Relative altitude."""
    space, _, rest = name.rpartition(":")
    words = rest.split("_")
    if len(words) > 1 and words[-1] in _UNITS:
        words.pop()
    said = one_line(" ".join(words), 80) or name
    prefix = f"{space}: " if space and space not in ("geolab", "eo", "view") else ""
    return f"{prefix}{said}" if prefix else said[:1].upper() + said[1:]


def main(item: Item) -> dict[str, str]:
    """The facts that a reader looks for first; those that the item does not tell are left out."""
    properties = item["properties"]
    told = {
        "Type": origin.role(item),
        "Time": time(item),
        "Place": place(item),
        "Coordinates": crs(properties),
        "Size": pixels(properties),
        "Resolution": resolution(properties),
        "Sources": value("", properties.get("geolab:sources") or []),
        "Collection": str(item.get("collection") or ""),
        "Id": str(item["id"]),
    }
    return {name: one_line(text, LONGEST) for name, text in told.items() if text}


def days(item: Item) -> str:
    """The day, or the first and the last; "" if none is told."""
    properties = item["properties"]
    if properties.get("datetime"):
        return _moment(properties["datetime"])[:10]
    ends = [_moment(properties.get(name))[:10] for name in ("start_datetime", "end_datetime")]
    return " to ".join(dict.fromkeys(one for one in ends if one))


def time(item: Item) -> str:
    """When: a moment in UTC, or from when to when; "" if it is not told."""
    properties = item["properties"]
    moment = properties.get("datetime")
    if moment:
        return _moment(moment)
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    return f"{_moment(start) or '…'} to {_moment(end) or '…'}" if start or end else ""


def _moment(text: object) -> str:
    found = re.match(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d))?", str(text or ""))
    if found is None:
        return ""
    return found[1] if found[2] in (None, "00:00") else f"{found[1]} {found[2]} UTC"


def place(item: Item) -> str:
    """Where: the middle of the box in degrees, and how large it is on the ground."""
    box = item.get("bbox") or ()
    if len(box) not in (4, 6) or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        return ""
    west, south, east, north = (*box[:2], *box[len(box) // 2 : len(box) // 2 + 2])
    east += 360 if east < west else 0
    latitude, longitude = (south + north) / 2, ((west + east) / 2 + 180) % 360 - 180
    wide = (east - west) * _DEGREE * math.cos(math.radians(latitude))
    high = (north - south) * _DEGREE
    middle = f"{_degrees(latitude, 'NS')}, {_degrees(longitude, 'EW')}"
    return f"{middle}, {_length(wide)} × {_length(high)}" if max(wide, high) >= 1 else middle


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):.5f}° {letters[value < 0]}"


def _length(metres: float) -> str:
    return f"{metres / 1000:.3g} km" if metres >= 1000 else f"{metres:.0f} m"


def crs(properties: Mapping[str, Any]) -> str:
    """The reference system and the vertical datum, as codes or names."""
    code = properties.get("proj:code") or properties.get("proj:epsg")
    wkt = re.match(r'\w+\["([^"]{1,80})"', str(properties.get("proj:wkt2") or ""))
    name = f"EPSG:{code}" if isinstance(code, int) else str(code or (wkt[1] if wkt else ""))
    datum = properties.get("geolab:vertical_datum")
    return ", ".join(str(one) for one in (name, f"heights: {datum}" if datum else "") if one)


def pixels(properties: Mapping[str, Any]) -> str:
    """Width and height in pixels."""
    shape = properties.get("proj:shape")
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) for n in shape):
        return f"{shape[1]:,} × {shape[0]:,} px"
    wide, high = properties.get("geolab:width_px"), properties.get("geolab:height_px")
    return f"{wide:,} × {high:,} px" if isinstance(wide, int) and isinstance(high, int) else ""


def resolution(properties: Mapping[str, Any]) -> str:
    """The side of a pixel on the ground."""
    gsd_m = properties.get("gsd")
    if not isinstance(gsd_m, int | float) or isinstance(gsd_m, bool) or not 0 < gsd_m < 1e9:
        return ""
    return f"{gsd_m * 100:.3g} cm" if gsd_m < 0.1 else f"{gsd_m:.4g} m"


def others(item: Item) -> dict[str, str]:
    """Every other property in words, by name."""
    return {
        label(name): value(name, given)
        for name, given in sorted(item["properties"].items())
        if name not in _SHOWN and not isinstance(given, dict) and given not in (None, "", [])
    }


def bands(item: Item) -> list[dict[str, str]]:
    """One row for each band of each asset: its asset, number, name, wavelength, type, nodata, scale, unit."""
    found = []
    for name, asset in item["assets"].items():
        for count, band in enumerate(asset.get("bands") or (), start=1):
            if isinstance(band, Mapping):
                found.append({"id": f"{name}/{count}", "asset": name, "band": str(count), **_band(band)})
    return found


def _band(band: Mapping[str, Any]) -> dict[str, str]:
    common, micrometres = band.get("eo:common_name"), band.get("eo:center_wavelength")
    scale, offset = band.get("raster:scale"), band.get("raster:offset")
    wave = f"{micrometres * 1000:.0f} nm" if isinstance(micrometres, int | float) else ""
    scaled = f"× {number(scale)}" if isinstance(scale, int | float) else ""
    shifted = f" + {number(offset)}" if isinstance(offset, int | float) and offset else ""
    return {
        "name": one_line(band.get("name") or common or "", 80),
        "wave": wave or (str(common) if common and common != band.get("name") else ""),
        "type": one_line(band.get("data_type") or "", 40),
        "nodata": one_line(band.get("nodata", ""), 40),
        "scale": scaled + shifted,
        "unit": one_line(band.get("unit") or "", 40),
    }


def assets(item: Item) -> list[dict[str, Any]]:
    """One row for each file: name, what it is, size in words, address of the download, checksum."""
    return [
        {
            "id": name,
            "name": one_line(asset.get("title") or name, 120),
            "kind": kind(asset),
            "size": size(asset.get("file:size")),
            "checksum": one_line(asset.get("file:checksum") or "", 140),
            "download": {"text": "Download", "href": origin.asset_url(item, name)},
        }
        for name, asset in item["assets"].items()
        if isinstance(asset, Mapping)
    ]


def kind(asset: Mapping[str, Any]) -> str:
    """What a file is, in words."""
    written = str(asset.get("type") or "")
    roles = ", ".join(str(role) for role in asset.get("roles") or ())
    return one_line(_TYPES.get(written, written or roles or "file"), 120)


def has_picture(item: Item) -> bool:
    """Whether the server can draw a small picture of the item."""
    known = [asset for asset in item["assets"].values() if isinstance(asset, Mapping)]
    return any(is_raster(asset) or str(asset.get("type") or "").startswith("image/") for asset in known)


def is_raster(asset: Mapping[str, Any]) -> bool:
    """Whether an asset holds pixels on a grid, by its type: what can be clipped."""
    return str(asset.get("type") or "").startswith("image/tiff")
