"""Bytes by URI: read, write atomically, list, hash.

A URI is a local path, `file://...`, `s3://...` or anything fsspec knows. Objects that geolab
keeps lie under `Settings.data` by the SHA-256 of their content, so that storing the same bytes
twice changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from geolab.errors import BadInput, FileRejected, NotFound

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CHUNK_BYTES = 1 << 20
LONGEST_SHARE = timedelta(days=7)

# Links signed the old way (version 2) are refused by newer S3 servers; some servers send the checksum of
# the whole object with a part of it, which botocore would take for damage (rclone 1.7, older MinIO).
_S3 = {"signature_version": "s3v4", "response_checksum_validation": "when_required"}
_OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": _S3}}

_UMASK = os.umask(0o022)  # it can only be read by setting it, which is not thread-safe: once, at import
os.umask(_UMASK)


@dataclass(frozen=True)
class Entry:
    """One file in a listing."""

    uri: str
    size_bytes: int


@dataclass(frozen=True)
class Listed:
    """One name in a folder; a folder's ends with a slash and has no size."""

    name: str
    size_bytes: int = 0

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def local_path(uri: str | os.PathLike[str]) -> Path | None:
    """The absolute local path of a path or file:// URI; None for remote URIs."""
    text = os.fspath(uri)
    parts = urlsplit(text)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in text:
        return None
    return Path(text).absolute()


def as_uri(uri: str | os.PathLike[str]) -> str:
    """The URI of a path; a URI comes back as it is."""
    path = local_path(uri)
    return path.as_uri() if path is not None else os.fspath(uri)


def vsi_path(uri: str | os.PathLike[str]) -> str:
    """The name by which GDAL opens a URI: a plain path, /vsis3/... or /vsicurl/..."""
    path = local_path(uri)
    if path is not None:
        return str(path)
    text = os.fspath(uri)
    scheme, rest = text.split("://", 1)
    if scheme == "s3":
        return f"/vsis3/{rest}"
    if scheme in ("http", "https"):
        return f"/vsicurl/{text}"
    raise BadInput("URI", found=text, expected="a path or a file://, s3://, http:// or https:// URI")


_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "requests", "urllib3")  # whose errors are of the network


@contextmanager
def _remote(uri: str | os.PathLike[str]) -> Iterator[tuple[AbstractFileSystem, str]]:
    """The file system of a URI and the name there; what the network refuses becomes FileRejected."""
    try:
        yield _filesystem(os.fspath(uri))
    except Exception as error:
        client = type(error).__module__.split(".")[0] in _CLIENTS
        if not client and not isinstance(error, PermissionError | ConnectionError | TimeoutError):
            raise
        reason = f"can't be reached: {error or type(error).__name__}; check its address and your credentials"
        raise FileRejected(os.fspath(uri), reason) from error


def _filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    import fsspec  # loads on first use: most work is on local files

    try:
        filesystem, path = fsspec.url_to_fs(uri, **_OPTIONS.get(urlsplit(uri).scheme, {}))
    except (ValueError, ImportError) as error:
        raise BadInput("URI", found=uri, expected="a scheme that fsspec knows", remedy=str(error)) from error
    return filesystem, path


@contextmanager
def open_read(uri: str | os.PathLike[str], *, block_bytes: int | None = None) -> Iterator[IO[bytes]]:
    """A binary stream of the object. Raises NotFound; FileRejected where it can't be reached.

    block_bytes: how much of a remote object is fetched at once; by default what its protocol prefers.
    """
    path = local_path(uri)
    try:
        if path is not None:
            with path.open("rb") as stream:
                yield stream
        else:
            with ExitStack() as stack:
                with _remote(uri) as (filesystem, name):
                    stream = stack.enter_context(filesystem.open(name, "rb", block_size=block_bytes))
                yield cast(IO[bytes], stream)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound("file", os.fspath(uri)) from error


@dataclass(frozen=True)
class Stamp:
    """What tells versions of a remote object apart. modified: seconds since 1970, 0 if nobody says it."""

    size_bytes: int
    version: str
    modified: float


def remote_stamp(uri: str) -> Stamp:
    """Size and version of a remote object, by what its store says. Raises NotFound, FileRejected."""
    try:
        with _remote(uri) as (filesystem, name):
            info = cast(dict[str, Any], filesystem.info(name))
    except FileNotFoundError as error:
        raise NotFound("file", uri) from error
    changed = info.get("LastModified") or info.get("created")
    modified = changed.timestamp() if isinstance(changed, datetime) else 0.0
    size = int(info.get("size") or 0)
    return Stamp(size, str(info.get("ETag") or f"{size}-{modified}").strip('"'), modified)


def read_bytes(uri: str | os.PathLike[str]) -> bytes:
    """The whole object. Raises NotFound."""
    with open_read(uri) as stream:
        return stream.read()


def exists(uri: str | os.PathLike[str]) -> bool:
    """Whether a file (not a folder) is there."""
    path = local_path(uri)
    if path is not None:
        return path.is_file()
    with _remote(uri) as (filesystem, name):
        return bool(filesystem.isfile(name))


@contextmanager
def atomic_path(target: Path, *, suffix: str = "") -> Iterator[Path]:
    """A temporary path beside `target` that becomes it, whole and synced, if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=suffix or target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(uri: str | os.PathLike[str], data: bytes) -> None:
    """Write an object whole or not at all."""
    path = local_path(uri)
    if path is None:
        with _remote(uri) as (filesystem, name):
            filesystem.pipe_file(name, data)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def put_file(source: str | os.PathLike[str], uri: str) -> None:
    """Copy a local file to a URI, whole or not at all."""
    path = local_path(uri)
    if path is None:
        with _remote(uri) as (filesystem, name):
            filesystem.put_file(os.fspath(source), name)
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)


def sha256(uri: str | os.PathLike[str]) -> str:
    """The SHA-256 of an object's bytes, 64 hex digits. Raises NotFound."""
    digest = hashlib.sha256()
    with open_read(uri) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def object_uri(data: str, digest: str, name: str) -> str:
    """Where the object with this SHA-256 lies below `data`: data/ab/<digest>/<name>.

    name: chosen by geolab (never by a user): 'data.tif', 'thumbnail.webp', ...
    """
    return f"{data.rstrip('/')}/{digest[:2]}/{digest}/{name}"


def put_object(source: str | os.PathLike[str], *, data: str, digest: str, name: str) -> str:
    """The URI of a local file kept under its hash; bytes already there are left as they are."""
    uri = object_uri(data, digest, name)
    if not exists(uri):
        put_file(source, uri)
    return uri


def iter_files(uri: str | os.PathLike[str]) -> Iterator[Entry]:
    """Every file at or below a folder or URI, or that matches a glob, in name order.

    Hidden files (a name that begins with a dot) are left out. Raises NotFound if nothing is there.
    """
    text = os.fspath(uri)
    path = local_path(text)
    if path is not None and path.is_file():
        yield Entry(path.as_uri(), path.stat().st_size)
    elif path is not None and path.is_dir():
        yield from _walk(path)
    else:
        yield from _glob(text if path is None else str(path))


def list_folder(uri: str | os.PathLike[str], *, after: str = "", limit: int = 1000) -> list[Listed]:
    """What lies right in a folder, in name order, behind the name `after`; at most `limit` names.

    Hidden names and links are left out. Raises NotFound if there is no such folder.
    """
    path = local_path(uri)
    found = _scan(path) if path is not None else _ls(os.fspath(uri))
    behind = sorted((one for one in found if one.name > after), key=lambda one: one.name)
    return behind[:limit]


def _scan(folder: Path) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield Listed(f"{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield Listed(entry.name, entry.stat(follow_symlinks=False).st_size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound("folder", str(folder)) from error


def _ls(uri: str) -> Iterator[Listed]:
    try:
        with _remote(uri) as (filesystem, path):
            found = cast(list[dict[str, Any]], filesystem.ls(path, detail=True))
    except FileNotFoundError as error:
        raise NotFound("folder", uri) from error
    for info in found:
        name = str(info["name"]).rstrip("/").rsplit("/", 1)[-1]
        if name and not name.startswith(".") and str(info["name"]).rstrip("/") != path.rstrip("/"):
            folder = info["type"] == "directory"
            yield Listed(f"{name}/") if folder else Listed(name, int(info.get("size") or 0))


def _walk(folder: Path) -> Iterator[Entry]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield Entry(path.absolute().as_uri(), path.stat().st_size)


def _glob(pattern: str) -> Iterator[Entry]:
    with _remote(pattern) as (filesystem, path):
        listing = filesystem.glob if any(c in pattern for c in "*?[") else filesystem.find
        found = cast(dict[str, dict[str, Any]], listing(path, detail=True))
    files = {name: info for name, info in found.items() if info["type"] == "file"}
    if not files:
        raise NotFound("file or folder", pattern)
    for name in sorted(files):
        if not name.rsplit("/", 1)[-1].startswith("."):
            uri = as_uri(name) if "://" not in pattern else filesystem.unstrip_protocol(name)
            yield Entry(uri, int(files[name].get("size") or 0))


def share_link(uri: str, *, expires: timedelta) -> str:
    """A link to a remote object that works without login until it expires, at most 7 days.

    Raises BadInput for a longer time (S3 would sign it and then refuse it) or a local object.
    """
    if not timedelta(0) < expires <= LONGEST_SHARE:
        raise BadInput(
            "share link", found=f"an expiry of {expires}", expected="more than 0 and at most 7 days"
        )
    if local_path(uri) is not None:
        raise BadInput("share link", found=uri, expected="an object in a bucket (s3://...)")
    filesystem, name = _filesystem(uri)
    return str(filesystem.sign(name, expiration=int(expires.total_seconds())))
