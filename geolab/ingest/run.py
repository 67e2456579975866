"""Many files into the catalogue, several at a time; each is stored and committed by itself."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from geolab import store
from geolab.catalog import Catalog, items, open_catalog
from geolab.errors import BadInput, FileRejected, GeolabError, NotFound, one_line
from geolab.ingest.merge import merged
from geolab.ingest.outcome import Outcome, Status
from geolab.ingest.sources import Candidate, plan
from geolab.ingest.staging import staging
from geolab.ingest.work import Job, Sighting, look_at
from geolab.raster.info import GDAL_ERRORS
from geolab.settings import Settings

Item = dict[str, Any]
AHEAD = 4  # files in work or finished but not yet committed, for each worker


def ingest(
    sources: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    collection: str,
    settings: Settings,
    dry_run: bool = False,
    role: str | None = None,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """What becomes of each file of `plan(sources)`, in its order, as it happens.

    A file's item is in the catalogue when its outcome comes out; stop listening and the rest is left
    undone. dry_run: nothing at all is written. role: of all items, over what the files say.
    Raises NotFound for a source that does not exist, at once; a bad file is an outcome.
    """
    if role is not None and role not in items.ROLES:
        raise BadInput("role", found=repr(role), expected="one of " + ", ".join(items.ROLES))
    return _outcomes(plan(sources), collection, settings, dry_run, role, workers or settings.worker_count())


def _outcomes(
    candidates: list[Candidate],
    collection: str,
    settings: Settings,
    dry_run: bool,
    role: str | None,
    workers: int,
) -> Iterator[Outcome]:
    if not candidates:
        return
    shelf = (
        _DryShelf(open_catalog(settings), collection)
        if dry_run
        else _Shelf(open_catalog(settings), collection)
    )
    with _workplace(settings, dry_run) as folder:
        job = Job(collection, settings.data, Path(folder), dry_run, role, shelf.has)
        for candidate, future in _in_order(candidates, job, workers):
            yield _outcome(candidate, future, shelf, role)


def _workplace(settings: Settings, dry_run: bool) -> AbstractContextManager[Any]:
    return TemporaryDirectory(prefix="geolab-dry-") if dry_run else staging(settings.data)


def _in_order(
    candidates: list[Candidate], job: Job, workers: int
) -> Iterator[tuple[Candidate, Future[Sighting]]]:
    """Candidates with their results, in order. Threads: hashing, GDAL and Pillow let go of the lock."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ingest")
    waiting: deque[tuple[Candidate, Future[Sighting]]] = deque()
    try:
        for candidate in candidates:
            waiting.append((candidate, pool.submit(look_at, candidate, job)))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(candidate: Candidate, future: Future[Sighting], shelf: _Shelf, role: str | None) -> Outcome:
    try:
        sighting = future.result()
    except FileRejected as error:
        return Outcome(candidate.href, "rejected", reason=error.reason)
    except GeolabError as error:
        return Outcome(candidate.href, "rejected", reason=str(error))
    except GDAL_ERRORS as error:
        return Outcome(candidate.href, "rejected", reason=f"it can't be read: {one_line(error, 200)}")
    except OSError as error:
        if not _is_about(error, candidate):
            raise
        return Outcome(candidate.href, "rejected", reason=f"it can't be read: {error.strerror}")
    return Outcome(candidate.href, shelf.place(sighting, role), id=sighting.id)


_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


def _is_about(error: OSError, candidate: Candidate) -> bool:
    """Whether the candidate, not this machine or the object store, is what is wrong."""
    path = candidate.path
    if error.errno in _OURS:
        return False
    return (
        path is None
        or not error.filename
        or Path(os.fsdecode(error.filename)).name in (path.name, "data" + path.suffix.lower())
    )


class _Shelf:
    """Where items go: the catalogue."""

    def __init__(self, catalog: Catalog, collection: str):
        self._catalog, self._collection = catalog, collection

    def has(self, item_id: str) -> bool:
        """Whether the item is there and so are its objects."""
        known = self.get(item_id)
        return known is not None and all(store.exists(asset["href"]) for asset in known["assets"].values())

    def get(self, item_id: str) -> Item | None:
        try:
            return self._catalog.get(item_id, self._collection)
        except NotFound:
            return None

    def place(self, sighting: Sighting, role: str | None) -> Status:
        """What changes by one more sighting of some content; it is stored."""
        status: list[Status] = []

        def change(known: Item | None) -> Item | None:
            after = _after(known, sighting, role)
            status.append("added" if known is None else "unchanged" if after == known else "updated")
            return None if after == known else after

        self._write(sighting.id, change)
        return status[-1]

    def _write(self, item_id: str, change: Any) -> None:
        self._catalog.update(item_id, self._collection, change)


class _DryShelf(_Shelf):
    """The catalogue as it would become; nothing is written."""

    def __init__(self, catalog: Catalog, collection: str):
        super().__init__(catalog, collection)
        self._would_be: dict[str, Item] = {}

    def get(self, item_id: str) -> Item | None:
        return self._would_be.get(item_id) or super().get(item_id)

    def _write(self, item_id: str, change: Any) -> None:
        after = change(self.get(item_id))
        if after is not None:
            self._would_be[item_id] = after


def _after(known: Item | None, sighting: Sighting, role: str | None) -> Item:
    if known is None:
        if sighting.item is None:  # it was there a moment ago
            raise NotFound("item", sighting.id, remedy="it was deleted meanwhile; ingest again")
        return sighting.item
    after = merged(known, sighting.name, sighting.modified, role)
    if sighting.item is not None:
        after["assets"] |= sighting.item["assets"]
    return after
