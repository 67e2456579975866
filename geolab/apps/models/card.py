"""What a registered model is, as its folder's model.json tells; no weights are read, torch is not loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geolab.errors import FileRejected, one_line

LARGEST_BYTES = 32 << 20
MOST_BANDS = 64  # that are listed


def read(folder: Path) -> dict[str, Any]:
    """The description in a model's folder. Raises FileRejected."""
    path = folder / "model.json"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise FileRejected(str(path), f"larger than {LARGEST_BYTES >> 20} MiB")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileRejected(str(path), f"not a model's description: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise FileRejected(str(path), "not a model's description")
    return found


def signature(told: Mapping[str, Any]) -> dict[str, str]:
    """What goes in and what comes out, with the normalisation that belongs to the weights."""
    made, prepared = _part(told, "architecture"), _part(told, "preprocessing")
    bands = [one_line(band, 40) for band in _list(prepared.get("bands"))][:MOST_BANDS]
    threshold = told.get("threshold")
    found = {
        "Architecture": one_line(" ".join(str(made.get(k) or "") for k in ("kind", "size")), 80),
        "Takes": f"two dates of {len(bands)} bands on one grid: {', '.join(bands)}" if bands else "",
        "Gives": "probability of change, 0 to 1, at every pixel",
        "Subtracts": _each(bands, prepared.get("mean")),
        "Divides by": _each(bands, prepared.get("std")),
        "Threshold": f"{threshold:.3g}" if _is_number(threshold) else "",
        "Made with": one_line(f"geolab {told.get('geolab')}", 60) if told.get("geolab") else "",
        "Weights (SHA-256)": one_line(told.get("weights_sha256") or "", 64),
    }
    return {name: text for name, text in found.items() if text}


def _each(bands: list[str], numbers: Any) -> str:
    """A number for each band: the normalisation that the weights were trained with."""
    pairs = zip(bands, _list(numbers), strict=False)
    return ", ".join(f"{band} {number:.4g}" for band, number in pairs if _is_number(number))


def facts(told: Mapping[str, Any]) -> dict[str, str]:
    """What is worth knowing of the training: plain values only, long ones counted."""
    found = _part(told, "facts")
    return {one_line(name, 60).replace("_", " "): _fact(value) for name, value in list(found.items())[:60]}


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        plain = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return (
            one_line(", ".join(f"{k} {_fact(v)}" for k, v in plain.items()), 300) or f"{len(value)} entries"
        )
    if isinstance(value, list):
        return one_line(", ".join(map(str, value)), 200) if len(value) <= 12 else f"{len(value):,} entries"
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(value, 300)


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
