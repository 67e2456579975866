"""What a form shows for each parameter, and how what it holds becomes the parameter's value.

A form holds texts, as the command line does (None, true or false, lists of texts where a control has
them). They are read by the same code that reads the command line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from geolab.jobs.parameters import Contract, value
from geolab.jobs.values import Parameter

Said = str | bool | None | list[str]

LOG_FROM = 100  # a range whose ends are this many times apart gets a logarithmic slider
ADVANCED = frozenset(
    {"align", "backend", "buffer_px", "clear", "dry_run", "held_out", "min_looks", "normalise", "resume"}
    | {"scl", "seed", "sfm", "sh_degree", "strategy", "strict", "tile_px"}
)

_WORDS = {
    "api": "API", "bbox": "Area", "cap": "Most Gaussians", "crs": "CRS", "datetime": "Dates",
    "fps": "Frames a second", "gcp": "Ground control points", "gsd": "Pixel size", "scl": "Scene classes",
    "sfm": "Find cameras", "sh": "Colour", "tile": "Tile size", "image": "Image size", "town": "Town size",
}  # fmt: skip
_UNITS = {
    "px": "pixels", "m": "m", "m2": "m²", "s": "s", "deg": "°", "pct": "%", "mb": "MB", "ha": "ha", "km": "km"
}  # fmt: skip
_SAID_UNITS = (
    "pixels", "minutes", "seconds", "hours", "days", "metres", "kilometres", "degrees", "per cent", "hectares"
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One parameter in a form. control: which widget shows it.

    words: what may be said instead of a name; low, high, step: of a slider; log: it is logarithmic.
    """

    name: str
    label: str
    help: str
    unit: str
    control: str
    optional: bool = False
    empty: bool = False  # nothing is a value too
    reference: str = ""
    words: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    many: bool = False
    upload: bool = False
    draws: bool = False  # it can be drawn on a map
    default: Said = None
    advanced: bool = False
    named: bool = True  # whether its name in commands is shown


def of(contract: Contract) -> tuple[Field, ...]:
    """The fields of a notebook, in the order of its parameters."""
    return tuple(field(parameter) for parameter in contract.parameters)


def field(parameter: Parameter) -> Field:
    """One parameter's field."""
    unit = unit_of(parameter)
    reference = parameter.references[0] if parameter.references else ""
    facts = _slider(parameter) if (control := control_of(parameter)) == "slider" else {}
    return Field(
        parameter.name,
        label_of(parameter.name),
        "" if (help := sentence(parameter.help)).lower() == label_of(parameter.name).lower() else help,
        unit,
        control,
        optional=parameter.optional,
        empty=parameter.default in ("", None, []),
        reference=reference,
        words=_words(parameter),
        many=parameter.base == "list",
        draws=control == "bbox" or (reference == "source" and "GeoJSON" in parameter.help),
        upload=reference in ("source", "scene") and parameter.base == "str",
        default=said(parameter, parameter.default),
        advanced=parameter.name in ADVANCED,
        **facts,
    )


def control_of(parameter: Parameter) -> str:
    """Which control shows it: one name per way of asking."""
    if parameter.references:
        return "lines" if parameter.base == "list" else "pick"
    if parameter.choices:
        return "checks" if parameter.base == "list" else "choice"
    if parameter.form or parameter.base == "bool":
        return parameter.form or ("choice" if parameter.optional else "switch")
    if parameter.base in ("int", "float"):
        ends = parameter.minimum is not None and parameter.maximum is not None
        return "slider" if ends and parameter.minimum != parameter.maximum else "number"
    return {"str": "text", "list": "list", "dict": "json"}[parameter.base]


def _words(parameter: Parameter) -> tuple[str, ...]:
    if parameter.base == "bool":
        return ("true", "false")
    words = tuple(_written(choice) for choice in parameter.choices)
    return ("latest", *words) if parameter.references == ("splats",) else words


def _slider(parameter: Parameter) -> dict[str, Any]:
    low, high = parameter.minimum, parameter.maximum
    assert low is not None
    assert high is not None
    wide = low > 0 and high / low >= LOG_FROM
    fine = 10 ** math.floor(math.log10((high - low) / 100))
    return {"low": low, "high": high, "step": 1 if parameter.base == "int" else fine, "log": wide}


# ---------------------------------------------------------------- words


def label_of(name: str) -> str:
    """What a parameter is called: 'tile_px' is a tile size."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in _UNITS:
        words = words[:-1]
    text = " ".join(_WORDS.get(word, word) for word in words if word) or name
    return text[:1].upper() + text[1:]


def unit_of(parameter: Parameter) -> str:
    """The unit of a number, by its name's end or by the words of its help; "" if neither says one."""
    if parameter.base not in ("int", "float"):
        return ""
    ending = parameter.name.rpartition("_")[2]
    if ending in _UNITS and ending != parameter.name:
        return _UNITS[ending]
    found = re.search(rf"(?:^|, )({'|'.join(_SAID_UNITS)})(?:$|[,;.])", parameter.help)
    return {"per cent": "%"}.get(found[1], found[1]) if found else ""


def sentence(text: str) -> str:
    """A help text as a sentence."""
    return text[:1].upper() + text[1:] if text[:1].islower() else text


# ---------------------------------------------------------------- values


def said(parameter: Parameter, given: Any) -> Said:
    """What the form holds for a value; `given_by` reads the same value back."""
    if given is None:
        return None
    control = control_of(parameter)
    if control in ("switch", "checks"):
        return given
    if parameter.base == "list":
        return _WRITERS[mode(parameter, given)](given)
    return _written(given)


def given_by(parameter: Parameter, held: Said, how: str = "") -> Any:
    """What jobs.parse is given for what a form holds. how: the mode in which a list is written."""
    if parameter.base == "list" and isinstance(held, str):
        return _READERS[how or "json"](held)
    return "none" if held is None else held


def read(parameter: Parameter, held: Said, how: str = "") -> Any:
    """The typed value of what a form holds. Raises BadInput in the command line's words."""
    return value(parameter, given_by(parameter, held, how))


def _written(given: Any) -> str:
    """A value as a text that reads back as it; 80.0 is written 80."""
    if isinstance(given, float) and given.is_integer() and 0 < abs(given) < 1e15:
        return str(int(given))
    if given == 0 and isinstance(given, float) and math.copysign(1, given) > 0:
        return "0"
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def mode(parameter: Parameter, given: Any) -> str:
    """How a list is best written: as words, lines or numbers; as JSON where these can't say it."""
    if parameter.base != "list" or control_of(parameter) == "checks":
        return ""
    shown = given if given else parameter.default
    texts = all(isinstance(one, str) for one in shown or [])
    if parameter.references:
        return "lines" if texts and all(map(partial(_fits, "\n\r"), given or [])) else "json"
    if texts:
        return "words" if all(map(partial(_fits, ",\n\r"), given or [])) else "json"
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in shown)
    return "numbers" if numbers else "json"


def _fits(separators: str, text: str) -> bool:
    """Whether a text stands alone between separators."""
    return text == text.strip() != "" and not set(separators) & set(text)


def _numbers(given: list[Any]) -> str:
    return ", ".join(map(json.dumps, given))


_WRITERS: dict[str, Callable[[list[Any]], str]] = {
    "words": ", ".join, "lines": "\n".join, "numbers": _numbers, "json": _written
}  # fmt: skip


def _split(separators: str, text: str) -> list[str]:
    return [part.strip() for part in re.split(separators, text) if part.strip()]


_READERS: dict[str, Callable[[str], Any]] = {
    "words": partial(_split, "[,\n\r]"),
    "lines": partial(_split, "[\n\r]"),
    "numbers": "[{}]".format,
    "json": str,
}
