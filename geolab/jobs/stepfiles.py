"""Steps as files: their manifests, and what they leave in the folder of a run.

<root>/<name>.json      the manifest, written last, in one step; its first line is the SHA-256 of the rest
<root>/<name>-<id>/     values, files, and outputs: what the step left in the run's folder
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geolab import store
from geolab.errors import BadInput
from geolab.jobs import events, folders, kept
from geolab.jobs.kept import Node

RESULTS = "results.json"  # what session.report writes
RACY_NS = 50_000_000  # a file this young may have been written twice within one tick of its clock

# what runner and notebook keep in the run's folder for themselves: no output of a step
_OWN = frozenset((
    folders.REPORT, folders.NOTEBOOK, folders.LOG, folders.DESCRIBED, folders.SOURCE, events.FILE, RESULTS,
    folders.RESERVE, "checkpoints",
))  # fmt: skip

Tree = dict[str, tuple[int, ...]]  # by relative name: size, time and number of a file; () of a folder


@dataclass(frozen=True)
class Manifest:
    """What is known of a step that was done."""

    name: str
    key: str  # of its name, order, inputs and run
    inputs: dict[str, str]  # the hash of each thing it depends on
    outputs: dict[str, Node]
    places: list[str]  # in the run's folder: made or changed by the step
    removed: list[str]  # and removed by it
    events: list[dict[str, Any]]  # that belong to the run, whoever did the step
    files: dict[str, str]  # SHA-256 by relative name, "" for a folder
    folder: str
    run_id: str
    attempt: int
    finished: float  # seconds since 1970
    seconds: float

    @property
    def content(self) -> str:
        """The hash of what the step was given and gave."""
        return kept.digest([self.key, self.outputs, self.files, self.removed])


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest, whole or not at all."""
    body = json.dumps(asdict(manifest), ensure_ascii=False)
    store.write_bytes(path, f"{kept.digest(body)}\n{body}".encode())


def read(path: Path) -> Manifest | None:
    """The manifest in a file; None if it is damaged."""
    try:
        digest, _, body = path.read_text(encoding="utf-8").partition("\n")
        return Manifest(**json.loads(body)) if digest == kept.digest(body) else None
    except (OSError, ValueError, TypeError):
        return None


def damaged(folder: Path, files: dict[str, str]) -> str:
    """The name of a file that is not as it was stored; empty if all are."""
    try:
        found = kept.hashes(folder)
    except (OSError, BadInput):
        return "unreadable"
    return next(
        (name for name in sorted(files.keys() | found.keys()) if found.get(name) != files.get(name)), ""
    )


def clear(root: Path) -> None:
    """Remove what a killed attempt was still storing: folders that no manifest names, half manifests."""
    if root.is_dir():
        for path in root.glob(".tmp-*"):
            path.unlink(missing_ok=True)
        named = {m.folder for path in root.glob("*.json") if (m := read(path))}
        for path in root.iterdir():
            if path.is_dir() and path.name not in named:
                shutil.rmtree(path, ignore_errors=True)


# ---------------------------------------------------------------- the run's folder


def tree(folder: Path) -> Tree:
    """What lies in the folder of a run, without what runner and notebook keep there for themselves."""
    found: Tree = {}
    for root, names, files in os.walk(folder):
        base = Path(root).relative_to(folder).as_posix()
        names[:] = [name for name in names if base != "." or name not in _OWN]
        for name in (*names, *files):
            place = name if base == "." else f"{base}/{name}"
            if place not in _OWN and not name.startswith(".tmp-"):
                with suppress(FileNotFoundError):
                    found[place] = _stamp(Path(root, name))
    return found


def _stamp(path: Path) -> tuple[int, ...]:
    if path.is_dir() and not path.is_symlink():
        return ()
    facts = path.lstat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def changed(before: Tree, after: Tree, *, began_ns: int) -> set[str]:
    """The names that are new or other than before; a file that was written just before counts too."""
    young = {name for name, stamp in after.items() if stamp and stamp[1] >= began_ns - RACY_NS}
    return young | {name for name, stamp in after.items() if before.get(name) != stamp}


def below(found: Tree, places: Iterable[str]) -> set[str]:
    """The names of files and folders, with all that lies in the folders."""
    roots = tuple(places)
    return {name for name in found for root in roots if name == root or name.startswith(f"{root}/")}


def put(source: Path, target: Path) -> None:
    """Copy one file so that it has its name only when it is whole; make a folder."""
    if source.is_symlink():
        raise BadInput("a step's files", found=f"{source.name}, a link", expected="files and folders")
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name[:200]}")
    shutil.copy(source, temporary)
    temporary.replace(target)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; nothing if it is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
