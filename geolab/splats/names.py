"""What the files and items of models are called."""

from __future__ import annotations

from pathlib import PurePosixPath

KIND = "splats"  # of geolab:product
SUFFIXES = (".ply", ".spz", ".glb")  # of files that are models, besides a tileset.json
TILESET = "tileset.json"
_ID_DIGITS = 16


def is_model(uri: str) -> bool:
    """Whether a name is that of a model's file: by its end alone."""
    name = PurePosixPath(uri).name.lower()
    return name == TILESET or name.endswith(SUFFIXES)


def item_id(digest: str) -> str:
    """The id of the item of the model file with this SHA-256: the same bytes are the same item."""
    return f"{KIND}-{digest[:_ID_DIGITS]}"
