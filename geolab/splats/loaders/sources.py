"""Where photos and scenes are: a folder, a URI, a collection of the catalogue. All become a local folder.

What is not local is laid out below the workspace's cache; a file that is there with its size is not fetched
again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geolab import catalog, store
from geolab.catalog import Search
from geolab.catalog.refs import data_href
from geolab.errors import BadInput, FileRejected, NotFound, one_line
from geolab.settings import Settings, load
from geolab.splats.loaders.draft import SUFFIXES, inside

PAGE = 1000
WANTED = (*SUFFIXES, ".json", ".bin", ".txt", ".ply")  # of a remote folder
LONGEST_NAME = 100
MOST_FILES = 100_000


def local(source: str | Path, *, settings: Settings | None = None, work: Path | None = None) -> Path:
    """The local file or folder of a source: a path, a URI of either, or the id of a collection of photos.

    work: a folder below which to lay out what is not local; by default the workspace's cache. Raises
    NotFound, BadInput.
    """
    text = os.fspath(source)
    path = store.local_path(text)
    if path is not None and path.exists():
        return path
    if path is not None and ("/" in text or text.startswith(".")):
        raise NotFound("folder of photos", text)
    settings = settings or load()
    key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    folder = (work or settings.home / "cache" / "photos") / key
    if path is None:
        return _fetched(text, folder)
    return _laid_out(text, settings, folder)


# ---------------------------------------------------------------- URIs


def _fetched(uri: str, folder: Path) -> Path:
    if store.exists(uri):  # a file: its photos lie beside it
        inner = _fetched(uri.rsplit("/", 1)[0], folder)
        return inner / uri.rsplit("/", 1)[1]
    base = uri.rstrip("/")
    start = base.split("://", 1)[1].lstrip("/")
    count = 0
    for entry in store.iter_files(base):
        name = entry.uri.split("://", 1)[-1].lstrip("/").removeprefix(start).lstrip("/")
        target = inside(folder, name)
        if target is None or not name.lower().endswith(WANTED):
            continue
        _put(entry.uri, target, entry.size_bytes)
        count += 1
        if count > MOST_FILES:
            raise BadInput("scene", found=f"more than {MOST_FILES} files in {uri}", expected="one scene")
    if count == 0:
        raise NotFound("photo or pose", uri)
    return folder


def _put(uri: str, target: Path, size: int) -> None:
    """A local copy of an object, whole or not at all; a link where it is local already."""
    if target.is_file() and target.stat().st_size == size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    there = store.local_path(uri)
    if there is not None:
        link = target.with_name(f".tmp-{os.getpid()}-{target.name}")
        link.symlink_to(there)
        link.replace(target)
        return
    with store.atomic_path(target) as temporary, store.open_read(uri) as stream, temporary.open("wb") as out:
        while chunk := stream.read(store.CHUNK_BYTES):
            out.write(chunk)


# ---------------------------------------------------------------- the catalogue


def items(collection: str, settings: Settings) -> list[dict[str, Any]]:
    """The photos of a collection, in the order of their ids. Raises NotFound, BadInput if it has none."""
    with catalog.open_catalog(settings) as opened:
        known = [str(c["id"]) for c in opened.collections()]
        if collection not in known:
            raise NotFound("folder or collection of photos", collection, known=known)
        found, token = [], None
        while True:
            page = opened.search(Search(collections=(collection,), sortby=("+id",), limit=PAGE, token=token))
            found += [i for i in page.items if i["properties"].get("geolab:role") == "photo"]
            token = page.next_token
            if token is None:
                break
    if not found:
        raise BadInput(
            f"collection {collection}", found="no photo", expected="photos, as `geolab ingest` takes them in"
        )
    return found


def named(collection: str, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each photo's name as a file and its item; names are those the photos had, made safe and different."""
    taken: set[str] = set()
    for item in items(collection, settings):
        href = data_href(item)
        sources = item["properties"].get("geolab:sources") or [item["properties"].get("title") or item["id"]]
        stem, suffix = safe_name(str(sources[0])), Path(href).suffix.lower()
        if suffix not in SUFFIXES:
            raise FileRejected(href, "it is no picture that can be read")
        name = f"{stem}{suffix}" if f"{stem}{suffix}" not in taken else f"{stem}-{item['id'][:12]}{suffix}"
        taken.add(name)
        yield name, item


def safe_name(text: str) -> str:
    """A name without suffix that is safe as a file's on any system."""
    stem = text.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    kept = re.sub(r"[^\w\-]+", "_", one_line(stem, LONGEST_NAME), flags=re.ASCII).strip("_.")
    return kept or "photo"


def _laid_out(collection: str, settings: Settings, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = set()
    for name, item in named(collection, settings):
        href = data_href(item)
        if not store.exists(href):
            raise NotFound("photo", href, remedy=f"item {item['id']} has lost its file: ingest it again")
        size = item["assets"].get("data", {}).get("file:size")
        _put(href, folder / name, -1 if size is None else int(size))
        names.add(name)
    for old in folder.iterdir():
        if old.name not in names and not old.is_dir():  # of photos that have left the collection since
            old.unlink()
    return folder
