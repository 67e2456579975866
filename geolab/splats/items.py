"""STAC items of models: where they lie, when their photos were taken, which files hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime as Moment
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from shapely import MultiPoint, Polygon

from geolab import store
from geolab.catalog import items
from geolab.errors import BadInput, FileRejected
from geolab.ingest import dates
from geolab.raster.footprint import as_geojson, lonlat_polygon
from geolab.splats import extent, record
from geolab.splats.io import Splats, read, sidecar
from geolab.splats.names import KIND, SUFFIXES, is_model, item_id

TOLERANCE_M = 0.05  # by which the outline may be simplified
_TYPES = {
    ".ply": "application/x-ply",
    ".spz": "application/x-spz",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_PREVIEWS = (".webp", ".jpg", ".png")


def item(
    uri: str,
    *,
    collection: str,
    title: str = "",
    properties: Mapping[str, Any] | None = None,
    derived_from: Iterable[str] = (),
    assets: Mapping[str, str] | None = None,
    datetime: str | None = None,
) -> dict[str, Any]:
    """An item for a model that stays at `uri`; it is read whole.

    Its time is that of the photos, else the frame's epoch, else what `properties` hold, else `datetime`.
    derived_from: ids of items besides those of the photos that the model names. assets: URIs of more files
    by asset name, besides those of the same name: model.spz, model.glb, model.webp (its thumbnail), ...
    Raises NotFound; FileRejected if it is damaged or lies nowhere on Earth; BadInput without a time.
    """
    splats, digest = read(uri), store.sha256(uri)
    if splats.frame is None:
        raise FileRejected(uri, "does not say where on Earth it lies; georeference it first")
    photos = [str(one) for one in _texts(splats.meta.get("items"))]
    sources = dict.fromkeys([*photos, *derived_from])
    return items.item(
        item_id(digest),
        collection=collection,
        geometry=footprint(splats),
        **_times(splats, dict(properties or {}), datetime, title or PurePosixPath(uri).name),
        assets=_assets(uri, digest, assets or {}),
        links=[{"rel": "derived_from", "href": f"#items/{one}", "title": one} for one in sources],
    )


def footprint(splats: Splats) -> dict[str, Any]:
    """The outline of the model on the ground as a GeoJSON polygon: around what its cameras saw.

    The convex hull of the opaque Gaussians in view, without the outermost per cent of each axis.
    Raises FileRejected without a frame.
    """
    if splats.frame is None:
        raise FileRejected("the model", "does not say where on Earth it lies; georeference it first")
    held = splats.gaussians
    try:
        kept = extent.surface(held, record.cameras(splats.meta))
    except BadInput:  # cameras of another model, or all of it transparent: the model as it is
        kept = held.opacities >= 0
    means = held.means[kept].double().numpy()
    low, high = np.quantile(means[:, :2], [extent.TAIL, 1 - extent.TAIL], axis=0)
    within = means[((means[:, :2] >= low) & (means[:, :2] <= high)).all(axis=1)]
    hull = MultiPoint(within[:, :2] if len(within) else means[:, :2]).convex_hull.simplify(TOLERANCE_M)
    outline = hull if isinstance(hull, Polygon) else hull.buffer(1.0)  # a metre around a point or a line
    edge = np.array(outline.exterior.coords)[:-1]
    height = np.full((len(edge), 1), float(np.median(means[:, 2])))
    lon, lat, _ = splats.frame.lonlat(np.hstack([edge, height])).T
    return as_geojson(lonlat_polygon(lon, lat))


def _times(splats: Splats, given: dict[str, Any], fallback: str | None, title: str) -> dict[str, Any]:
    """datetime and properties of the item."""
    told = _span(_texts(splats.meta.get("taken"))) or _span([f"{splats.frame.epoch}"])  # type: ignore[union-attr]
    if told:
        for name in ("datetime", "start_datetime", "end_datetime"):
            given.pop(name, None)
    elif "datetime" not in given and "start_datetime" not in given:
        told = {"datetime": fallback}
    times = {**given, **(told or {})}
    moment = times.pop("datetime", None)
    if moment is None and not {"start_datetime", "end_datetime"} <= set(times):
        raise BadInput("model", found="no date", expected="photos with times, or datetime=")
    return {"datetime": moment, "properties": {"title": title, **_facts(splats), **times}}


def _span(times: list[str]) -> dict[str, Any] | None:
    """datetime, or start_datetime and end_datetime, RFC 3339; None if a text is none of a moment."""
    moments = [dates.parse(text) for text in times]
    known = sorted(moment for moment in moments if isinstance(moment, Moment))
    if not known or len(known) < len(moments):
        return None
    first, last = dates.rfc3339(known[0]), dates.rfc3339(known[-1])
    return {"datetime": first} if first == last else {"start_datetime": first, "end_datetime": last}


def _facts(splats: Splats) -> dict[str, Any]:
    assert splats.frame is not None
    found: dict[str, Any] = {
        "geolab:role": "product",
        "geolab:product": KIND,
        "geolab:gaussians": len(splats.gaussians),
        "geolab:sh_degree": splats.gaussians.sh_degree,
        "geolab:frame": splats.frame.as_json(),
        "geolab:vertical_datum": splats.frame.vertical_datum,
        "proj:code": "EPSG:4979",  # of the frame's origin; coordinates are metres in geolab:frame
        "proj:centroid": {"lat": splats.frame.lat, "lon": splats.frame.lon},
    }
    width = splats.meta.get("photo_gsd_m")
    if isinstance(width, int | float) and 0 < width < 1e6:
        found["gsd"] = float(f"{width:.6g}")
    return found


def _texts(value: Any) -> list[str]:
    """The texts in a list of free facts; hostile ones are kept short."""
    return [one[:200] for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _assets(uri: str, digest: str, more: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    made = {"data": _asset(uri, "data") | {"file:checksum": f"1220{digest}"}}
    beside = str(uri) + sidecar.SUFFIX
    if store.exists(beside):
        made["georeference"] = _asset(beside, "metadata")
    for name, other in {**_same_stem(uri), **more}.items():
        role = "thumbnail" if PurePosixPath(other).suffix.lower() in _PREVIEWS else "visual"
        made[name] = _asset(other, "alternate" if is_model(other) else role)
    return made


def _same_stem(uri: str) -> dict[str, str]:
    """Files beside model.ply that belong to it by their name: model.spz, model.glb, model.webp."""
    stem = uri[: len(uri) - len(PurePosixPath(uri).suffix)]
    kinds = {**{s: s[1:] for s in SUFFIXES}, **dict.fromkeys(reversed(_PREVIEWS), "thumbnail")}
    found = {name: stem + suffix for suffix, name in kinds.items() if store.exists(stem + suffix)}
    return {name: other for name, other in found.items() if other != uri}


def _asset(uri: str, role: str) -> dict[str, Any]:
    suffix = PurePosixPath(uri).suffix.lower()
    return {
        "href": store.as_uri(uri),
        "type": _TYPES.get(suffix, "application/octet-stream"),
        "roles": [role],
        "file:size": next(iter(store.iter_files(uri))).size_bytes,
    }
