"""What an archive holds: a folder with a static STAC catalogue, as items with absolute links."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import quote

from geolab.catalog import SqliteCatalog
from geolab.errors import BadInput, one_line

Document = dict[str, Any]
REMEDY = "make one: geolab town DIR --satellite"


class Holdings:
    """The collections, items and asset files of an archive.

    origin: where it is served, such as http://127.0.0.1:8080. scratch: a folder for the index.
    Raises BadInput for a folder that is no archive or whose documents lead out of it.
    """

    def __init__(self, folder: Path, origin: str, scratch: Path):
        self.root, self.origin = folder.resolve(), origin
        self.catalog = SqliteCatalog(scratch / "catalog.db")
        self.about = self._read(self.root / "catalog.json")
        self._files: dict[tuple[str, str, str], Path] = {}
        for link in _links(self.about, "child"):
            path = self._inside(self.root, link)
            collection = self._read(path)
            self._take(path, collection)

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """These, until the block ends; the index is closed then."""
        with self.catalog:
            yield self

    def asset(self, collection: str, item: str, name: str) -> Path | None:
        """The file of an asset; None for what is none, is gone, or was made to lead elsewhere."""
        path = self._files.get((collection, item, name))
        if path is None or path.resolve() != path or not path.is_file():
            return None
        return path

    # ------------------------------------------------------------ reading the folder

    def _take(self, path: Path, collection: Document) -> None:
        name = str(collection.get("id", ""))
        items = [self._item(self._inside(path.parent, href), name) for href in _links(collection, "item")]
        here = f"{self.origin}/collections/{quote(name, safe='')}"
        links = [
            _link("self", here),
            _link("root", f"{self.origin}/"),
            _link("parent", f"{self.origin}/"),
            _link("items", f"{here}/items", "application/geo+json"),
        ]
        self.catalog.put_collection({**collection, "links": links})
        self.catalog.put(items)

    def _item(self, path: Path, collection: str) -> Document:
        document = self._read(path)
        item = str(document.get("id", ""))
        assets = document.get("assets", {})
        served = {key: self._served(path, collection, item, asset) for key, asset in assets.items()}
        above = f"{self.origin}/collections/{quote(collection, safe='')}"
        links = [
            _link("self", f"{above}/items/{quote(item, safe='')}", "application/geo+json"),
            _link("collection", above),
            _link("parent", above),
            _link("root", f"{self.origin}/"),
        ]
        return {**document, "collection": collection, "links": links, "assets": served}

    def _served(self, path: Path, collection: str, item: str, asset: Mapping[str, Any]) -> Document:
        """The asset with the address under which it is served."""
        file = self._inside(path.parent, str(asset.get("href", "")))
        self._files[collection, item, file.name] = file
        parts = "/".join(quote(part, safe="") for part in (collection, item, file.name))
        return {**asset, "href": f"{self.origin}/assets/{parts}"}

    def _inside(self, folder: Path, href: str) -> Path:
        """The file that a relative reference names."""
        path = folder.joinpath(*PurePosixPath(href).parts).resolve() if "://" not in href else Path("/")
        if not path.is_relative_to(self.root):
            found = one_line(repr(href), 100)
            raise BadInput("archive", found=f"the reference {found}", expected=f"files in {self.root}")
        return path

    def _read(self, path: Path) -> Document:
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise BadInput("archive", found=f"no {path}", expected="an archive", remedy=REMEDY) from error
        except (OSError, ValueError) as error:
            found = f"{path} ({error})"
            raise BadInput("archive", found=found, expected="STAC as JSON", remedy=REMEDY) from error
        if not isinstance(document, dict):
            raise BadInput("archive", found=f"{path}, no object", expected="STAC as JSON", remedy=REMEDY)
        return document


def _links(document: Document, rel: str) -> Iterator[str]:
    for link in document.get("links", ()):
        if link.get("rel") == rel:
            yield str(link.get("href", ""))


def _link(rel: str, href: str, kind: str = "application/json") -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind}
