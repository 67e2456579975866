"""Pairs from the field's usual folders: A/, B/ and label/, files matched by name.

DIR/{A,B,label}/NAME.png                    with or without DIR/list/{train,val,test}.txt
DIR/{train,val,test}/{A,B,label}/NAME.png   as LEVIR-CD is shipped
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from geolab import raster
from geolab.change.pairs import split
from geolab.change.pairs.part import Pair
from geolab.errors import BadInput, NotFound, one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
KINDS = ("A", "B", "label")


def is_layout(folder: Path) -> bool:
    """Whether the folder holds A/ (or train/A/), by which the layout is known."""
    return (folder / "A").is_dir() or (folder / "train" / "A").is_dir()


def read(folder: Path) -> dict[str, list[Pair]]:
    """The pairs of each part that the folder tells apart, or all of them under "all".

    Raises BadInput or NotFound naming the file that is missing, doubled or of another size.
    """
    if not (folder / "A").is_dir():
        found = {part: _pairs(folder / part, f"{part}/") for part in split.SHARES if (folder / part).is_dir()}
        return _completed(found)
    pairs = {Path(p.id).name: p for p in _pairs(folder, "")}
    lists = [folder / "list" / f"{part}.txt" for part in split.SHARES]
    if not any(path.is_file() for path in lists):
        return {"all": list(pairs.values())}
    named = {path.stem: [pairs[name] for name in _names(path, pairs)] for path in lists if path.is_file()}
    _check_disjoint(named)
    return _completed(named)


def _completed(parts: dict[str, list[Pair]]) -> dict[str, list[Pair]]:
    """The parts; those that are absent are cut from the end of the training pairs, in name order."""
    absent = [part for part in split.SHARES if not parts.get(part)]
    if not absent:
        return parts
    if "train" in absent or len(parts["train"]) <= len(absent):
        raise BadInput(
            "pairs", found=f"no list or folder for {', '.join(absent)}",
            expected="train, val and test, or train alone with pairs enough to cut the others from",
        )  # fmt: skip
    return parts | split.by_name(parts["train"], ["train", *absent])


def _names(path: Path, known: Iterable[str]) -> list[str]:
    names = sorted({Path(line.strip()).stem for line in path.read_text("utf-8").splitlines() if line.strip()})
    known = set(known)
    for name in names:
        if name not in known:
            raise NotFound("pair", one_line(name), known=known, remedy=f"it is named in list/{path.name}")
    return names


def _check_disjoint(parts: dict[str, list[Pair]]) -> None:
    seen: dict[str, str] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            other = seen.setdefault(pair.id, part)
            if other != part:
                raise BadInput(f"pair {pair.id}", found=f"in {other}.txt and {part}.txt", expected="one list")


def _pairs(folder: Path, prefix: str) -> list[Pair]:
    files = {kind: _files(folder / kind) for kind in KINDS}
    names = sorted(set().union(*files.values()))
    if not names:
        raise NotFound("image", str(folder / "A"), remedy="expected " + ", ".join(SUFFIXES))
    for name in names:
        for kind in KINDS:
            if name not in files[kind]:
                have = next(files[k][name] for k in KINDS if name in files[k])
                raise NotFound(
                    "file", f"{prefix}{kind}/{name}", remedy=f"{prefix}{_short(have)} has no partner"
                )
    return [_pair(prefix + name, *(files[kind][name] for kind in KINDS)) for name in names]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise NotFound("folder", str(folder), remedy="pairs lie in A/, B/ and label/")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise BadInput(
                _short(path), found=f"{found[path.stem].name} beside it", expected="one file a name"
            )
        found[path.stem] = path
    return found


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _pair(name: str, before: Path, after: Path, label: Path) -> Pair:
    infos = [raster.read_info(str(path)) for path in (before, after, label)]
    first = infos[0]
    for path, info in zip((after, label), infos[1:], strict=True):
        if info.crs is not None and first.crs is not None:
            raster.same_grid(first, info)
        if info.shape != first.shape:
            raise BadInput(
                _short(path), found=f"{info.width} x {info.height} px",
                expected=f"{first.width} x {first.height} px, as {_short(before)} has",
            )  # fmt: skip
    if len(first.data_bands) != len(infos[1].data_bands):
        found, expected = len(infos[1].data_bands), len(first.data_bands)
        raise BadInput(_short(after), found=f"{found} bands", expected=f"{expected}, as {_short(before)} has")
    return Pair(name, str(before), str(after), str(label), first.height, first.width)
