"""What the values of parameters name: items, collections, models, files. Checked, and hashed.

`resolve` refuses a run whose inputs are missing, before anything starts. `inputs` gives the content
hash of each, so that the same work is known again and different data under one name is not.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from geolab import store
from geolab.errors import BadInput, NotFound
from geolab.jobs.notebook import Version, version
from geolab.jobs.values import Parameter
from geolab.settings import Settings

if TYPE_CHECKING:
    from geolab.catalog import Catalog


@dataclass(frozen=True)
class Input:
    """One thing a run reads.

    sha256: of its content, 64 hex digits. item_id, collection, start, end: when it is an item.
    """

    parameter: str
    ref: str
    kind: str
    sha256: str
    item_id: str = ""
    collection: str = ""
    start: str = ""  # of the time it shows, RFC 3339
    end: str = ""


@dataclass(frozen=True)
class _Found:
    """A reference that exists. value: how the run is told of it; input: reads and hashes it."""

    value: str
    input: Callable[[str], Input]


def resolve(parameters: Iterable[Parameter], values: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The values with every reference found, local paths absolute (a run has another working folder).

    Raises NotFound or BadInput.
    """
    resolved = dict(values)
    for parameter in parameters:
        value = values[parameter.name]
        if isinstance(value, str):
            found = _find(parameter, value, settings)
            resolved[parameter.name] = found.value if found else value
        elif parameter.references and value:
            each = [(_find(parameter, one, settings), one) for one in value]
            resolved[parameter.name] = [found.value if found else one for found, one in each]
    return resolved


@contextmanager
def remembered() -> Iterator[None]:
    """While this lasts, what a name stands for is looked up once: for plans of many runs over few inputs.

    Within it, what changes in the catalogue or on the disk may go unseen.
    """
    if _memory.get() is not None:
        yield
        return
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def inputs(parameters: Iterable[Parameter], values: dict[str, Any], settings: Settings) -> list[Input]:
    """What a run with these (resolved) values reads, hashed; local folders are read whole."""
    return [
        _input(parameter, one, found)
        for parameter in parameters
        if parameter.references
        for one in _texts(values[parameter.name])
        if (found := _find(parameter, one, settings))
    ]


Thing = TypeVar("Thing")
_MOST_REMEMBERED = 50_000
_memory: ContextVar[dict[Any, Any] | None] = ContextVar("remembered references", default=None)


def _input(parameter: Parameter, text: str, found: _Found) -> Input:
    hashed = _once(("input", parameter.references, text), lambda: found.input(parameter.name))
    return replace(hashed, parameter=parameter.name)


def _once(question: Any, answer: Callable[[], Thing]) -> Thing:
    """The answer, remembered within `remembered`."""
    memory = _memory.get()
    if memory is None:
        return answer()
    if question not in memory:
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()
        memory[question] = answer()
    return memory[question]


def _texts(value: Any) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value or []


def _find(parameter: Parameter, text: Any, settings: Settings) -> _Found | None:
    """What a value names; None if it names nothing (a word of the choices, or left empty)."""
    if not parameter.references or text in parameter.choices:
        return None
    if not isinstance(text, str) or "\0" in text:
        raise BadInput(parameter.name, found=repr(text), expected=f"the name of a {parameter.kind}")
    if not text and (parameter.default in ("", None, []) or parameter.references == ("model",)):
        return None
    if not text:
        raise BadInput(parameter.name, found="nothing", expected=f"the name of a {parameter.kind}")
    missing: NotFound | None = None
    for reference in parameter.references:
        try:
            return _once((reference, text, settings), partial(_FINDERS[reference], text, settings))
        except NotFound as error:
            missing = missing or error
    assert missing is not None
    if parameter.choices:
        words = ", ".join(map(str, parameter.choices))
        raise NotFound(missing.kind, text, remedy=f"{parameter.name} may also be: {words}") from missing
    raise missing


# ---------------------------------------------------------------- one finder per kind


def _find_item(text: str, settings: Settings) -> _Found:
    path = _existing(text)
    if (path is not None and path.is_file()) or "://" in text:
        return _find_source(text, settings)
    from geolab import catalog  # rasterio loads with it; most commands never need it

    item = catalog.find(text, settings)

    def hashed(name: str) -> Input:
        start, end = _times(item["properties"])
        return Input(
            name, text, "item", _item_hash(item), item["id"], item.get("collection") or "", start, end
        )

    return _Found(text, hashed)


def _times(properties: dict[str, Any]) -> tuple[str, str]:
    moment = properties.get("datetime") or ""
    return properties.get("start_datetime") or moment, properties.get("end_datetime") or moment


def _find_collection(text: str, settings: Settings) -> _Found:
    from geolab import catalog

    opened = catalog.open_catalog(settings)
    known = [collection["id"] for collection in opened.collections()]
    if text in known:
        return _Found(text, lambda name: Input(name, text, "collection", _collection_hash(text, opened)))
    path = _existing(text)
    if path is None or not path.is_dir():
        raise NotFound(
            "collection or folder", text, known=known, remedy="see geolab search, or ingest it first"
        )
    return _find_source(text, settings)


def _find_model(text: str, settings: Settings) -> _Found:
    from geolab import track  # mlflow loads with it

    folder = track.model_folder(text, settings)
    return _Found(text, lambda name: Input(name, text, "model", _files_hash(str(folder))))


def _find_source(text: str, _settings: Settings) -> _Found:
    path = _existing(text)
    value = str(path) if path is not None else text
    if path is None and "://" not in text:
        value = str(Path(text).expanduser().absolute())  # a pattern, or nothing
    if next(store.iter_files(value), None) is None:
        raise NotFound("file", text, remedy="the folder holds no file")
    return _Found(value, lambda name: Input(name, value, "source", _files_hash(value)))


def _find_scene(text: str, settings: Settings) -> _Found:
    """A collection of photos, or files that hold a scene: a folder, transforms.json, a URI."""
    try:
        return _find_collection(text, settings)
    except NotFound as missing:
        if _existing(text) is None and "://" not in text:
            kind = "collection, folder or file of a scene"
            raise NotFound(kind, text, known=missing.known, remedy="see geolab search") from None
        return _with_neighbours(text, settings)


def _with_neighbours(text: str, settings: Settings) -> _Found:
    """Files; a single one stands for its folder too, since what it names lies there."""
    path = _existing(text)
    if path is None or path.is_dir():
        return _find_source(text, settings)
    return _Found(str(path), lambda name: Input(name, str(path), "source", _files_hash(str(path.parent))))


def _find_splats(text: str, settings: Settings) -> _Found:
    """A model's file, its item, or the latest that was trained here."""
    from geolab.splats import find  # the catalogue loads with it

    if text == find.LATEST:
        text = str(find.latest(settings))
    tileset = text.lower().endswith(".json")
    return _with_neighbours(text, settings) if tileset else _find_item(text, settings)


_FINDERS: dict[str, Callable[[str, Settings], _Found]] = {
    "item": _find_item,
    "collection": _find_collection,
    "model": _find_model,
    "source": _find_source,
    "scene": _find_scene,
    "splats": _find_splats,
}


def _existing(text: str) -> Path | None:
    """The absolute path of an existing local file or folder."""
    with suppress(OSError, ValueError):  # a text too long or odd to be a path is none
        path = store.local_path(text)
        path = path and Path(path).expanduser()
        if path is not None and path.exists():
            return path.absolute()
    return None


# ---------------------------------------------------------------- hashes of content


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _files_hash(uri: str) -> str:
    """The hash of one file's bytes; of a folder's or pattern's, of all names and bytes."""
    path = store.local_path(uri)
    if path is not None and path.is_file():
        return _file_hash(uri)
    entries = list(store.iter_files(uri))
    base = store.as_uri(uri).rstrip("/") + "/"
    return _digest([[entry.uri.removeprefix(base), _file_hash(entry.uri)] for entry in entries])


_SETTLED_NS = 2_000_000_000  # a younger file may change again without its time showing it


def _file_hash(uri: str) -> str:
    """The SHA-256 of a file; a local one is read once a process, until it changes."""
    path = store.local_path(uri)
    now = version(Path(path)) if path is not None else (0, 0, 0, 0)
    if not 0 < now[3] < time.time_ns() - _SETTLED_NS:
        return store.sha256(uri)
    return _hash_of_version(uri, now)


@lru_cache(maxsize=100_000)
def _hash_of_version(uri: str, _version: Version) -> str:
    return store.sha256(uri)


def _item_hash(item: dict[str, Any]) -> str:
    """The hash of an item's pixels: their recorded checksum, or the bytes themselves."""
    assets = item.get("assets", {})
    data = assets.get("data") or next(iter(assets.values()), {})
    if "file:checksum" in data:
        return str(data["file:checksum"]).removeprefix("1220")  # multihash: SHA-256, 32 bytes
    return store.sha256(data["href"]) if "href" in data else _digest(item)


def _collection_hash(name: str, opened: Catalog) -> str:
    from geolab import catalog

    found: list[tuple[str, str]] = []
    token = None
    while True:
        page = opened.search(catalog.Search(collections=[name], sortby=("+id",), limit=1000, token=token))
        found += [(item["id"], _item_hash(item)) for item in page.items]
        token = page.next_token
        if not token:
            return _digest(found)
