"""One file: recognise it, check it, store its pixels and describe it. Runs in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from geolab import raster, store
from geolab.catalog import items
from geolab.errors import FileRejected, GeolabError
from geolab.ingest import photos, rasters, thumbnails
from geolab.ingest.dates import Taken
from geolab.ingest.files import Local, content_sha256, has_world_file, local_file, with_sidecars
from geolab.ingest.merge import date_properties, outside_date, title_of
from geolab.ingest.photos import Photo
from geolab.ingest.sources import Candidate
from geolab.ingest.staging import publish

ID_DIGITS = 20  # hex digits of the SHA-256 that make an item's id

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_HEIF = (b"ftyphei", b"ftyphev", b"ftypmif", b"ftypmsf")


@dataclass(frozen=True)
class Job:
    """What all files of an ingest share."""

    collection: str
    data: str
    staging: Path
    dry_run: bool
    role: str | None
    is_known: Callable[[str], bool]  # whether the item with this id is there, with its objects


@dataclass(frozen=True)
class Sighting:
    """A file that was found good. `item` is None if the catalogue has its content already."""

    id: str
    name: str
    modified: datetime | None
    item: dict[str, Any] | None


def look_at(candidate: Candidate, job: Job) -> Sighting:
    """The file as a catalogue item, its pixels stored unless this is a dry run.

    Raises FileRejected, or another GeolabError with the reason why it can't be used.
    """
    with local_file(candidate, job.staging) as file:
        try:
            return _sighting(file, job)
        except FileRejected:
            raise
        except GeolabError as error:  # our name for the file means nothing to others
            raise FileRejected(candidate.href, str(error).replace(f"{file.path}: ", "")) from error


def check(path: Path, name: str) -> None:
    """Nothing, if the header of a local file is one that an ingest takes; no pixel is read.

    name: what people call it. Raises FileRejected.
    """
    candidate = Candidate(path.as_uri(), path, name, name)
    with TemporaryDirectory(prefix="geolab-check-") as staging, local_file(candidate, Path(staging)) as file:
        try:
            file, photo = _recognised(file)
            if photo is None:
                rasters.check_header(raster.read_info(str(file.path)), path.stat().st_size)
        except GeolabError as error:
            reason = error.reason if isinstance(error, FileRejected) else str(error)
            raise FileRejected(name, reason.replace(f"{file.path}: ", "")) from error


def _sighting(file: Local, job: Job) -> Sighting:
    file, photo = _recognised(file)
    digest = content_sha256(file)
    item_id, name = digest[:ID_DIGITS], file.candidate.name
    if job.is_known(item_id):
        return Sighting(item_id, name, file.modified, None)
    describe = _raster_item if photo is None else _photo_item
    return Sighting(item_id, name, file.modified, describe(file, digest, job, photo))


def _recognised(file: Local) -> tuple[Local, Photo | None]:
    """The file, and its header if it is a photo; else it has to be a raster, and brings its sidecars.

    Never goes by the name.
    """
    with file.path.open("rb") as stream:
        head = stream.read(32)
    if head[4:11] in _HEIF:
        raise FileRejected(str(file.path), "HEIC photos can't be read here; convert it to JPEG: heif-convert")
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        linked = with_sidecars(file) if has_world_file(file) else file
        if linked.sidecars and raster.read_info(str(linked.path)).has_transform:
            return linked, None
        return file, _photo_or_refuse(file)
    if head[4:12] == b"ftypavif":
        return file, _photo_or_refuse(file)
    photo = _photo_in_tiff(file) if head[:4] in (b"II*\0", b"MM\0*") else None
    return (file, photo) if photo is not None else (with_sidecars(file), None)


def _photo_or_refuse(file: Local) -> Photo:
    photo = photos.read_photo(file.path)
    if photo.format not in ("JPEG", "MPO") and not photo.has_metadata:
        raise FileRejected(
            str(file.path),
            f"it is a {photo.format} picture with neither a georeference nor a camera's EXIF, so its place "
            "is unknown; give it one: gdal_translate -a_srs EPSG:... -a_ullr LEFT TOP RIGHT BOTTOM IN OUT",
        )
    return photo


def _photo_in_tiff(file: Local) -> Photo | None:
    """A TIFF that lies nowhere but has a camera's position is a photo."""
    try:
        info = raster.read_info(str(file.path))
    except FileRejected:
        return None
    if info.crs is not None or info.has_transform or info.has_gcps or info.has_rpcs or has_world_file(file):
        return None
    photo = photos.read_photo(file.path)
    return photo if photo.exif.position is not None else None


# ---------------------------------------------------------------- rasters


def _raster_item(file: Local, digest: str, job: Job, _: Photo | None) -> dict[str, Any]:
    uri = str(file.path)
    info = raster.read_info(uri)
    rasters.check_header(info, file.path.stat().st_size)
    rasters.check_pixels(uri)
    geometry = raster.footprint_lonlat(info)
    warnings: list[str] = []
    role = job.role or rasters.role(info.tags, warnings)
    properties = rasters.grid_properties(info)
    span = rasters.interval(info.tags, warnings)
    dated = _dated(file, rasters.taken(info))
    if span is not None:
        dated = {"datetime": None, "start_datetime": span[0], "end_datetime": span[1],
                 "geolab:datetime_source": "tag:GEOLAB_START"}  # fmt: skip
    staged = file.path.with_name("cog.tif")
    assets = _stored(
        digest,
        job,
        object_name=rasters.NAME,
        media_type=rasters.COG_TYPE,
        write=lambda: rasters.write_object(uri, staged),
        staged=staged,
        draw=lambda stored, target: thumbnails.write_raster_thumbnail(stored, target),
    )
    assets["data"]["bands"] = rasters.bands(info)
    return _item(file, digest, job, geometry, {**properties, **dated}, assets, role, warnings)


# ---------------------------------------------------------------- photos


def _photo_item(file: Local, digest: str, job: Job, photo: Photo | None) -> dict[str, Any]:
    assert photo is not None
    picture = photos.read_picture(file.path, photo)
    suffix, media_type = photos.FORMATS[photo.format]
    staged = file.path.with_name("photo")
    assets = _stored(
        digest,
        job,
        object_name=f"data{suffix}",
        media_type=media_type,
        write=lambda: store.put_file(file.path, str(staged)),
        staged=staged,
        draw=lambda _, target: thumbnails.write_photo_thumbnail(picture, photo.exif.orientation, target),
    )
    warnings = list(photo.warnings)
    if photo.exif.position is None and not any(w.startswith("no position") for w in warnings):
        warnings.append("no position: the photo has no GPS data")
    properties = {**photos.properties(photo), **_dated(file, photo.exif.taken)}
    role = job.role or "photo"
    return _item(file, digest, job, photos.geometry(photo), properties, assets, role, warnings)


# ---------------------------------------------------------------- both


def _dated(file: Local, taken: Taken | None) -> dict[str, Any]:
    return date_properties(taken or outside_date([file.candidate.name], file.modified))


def _item(
    file: Local,
    digest: str,
    job: Job,
    geometry: dict[str, Any] | None,
    properties: dict[str, Any],
    assets: dict[str, Any],
    role: str,
    warnings: list[str],
) -> dict[str, Any]:
    properties = {
        "title": title_of([file.candidate.name]),
        **properties,
        "geolab:role": role,
        "geolab:sha256": digest,
        "geolab:sources": [file.candidate.name],
    }
    if warnings:
        properties["geolab:warnings"] = warnings
    moment = properties.pop("datetime")
    return items.item(
        digest[:ID_DIGITS],
        collection=job.collection,
        geometry=geometry,
        datetime=moment,
        properties=properties,
        assets=assets,
    )


def _stored(
    digest: str,
    job: Job,
    *,
    object_name: str,
    media_type: str,
    write: Callable[[], None],
    staged: Path,
    draw: Callable[[str, Path], None],
) -> dict[str, dict[str, Any]]:
    """The assets 'data' and 'thumbnail', their objects in the store; what is there already is left."""
    uri = store.object_uri(job.data, digest, object_name)
    picture = store.object_uri(job.data, digest, thumbnails.NAME)
    assets: dict[str, dict[str, Any]] = {
        "data": {"href": uri, "type": media_type, "roles": ["data"]},
        "thumbnail": {"href": picture, "type": thumbnails.MEDIA_TYPE, "roles": ["thumbnail"]},
    }
    if job.dry_run:
        return assets
    if not store.exists(uri):
        write()
    if not store.exists(picture):
        small = staged.with_name(thumbnails.NAME)
        draw(str(staged) if staged.exists() else uri, small)
        publish(small, data=job.data, digest=digest, name=thumbnails.NAME)
    whole = str(staged) if staged.exists() else uri
    assets["data"] |= {"file:checksum": f"1220{store.sha256(whole)}", "file:size": _size(whole)}
    if staged.exists():
        publish(staged, data=job.data, digest=digest, name=object_name)
    return assets


def _size(uri: str) -> int:
    return next(iter(store.iter_files(uri))).size_bytes
