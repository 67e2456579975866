"""What the names in a form can stand for: images, collections, models; each with a picture where it has one.

Everything here may be slow (catalogue, registry) and is called in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from geolab import catalog
from geolab.catalog import times
from geolab.errors import GeolabError, NotFound
from geolab.maps import origin
from geolab.settings import Settings
from geolab.splats import names as splat_names

if TYPE_CHECKING:
    from geolab.track import ModelRef

ON_A_PAGE = 12
_MOST = 10_000  # items that can be turned over; a search narrows them

Row = dict[str, str]  # value, title, note; thumb where there may be a picture
Answer = dict[str, Any]  # rows, words, more, page
Filter = dict[str, Any]


def find(reference: str, settings: Settings, text: str, page: int, *, roles: tuple[str, ...] = ()) -> Answer:
    """A page of what such a parameter may name and a text describes. Raises GeolabError."""
    return _FINDERS[reference](settings, text, page, roles)


def card(reference: str, settings: Settings, value: str) -> Row | None:
    """What a value stands for; None where nothing more can be said of it."""
    if not value or (reference == "splats" and value == "latest"):
        return None
    try:
        return _CARDS[reference](settings, value) if reference in _CARDS else None
    except NotFound:
        return {"value": value, "title": value, "note": "Not in this workspace", "missing": "yes"}
    except GeolabError as error:
        return {"value": value, "title": value, "note": str(error), "missing": "yes"}


# ---------------------------------------------------------------- items


def _items(settings: Settings, text: str, page: int, roles: tuple[str, ...]) -> Answer:
    return _searched(settings, [*_with_role(roles or ("image",)), *_words(text)], page)


def _splats(settings: Settings, text: str, page: int, _roles: tuple[str, ...]) -> Answer:
    kind = {"op": "=", "args": [_property("geolab:product"), splat_names.KIND]}
    return _searched(settings, [kind, *_words(text)], page)


def _searched(settings: Settings, filters: list[Filter], page: int) -> Answer:
    """The items that pass all filters, the newest first."""
    both = filters[0] if len(filters) == 1 else {"op": "and", "args": filters}
    last = min((page + 1) * ON_A_PAGE, _MOST)
    with catalog.open_catalog(settings) as opened:
        found = opened.search(catalog.Search(filter=both, limit=last))
        shown = found.items[page * ON_A_PAGE : last]
        ids = [str(item["id"]) for item in shown]
        same = [i["id"] for i in opened.search(catalog.Search(ids=ids, limit=200)).items] if ids else []
    rows = [_row(item, alone=same.count(item["id"]) < 2) for item in shown]
    return _answer(rows, found.matched, page)


def _answer(rows: list[Row], matched: int, page: int) -> Answer:
    first = page * ON_A_PAGE
    words = f"{first + 1} to {first + len(rows)} of {matched:,}" if rows else "Nothing found"
    return {"rows": rows, "words": words, "more": first + len(rows) < min(matched, _MOST), "page": page}


def _row(item: Mapping[str, Any], *, alone: bool) -> Row:
    """One item. alone: no other collection has an item of its id."""
    value = str(item["id"]) if alone else f"{item.get('collection')}/{item['id']}"
    gsd_m = item["properties"].get("gsd")
    fine = f"{gsd_m:.3g} m pixels" if isinstance(gsd_m, int | float) and gsd_m > 0 else ""
    facts = [origin.day(item), str(item.get("collection") or ""), fine]
    note = " · ".join(fact for fact in facts if fact)
    return {"value": value, "title": origin.title(item), "note": note, "thumb": origin.preview_url(item)}


def _with_role(roles: tuple[str, ...]) -> list[Filter]:
    """Items of these roles; one without a role is an image."""
    role = _property("geolab:role")
    given: Filter = {"op": "in", "args": [role, list(roles)]}
    if "image" not in roles:
        return [given]
    return [{"op": "or", "args": [{"op": "isNull", "args": [role]}, given]}]


def _words(text: str) -> list[Filter]:
    """Items whose title, id or collection holds each word; a date is one that they show."""
    return [_word(word) for word in text.split()[:8]]


def _word(word: str) -> Filter:
    pattern = "%" + "".join(f"\\{c}" if c in "%_\\" else c for c in word) + "%"
    alike = [
        {"op": "like", "args": [_casei(_property(name)), _casei(pattern)]}
        for name in ("title", "id", "collection")
    ]
    span = times.date_span(word)
    moment = [
        {"op": "t_intersects", "args": [_property("datetime"), {"interval": [*map(times.iso, span)]}]}
    ] if span else []  # fmt: skip
    return {"op": "or", "args": [*alike, *moment]}


def _property(name: str) -> dict[str, str]:
    return {"property": name}


def _casei(value: Any) -> Filter:
    return {"op": "casei", "args": [value]}


def _item_card(settings: Settings, value: str) -> Row:
    if "://" in value or value.startswith(("/", "~", "./")):
        return _file_card(settings, value)
    return _row(catalog.find(value, settings), alone=True) | {"value": value}


def _file_card(_settings: Settings, value: str) -> Row:
    return {"value": value, "title": PurePosixPath(value.rstrip("/")).name or value, "note": value}


# ---------------------------------------------------------------- collections


def _collections(settings: Settings, text: str, page: int, roles: tuple[str, ...]) -> Answer:
    wanted = text.lower().split()
    with catalog.open_catalog(settings) as opened:
        found = [c for c in opened.collections() if all(word in _described(c) for word in wanted)]
        rows = [_collection(opened, one, roles) for one in found[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]]
    return _answer(rows, len(found), page)


def _described(collection: Mapping[str, Any]) -> str:
    return f"{collection['id']} {collection.get('title') or ''}".lower()


def _scenes(settings: Settings, text: str, page: int, _roles: tuple[str, ...]) -> Answer:
    return _collections(settings, text, page, ("photo",))


def _collection(opened: catalog.Catalog, collection: Mapping[str, Any], roles: tuple[str, ...]) -> Row:
    """One collection with the picture of its newest item of these roles."""
    name = str(collection["id"])
    kinds = _with_role(roles or ("image",))[0]
    seen = opened.search(catalog.Search(collections=(name,), filter=kinds, limit=1))
    every = opened.search(catalog.Search(collections=(name,), limit=1))
    what = _many(seen.matched, "photo" if roles == ("photo",) else "image")
    rest = f"{_many(every.matched, 'item')} in all" if every.matched != seen.matched else ""
    picture = {"thumb": origin.preview_url(seen.items[0])} if seen.items else {"thumb": ""}
    title = str(collection.get("title") or name)
    note = " · ".join(part for part in (name if title != name else "", what, rest) if part)
    return {"value": name, "title": title, "note": note, **picture}


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _collection_card(settings: Settings, value: str, roles: tuple[str, ...] = ()) -> Row:
    with catalog.open_catalog(settings) as opened:
        known = {str(c["id"]): c for c in opened.collections()}
        if value in known:
            return _collection(opened, known[value], roles)
    if "/" in value:
        return _file_card(settings, value)
    raise NotFound("collection", value, known=known)


def _scene_card(settings: Settings, value: str) -> Row:
    return _collection_card(settings, value, ("photo",))


# ---------------------------------------------------------------- models


def _models(settings: Settings, text: str, page: int, _roles: tuple[str, ...]) -> Answer:
    from geolab import track  # mlflow loads with it

    wanted = text.lower().split()
    listed = _named(track.models(settings))
    found = [row for row in listed if all(w in f"{row['title']} {row['note']}".lower() for w in wanted)]
    return _answer(found[page * ON_A_PAGE : (page + 1) * ON_A_PAGE], len(found), page)


def _named(refs: Iterable[ModelRef]) -> list[Row]:
    """Every name of every version; refs come by name, the newest first."""
    rows, seen = list[Row](), set[str]()
    for ref in refs:
        newest = [] if ref.name in seen else ["latest"]
        seen.add(ref.name)
        names = [f"{ref.name}@{alias}" for alias in dict.fromkeys((*newest, *ref.aliases))]
        rows += [{"value": name, "title": name, "note": _about(ref)} for name in (*names, ref.ref)]
    return rows


def _about(ref: ModelRef) -> str:
    scores = " · ".join(f"{name} {value:.3f}" for name, value in sorted(ref.metrics.items())[:3])
    return " · ".join(part for part in (f"version {ref.version}", scores) if part)


_FINDERS: dict[str, Callable[[Settings, str, int, tuple[str, ...]], Answer]] = {
    "item": _items,
    "collection": _collections,
    "scene": _scenes,
    "model": _models,
    "splats": _splats,
}
_CARDS: dict[str, Callable[[Settings, str], Row]] = {
    "item": _item_card,
    "collection": _collection_card,
    "scene": _scene_card,
    "splats": _item_card,
    "source": _file_card,
}
