"""STAC validation by pystac with the schemas beside this file; the network is never asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pystac
import pystac.validation
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from pyproj.datadir import get_data_dir
from pystac.errors import STACValidationError
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from geolab.catalog.rows import row
from geolab.errors import BadInput, one_line

STAC_VERSION = "1.1.0"  # the core schemas that come with pystac


class _OfflineValidator(JsonSchemaSTACValidator):
    """pystac's validator with compiled schemas, all of them local.

    pystac 1.15 downloads what it does not have, and compiles every schema for every item (45 ms).
    """

    def __init__(self) -> None:
        super().__init__()
        self._compiled: dict[str, Any] = {}

    def _get_schema(self, schema_uri: str) -> dict[str, Any]:
        return self.schema_cache[schema_uri.rstrip("#")]

    def _validate_from_uri(
        self, stac_dict: dict[str, Any], stac_object_type: Any, schema_uri: str, href: str | None = None
    ) -> None:
        if schema_uri not in self._compiled:
            schema = self._get_schema(schema_uri)
            self._compiled[schema_uri] = validator_for(schema)(schema, registry=self.registry)
        fault = best_match(self._compiled[schema_uri].iter_errors(stac_dict))
        if fault is not None:
            raise STACValidationError(f"{stac_object_type} {href or ''}: {fault.message}") from fault


def validate(item: Mapping[str, Any]) -> None:
    """Check an item against the core schema and those of its extensions.

    Raises BadInput with the first fault, or for a version or extension whose schema is not here.
    """
    row(item)
    _check_known(item)
    try:
        pystac.validation.validate_dict(json.loads(json.dumps(item)), validator=offline_validator())
    except STACValidationError as error:
        found = error.__cause__
        where = ".".join(str(step) for step in getattr(found, "absolute_path", ()))
        message = getattr(found, "message", str(error))
        text = one_line(f"{where or 'the item'}: {message}", 160)
        raise BadInput(f"STAC item '{item['id']}'", found=text, expected="a valid item") from error


def _check_known(item: Mapping[str, Any]) -> None:
    what, version = f"STAC item '{item['id']}'", item.get("stac_version")
    if version != STAC_VERSION:
        raise BadInput(what, found=f"stac_version {version!r}", expected=STAC_VERSION)
    extensions = item.get("stac_extensions", [])
    if not isinstance(extensions, list):
        raise BadInput(what, found=f"stac_extensions {extensions!r}", expected="a list")
    for extension in extensions:
        if not isinstance(extension, str) or extension.rstrip("#") not in offline_validator().schema_cache:
            known = sorted(uri for uri in offline_validator().schema_cache if "stac-extensions" in uri)
            raise BadInput(what, found=f"extension {extension!r}", expected=f"one of {', '.join(known)}")


@cache
def offline_validator() -> _OfflineValidator:
    """The validator of pystac that knows the schemas of this package."""
    validator = _OfflineValidator()
    texts = [
        entry.read_text(encoding="utf-8")
        for entry in resources.files("geolab.catalog").joinpath("schemas").iterdir()
        if entry.name.endswith(".json")
    ]
    texts.append(Path(get_data_dir(), "projjson.schema.json").read_text(encoding="utf-8"))
    for text in texts:
        schema = json.loads(text)
        validator.schema_cache[schema["$id"].rstrip("#")] = schema
    return validator
