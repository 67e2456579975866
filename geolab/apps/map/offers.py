"""What can be done with what is in view: notebooks and the values that the map fills in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab import maps, store
from geolab.apps.map.aoi import written
from geolab.apps.map.found import Name, name_of
from geolab.catalog.refs import data_href
from geolab.errors import BadInput
from geolab.maps import specs
from geolab.maps.origin import title
from geolab.raster import cells
from geolab.splats.loaders.sources import safe_name

if TYPE_CHECKING:
    from geolab.catalog import Item
    from geolab.settings import Settings

SELECTIONS, GRIDS = "selections", "grids"  # folders of the workspace
MOST_PHOTOS = 5_000


@dataclass(frozen=True)
class Scene:
    """What the map shows when something shall be done with it.

    chosen: items that were picked, or the two of the swipe. images, products: what is in view; photos: the
    names of those in view. whole: the collections of which all photos are in view. area: GeoJSON or {};
    box: of the area, else of the view.
    """

    chosen: Sequence[Item] = ()
    images: Sequence[Item] = ()
    photos: Sequence[Name] = ()
    products: Sequence[Item] = ()
    whole: frozenset[str] = frozenset()
    area: dict[str, Any] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    collection: str = ""
    datetime: str = ""


@dataclass(frozen=True)
class Offer:
    """A notebook that can work on it. values: what is filled in; why: in one sentence, or why not."""

    notebook: str
    label: str
    why: str
    values: dict[str, Any] | None = None


def offers(scene: Scene) -> list[Offer]:
    """Everything that can be offered; those without values say what is missing."""
    return [
        _detect(scene),
        _splats(scene),
        _render(scene),
        _acquire(scene),
        _train(scene),
        _explore(scene),
        _summarise(scene),
    ]


def pair(scene: Scene) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """(before, after): the two that were chosen, else the oldest and the newest of one place in view."""
    chosen = [item for item in scene.chosen if specs.kind(item) == "image"]
    if len(chosen) == 2:
        first, second = sorted(chosen, key=maps.day)
        return first, second
    found = maps.pairs([*chosen, *scene.images] if chosen else scene.images)
    return found[0] if found else None


def _detect(scene: Scene) -> Offer:
    found = pair(scene)
    label = "Detect change between two dates"
    if found is None:
        return Offer("04_detect_change", label, "Needs two images of one place at two dates in view.")
    before, after = found
    why = f"{title(before)} ({maps.day(before)}) and {title(after)} ({maps.day(after)})."
    return Offer("04_detect_change", label, why, {"before": ref(before), "after": ref(after)})


def _splats(scene: Scene) -> Offer:
    label = "Train splats with the photos in view"
    count = len(scene.photos)
    if count < 3:
        return Offer("05_train_splats", label, "Needs at least three photos in view.")
    names = {collection for collection, _ in scene.photos}
    whole = len(names) == 1 and names <= scene.whole
    if count > MOST_PHOTOS and not whole:
        return Offer(
            "05_train_splats", label, f"{count:,} photos are in view; zoom in to at most {MOST_PHOTOS:,}."
        )
    if whole:
        name = next(iter(names))
        return Offer("05_train_splats", label, f"All {count:,} photos of '{name}'.", {"scene": name})
    why = f"The {count:,} photos in view, laid out as a folder of the workspace."
    return Offer("05_train_splats", label, why, {"scene": ""})


def _render(scene: Scene) -> Offer:
    models = [
        i for i in [*scene.chosen, *scene.products] if i["properties"].get("geolab:product") == "splats"
    ]
    label = "Render a splat model"
    if not models:
        return Offer("06_render_splats", label, "Needs a splat model in view.")
    return Offer("06_render_splats", label, f"{title(models[0])}.", {"splats": str(models[0]["id"])})


def _acquire(scene: Scene) -> Offer:
    label = "Acquire satellite images of the area"
    if not scene.area:
        return Offer("10_acquire", label, "Draw an area first: it is cut into cells.")
    return Offer(
        "10_acquire", label, "The area, cut into square cells; the first one is acquired.", {"grid": ""}
    )


def _train(scene: Scene) -> Offer:
    label = "Train change detection on a collection"
    name = scene.collection or (str(scene.images[0]["collection"]) if scene.images else "")
    if not name:
        return Offer("03_train_change", label, "Needs images in view.")
    return Offer("03_train_change", label, f"The labelled pairs of '{name}'.", {"pairs": name})


def _explore(scene: Scene) -> Offer:
    label = "Make figures of what is in view"
    name = scene.collection or next((str(i["collection"]) for i in scene.images), "")
    name = name or next((collection for collection, _ in scene.photos), "")
    if not name or scene.box is None:
        return Offer("02_explore", label, "Needs items in view.")
    values = {"collection": name, "bbox": written(scene.box), "datetime": scene.datetime}
    return Offer("02_explore", label, f"'{name}' within the {'area' if scene.area else 'view'}.", values)


def _summarise(scene: Scene) -> Offer:
    label = "Summarise the change in view"
    masks = [i for i in scene.products if i["properties"].get("geolab:result") == "mask"]
    if not masks:
        return Offer("11_summarise", label, "Needs change masks in view.")
    return Offer(
        "11_summarise", label, f"{len(masks)} change masks.", {"masks": [str(data_href(i)) for i in masks]}
    )


def ref(item: Mapping[str, Any]) -> str:
    """How a notebook's parameter names an item."""
    return str(item["id"])


# ---------------------------------------------------------------- files that a value names


def prepared(
    offer: Offer, scene: Scene, settings: Settings, items: Callable[[Iterable[Name]], list[Item]]
) -> dict[str, Any]:
    """The offer's values, with the folder of photos or the grid of cells that they name made first.

    items: the items of these names. Doing it twice makes the same files. Raises BadInput.
    """
    values = dict(offer.values or {})
    if values.get("scene") == "":
        values["scene"] = str(photo_folder(items(scene.photos), settings))
    if values.get("grid") == "":
        values["grid"] = str(grid_file(scene.area, settings))
    return values


def photo_folder(photos: Sequence[Item], settings: Settings) -> Path:
    """A folder of the workspace with exactly these photos, linked where the disk can, else copied."""
    names = sorted("/".join(name_of(item)) for item in photos)
    folder = settings.home / SELECTIONS / f"photos-{_digest(names)}"
    if folder.is_dir():
        return folder
    making = folder.with_name(f".{folder.name}-{os.getpid()}")
    making.mkdir(parents=True, exist_ok=True)
    try:
        for number, item in enumerate(photos):
            source = _local(item)
            name = f"{number:05d}-{safe_name(title(item))}"
            _linked(source, making / (name if Path(name).suffix == source.suffix else name + source.suffix))
        with suppress(OSError):
            making.rename(folder)  # another page made the same meanwhile
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _local(item: Item) -> Path:
    """The file of a photo. Raises BadInput for one that is elsewhere."""
    path = store.local_path(data_href(item))
    if path is None or not path.is_file():
        found = f"{title(item)}, which is not on this machine"
        raise BadInput("photos", found=found, expected="local files", remedy="train on the whole collection")
    return path


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def grid_file(area: dict[str, Any], settings: Settings) -> Path:
    """A GeoPackage of the workspace with the cells of an area."""
    path = settings.home / GRIDS / f"area-{_digest(area)}.gpkg"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        cells.write(path, cells.over(area))
    return path


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
