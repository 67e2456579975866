"""What a raster's header says, read without touching a pixel."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import rasterio
from rasterio import Affine
from rasterio._err import CPLE_BaseError  # what rasterio.shutil.copy raises has no public name
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader

from geolab import store
from geolab.errors import FileRejected, NotFound, one_line

Array = np.ndarray
GDAL_ERRORS = (RasterioError, CPLE_BaseError)

# What geolab opens. Not VRT, WMS, STACTA and the like: such a file may name any other file or URL.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "WEBP", "BMP", "ENVI", "EHdr", "HFA", "AAIGrid", "netCDF")

# The block cache is bounded so that memory does not grow with the raster; no .aux.xml is ever
# written beside a user's file, and a JPEG that libjpeg complains about is an error, not grey tiles.
GDAL_OPTIONS = {
    "GDAL_CACHEMAX": 128_000_000,
    "GDAL_PAM_ENABLED": True,
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_HTTP_TIMEOUT": 30,
    "GDAL_HTTP_MAX_RETRY": 2,
}

# Info.has_transform says it; catching it at each opening is not safe among threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def gdal_env(*, remote: bool = False) -> rasterio.Env:
    """GDAL with our options and the S3 server of AWS_ENDPOINT_URL, which it knows by other names.

    remote: look for no sidecar files, each of which would cost a request.
    """
    options: dict[str, Any] = dict(GDAL_OPTIONS)
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    if endpoint.netloc:
        options |= {"AWS_S3_ENDPOINT": endpoint.netloc, "AWS_HTTPS": endpoint.scheme == "https"}
        options |= {"AWS_VIRTUAL_HOSTING": False}
    if remote:
        options |= {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    return rasterio.Env(**options)


@dataclass(frozen=True)
class Info:
    """A raster's header. Sizes are in pixels, `transform` maps (column, row) to the CRS's units."""

    uri: str
    driver: str
    width: int
    height: int
    count: int
    dtype: str
    crs: CRS | None
    transform: Affine
    nodata: float | None
    band_names: tuple[str, ...]
    colorinterp: tuple[str, ...]
    tags: Mapping[str, str] = field(repr=False)
    has_transform: bool = True
    has_gcps: bool = False
    has_rpcs: bool = False
    dtypes: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    subdatasets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    block_shape: tuple[int, int] = (1, 1)  # height, width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as arrays have it."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the box around all four corners, in the CRS's units."""
        columns, rows = np.array([0, self.width, 0, self.width]), np.array([0, 0, self.height, self.height])
        xs, ys = positions(self.transform, columns, rows)
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())

    @property
    def data_bands(self) -> tuple[int, ...]:
        """The numbers, from 1, of all bands that hold values, not transparency."""
        return tuple(i for i, name in enumerate(self.colorinterp, 1) if name != "alpha")


def positions(transform: Affine, columns: Array, rows: Array) -> tuple[Array, Array]:
    """The coordinates of pixel positions, which may be fractional: 0, 0 is the outer corner of the first."""
    # affine 3 deprecates its operator *, affine 2 has no @
    xs = transform.a * columns + transform.b * rows + transform.c
    return xs, transform.d * columns + transform.e * rows + transform.f


@contextmanager
def open_raster(uri: str | os.PathLike[str], **options: Any) -> Iterator[DatasetReader]:
    """An open raster, closed when the block ends; only drivers in DRIVERS are tried.

    options: passed to rasterio.open, e.g. overview_level.
    Raises NotFound, or FileRejected when it is no raster that geolab reads.
    """
    name = os.fspath(uri)
    path = store.local_path(name)
    if path is not None and not path.is_file():
        raise NotFound("file", name)
    with gdal_env(remote=path is None):
        try:
            # not rasterio.open: that takes one driver only, and reads meanings into odd names (zip+..., a!b)
            dataset = DatasetReader(store.vsi_path(name), driver=list(DRIVERS), **options)
        except RasterioIOError as error:
            raise FileRejected(name, _why_unreadable(name, error)) from error
        with dataset:
            yield dataset


def read_info(uri: str | os.PathLike[str]) -> Info:
    """The header of a raster; no pixel is read. Raises NotFound, FileRejected."""
    with open_raster(uri) as dataset:
        return info_of(dataset, os.fspath(uri))


def info_of(dataset: DatasetReader, uri: str) -> Info:
    """The header of an open raster."""
    if dataset.count == 0:
        return _container(dataset, uri)
    return Info(
        uri=uri,
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        count=dataset.count,
        dtype=dataset.dtypes[0],
        crs=dataset.crs,
        transform=dataset.transform,
        nodata=dataset.nodata,
        band_names=tuple(name or f"band_{i}" for i, name in enumerate(dataset.descriptions, 1)),
        colorinterp=tuple(_colour(c) for c in dataset.colorinterp),
        tags=dataset.tags(),
        has_transform=dataset.transform != Affine.identity(),
        has_gcps=bool(dataset.gcps[0]),
        has_rpcs=dataset.rpcs is not None,
        dtypes=tuple(dataset.dtypes),
        scales=tuple(dataset.scales),
        offsets=tuple(dataset.offsets),
        subdatasets=tuple(dataset.subdatasets),
        files=tuple(dataset.files),
        block_shape=dataset.block_shapes[0],
    )


def _container(dataset: DatasetReader, uri: str) -> Info:
    """A file that holds only subdatasets (NetCDF): no bands of its own."""
    return Info(
        uri=uri,
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        count=0,
        dtype="",
        crs=dataset.crs,
        transform=dataset.transform,
        nodata=None,
        band_names=(),
        colorinterp=(),
        tags=dataset.tags(),
        has_transform=False,
        subdatasets=tuple(dataset.subdatasets),
        files=tuple(dataset.files),
    )


def _colour(interpretation: ColorInterp) -> str:
    return interpretation.name.lower()


_SIGNATURES = (
    (b"", "the file is empty"),
    (b"<!doctype", "it is a web page (HTML), probably a failed download; download it again"),
    (b"<html", "it is a web page (HTML), probably a failed download; download it again"),
    (b"<?xml", "it is an XML document, not an image"),
    (b"<vrtdataset", "it is a VRT, which may refer to any other file; convert it first: gdal_translate"),
    (b"<error", "it is an XML error message, probably a failed download; download it again"),
    (b"%pdf", "it is a PDF document; export the map as GeoTIFF"),
    (b"pk\x03\x04", "it is a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "it is a gzip archive; unpack it first"),
    (b"version https://git-lfs", "it is a Git LFS pointer; run: git lfs pull"),
)


def _why_unreadable(name: str, error: RasterioIOError) -> str:
    head, size = _head(name)
    if size == 0:
        return "the file is empty (0 bytes); copy or download it again"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, reason in _SIGNATURES[1:]:
        if start.startswith(signature):
            return reason
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "a TIFF whose header can't be read, it is cut off or damaged; copy or download it again"
    if head and all(c in b"\t\n\r\f" or 32 <= c < 127 for c in head):
        return "it is plain text, not an image"
    detail = one_line(str(error).replace(store.vsi_path(name), "it"), 120)
    return f"not in a raster format that geolab reads ({', '.join(DRIVERS[:4])}, ...): {detail}"


def _head(name: str) -> tuple[bytes, int | None]:
    """The first bytes and, for a local file, the size."""
    path = store.local_path(name)
    try:
        with store.open_read(name) as stream:
            return stream.read(512), path.stat().st_size if path is not None else None
    except OSError:
        return b"", None
