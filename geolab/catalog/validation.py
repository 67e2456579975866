"""STAC validation by pystac with the schemas beside this file; the network is never asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import pystac
from pystac.errors import STACValidationError
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from geolab.errors import BadInput, one_line


class _Unknown(LookupError):
    """A schema that geolab does not hold."""


class _OfflineValidator(JsonSchemaSTACValidator):
    """pystac's validator, which would otherwise download schemas it does not have."""

    def _get_schema(self, schema_uri: str) -> dict[str, Any]:
        if schema_uri.rstrip("#") not in self.schema_cache:
            raise _Unknown(schema_uri)
        return self.schema_cache[schema_uri.rstrip("#")]


def validate(item: Mapping[str, Any]) -> None:
    """Check an item against the core schema and those of its extensions.

    Raises BadInput with the first fault, or for an extension whose schema geolab does not hold.
    """
    document = json.loads(json.dumps(item))
    try:
        pystac.validation.validate_dict(document, validator=_validator())
    except STACValidationError as error:
        raise BadInput("STAC item", found=one_line(error, 200), expected="a valid item") from error


@cache
def _validator() -> _OfflineValidator:
    validator = _OfflineValidator()
    for entry in resources.files("geolab.catalog").joinpath("schemas").iterdir():
        if entry.name.endswith(".json"):
            schema = json.loads(entry.read_text(encoding="utf-8"))
            validator.schema_cache[schema["$id"].rstrip("#")] = schema
    return validator
