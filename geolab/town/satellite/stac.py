"""STAC documents of the archive, with the fields that public catalogues of Sentinel-2 give theirs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from geolab.town.model import Floats
from geolab.town.satellite import scene, spectra
from geolab.town.satellite.area import Area, Granule, to_lonlat
from geolab.town.satellite.sky import Sky

COLLECTION = "sentinel-2-l2a"
STAC_VERSION = "1.1.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
)
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
BANDS = {  # asset: name, common name, centre and width in micrometres, metres
    "blue": ("B02", "blue", 0.49, 0.098, 10),
    "green": ("B03", "green", 0.56, 0.045, 10),
    "red": ("B04", "red", 0.665, 0.038, 10),
    "nir": ("B08", "nir", 0.842, 0.145, 10),
    "swir16": ("B11", "swir16", 1.61, 0.143, 20),
}
PERCENTAGES = {
    scene.SHADOW: "s2:cloud_shadow_percentage",
    scene.VEGETATION: "s2:vegetation_percentage",
    scene.BARE: "s2:not_vegetated_percentage",
    scene.WATER: "s2:water_percentage",
    scene.UNCLASSIFIED: "s2:unclassified_percentage",
    scene.MEDIUM: "s2:medium_proba_clouds_percentage",
    scene.HIGH: "s2:high_proba_clouds_percentage",
    scene.CIRRUS: "s2:thin_cirrus_percentage",
    scene.SNOW: "s2:snow_ice_percentage",
}
CLOUDS = (scene.MEDIUM, scene.HIGH, scene.CIRRUS)


def item_id(sky: Sky, granule: Granule) -> str:
    """Such as S2A_32UQU_20210607_0_L2A."""
    return f"S2{_platform(sky)}_{granule.tile}_{sky.when:%Y%m%d}_0_L2A"


def _platform(sky: Sky) -> str:
    return "AB"[sky.number % 2]


def item(
    sky: Sky, granule: Granule, classes: np.ndarray, facts: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """The STAC item of a scene; None if the strip misses the granule.

    facts: size and checksum of every file, by asset.
    """
    footprint = _footprint(sky, granule)
    if footprint is None:
        return None
    name = item_id(sky, granule)
    lonlat = np.round(footprint, 7).tolist()
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": name,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [[*lonlat, lonlat[0]]]},
        "bbox": [*np.min(lonlat, axis=0).tolist(), *np.max(lonlat, axis=0).tolist()],
        "properties": _properties(sky, granule, classes),
        "links": [
            {"rel": "root", "href": "../../../catalog.json", "type": "application/json"},
            {"rel": "collection", "href": "../../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../../collection.json", "type": "application/json"},
        ],
        "assets": {asset: _asset(asset, sky, granule) | facts[asset] for asset in (*BANDS, "scl")},
    }


def _footprint(sky: Sky, granule: Granule) -> Floats | None:
    """The outline of what a granule holds of a strip, longitude and latitude [N, 2], anticlockwise."""
    corners = scene.corners_local(granule.window)
    if sky.orbit == 0:
        return to_lonlat(corners)
    from shapely import Polygon, get_coordinates, orient_polygons

    a, b, c = scene.swath_edge()
    far = 1e5
    edge, along, left = np.array([a, b]) * c, np.array([-b, a]) * far, np.array([-a, -b]) * far
    strip = Polygon([edge - along, edge + along, edge + along + left, edge - along + left])
    part = Polygon(corners).intersection(strip)
    if part.is_empty or part.geom_type != "Polygon":
        return None
    return to_lonlat(get_coordinates(orient_polygons(part))[:-1])


def _iso(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _properties(sky: Sky, granule: Granule, classes: np.ndarray) -> dict[str, Any]:
    valid = classes != scene.NO_DATA
    count = max(1, int(valid.sum()))
    share = {value: round(100 * int((classes == value).sum()) / count, 6) for value in PERCENTAGES}
    cloudy = round(100 * int(np.isin(classes, CLOUDS).sum()) / count, 6)
    made = sky.when + timedelta(hours=6)
    platform = _platform(sky)
    baseline = "04.00" if scene.offset(sky.when.date()) else "03.01"
    return {
        "datetime": _iso(sky.when),
        "created": _iso(made),
        "updated": _iso(made),
        "platform": f"sentinel-2{platform.lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": cloudy,
        "proj:code": f"EPSG:{granule.window.epsg}",
        "view:sun_azimuth": round(sky.sun_azimuth_deg, 4),
        "view:sun_elevation": round(sky.sun_elevation_deg, 4),
        "mgrs:utm_zone": int(granule.tile[:2]),
        "mgrs:latitude_band": granule.tile[2],
        "mgrs:grid_square": granule.tile[3:],
        "grid:code": f"MGRS-{granule.tile}",
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": baseline,
        "s2:product_uri": _product(sky, granule, baseline),
        "s2:generation_time": _iso(made),
        "s2:sequence": "0",
        "s2:nodata_pixel_percentage": round(100 * (1 - int(valid.sum()) / classes.size), 6),
        **{PERCENTAGES[value]: share[value] for value in PERCENTAGES},
    }


def _product(sky: Sky, granule: Granule, baseline: str) -> str:
    orbit = (65, 22)[sky.orbit]
    start, made = f"{sky.when:%Y%m%dT%H%M%S}", f"{sky.when + timedelta(hours=6):%Y%m%dT%H%M%S}"
    processing = baseline.replace(".", "")
    return f"S2{_platform(sky)}_MSIL2A_{start}_N{processing}_R{orbit:03d}_T{granule.tile}_{made}.SAFE"


def _asset(asset: str, sky: Sky, granule: Granule) -> dict[str, Any]:
    gsd = BANDS[asset][4] if asset in BANDS else 20
    window = granule.window
    made: dict[str, Any] = {
        "href": f"./{asset}.tif",
        "type": COG,
        "roles": ["data", "reflectance"],
        "gsd": gsd,
        "proj:shape": [window.height * 10 // gsd, window.width * 10 // gsd],
        "proj:transform": [gsd, 0, window.west, 0, -gsd, window.north],
    }
    common = {"nodata": 0, "spatial_resolution": gsd}
    if asset == "scl":
        made["roles"] = ["data"]
        made["title"] = "Scene classification map (SCL)"
        made["raster:bands"] = [{**common, "data_type": "uint8"}]
        return made
    name, common_name, centre, width, _ = BANDS[asset]
    made["title"] = f"{common_name} ({name}), {gsd} m"
    made["eo:bands"] = [
        {"name": asset, "common_name": common_name, "center_wavelength": centre, "full_width_half_max": width}
    ]
    scale = {"scale": scene.QUANTUM, "offset": -scene.QUANTUM * scene.offset(sky.when.date())}
    made["raster:bands"] = [{**common, "data_type": "uint16", "bits_per_sample": 15, **scale}]
    return made


def collection(area: Area, skies: list[Sky], items: list[str]) -> dict[str, Any]:
    """The STAC collection of the archive."""
    west, south, east, north = area.bounds
    corners = to_lonlat(np.array([[west, south], [east, south], [east, north], [west, north]]))
    bbox = [*corners.min(axis=0).round(6).tolist(), *corners.max(axis=0).round(6).tolist()]
    times = [_iso(skies[0].when), _iso(skies[-1].when)]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": COLLECTION,
        "title": "Sample world as seen by Sentinel-2, level 2A",
        "description": "Made by geolab.town: a fictitious landscape in the form of Sentinel-2 L2A scenes. "
        "Nothing here is a real place.",
        "license": "CC0-1.0",
        "keywords": ["sample", "sentinel-2", "surface reflectance"],
        "extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [times]}},
        "summaries": {
            "platform": ["sentinel-2a", "sentinel-2b"],
            "instruments": ["msi"],
            "gsd": [10],
            "grid:code": [f"MGRS-{granule.tile}" for granule in area.granules],
        },
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *({"rel": "item", "href": f"./{href}", "type": "application/geo+json"} for href in items),
        ],
    }


def catalog() -> dict[str, Any]:
    """The STAC catalogue that lists the one collection."""
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "geolab-town",
        "title": "Satellite archive of the sample world",
        "description": "Made by geolab.town; nothing here is a real place.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            {"rel": "child", "href": f"./{COLLECTION}/collection.json", "type": "application/json"},
        ],
    }


BAND_NAMES = spectra.BANDS
