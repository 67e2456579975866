"""Several uploads as one folder, so that one run ingests them all; links, no copies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from geolab.errors import BadInput, NotFound
from geolab.ingest import uploads
from geolab.settings import Settings

MOST = 10_000  # uploads in one folder


def together(settings: Settings, ids: Sequence[str]) -> Path:
    """What ingest takes: the file of one upload, or a folder with the files of all.

    The folder is an upload too (`uploads.clear` takes it away one day), the same for the same ids. Files of
    one name lie in folders of their own. Raises NotFound, BadInput without any.
    """
    ids = sorted(set(ids))
    if not 1 <= len(ids) <= MOST:
        raise BadInput("uploads", found=f"{len(ids)}", expected=f"1 to {MOST:,}")
    if len(ids) == 1:
        return uploads.path(settings, ids[0])
    found = [(uploads.path(settings, one), uploads.describe(settings, one)) for one in ids]
    name = hashlib.sha256(" ".join(ids).encode()).hexdigest()[:32]
    target = uploads.root(settings) / name
    if not target.is_dir():
        about = uploads.Upload(name, "files", sum(one.size for _, one in found), name * 2, zip=True)
        _make(target, (path for path, _ in found), json.dumps(asdict(about)))
    return uploads.path(settings, name)


def _make(target: Path, sources: Iterable[Path], about: str) -> None:
    scratch = target.with_name(f".together-{os.getpid()}-{target.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for source in sources:
        for file in _files(source):
            _link(file, _free(scratch, file.name))
    (scratch / ".upload.json").write_text(about, encoding="utf-8")
    try:
        scratch.rename(target)
    except OSError:  # another kernel of the same page was first
        shutil.rmtree(scratch)
        if not target.is_dir():
            raise


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith("."))


def _free(folder: Path, name: str) -> Path:
    """Where a file of that name can lie: in the folder, or in one of its own."""
    place = folder / name
    number = 1
    while place.exists():
        number += 1
        place = folder / str(number) / name
    place.parent.mkdir(exist_ok=True)
    return place


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def forget(settings: Settings, ids: Iterable[str]) -> None:
    """Remove uploads that were ingested; those that are gone already are no matter."""
    ids = sorted(set(ids))
    whole = hashlib.sha256(" ".join(ids).encode()).hexdigest()[:32]
    for one in [*ids, *([whole] if len(ids) > 1 else [])]:
        with suppress(NotFound):
            uploads.remove(settings, one)
