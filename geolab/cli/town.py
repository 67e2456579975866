"""The command town: files of the sample world, its satellite archive, and a server for that."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab.cli import output
from geolab.errors import BadInput

if TYPE_CHECKING:
    from geolab.town.satellite import Archive, Progress

SIZE_PX, PHOTOS, YEARS, CELLS = 1024, 24, "2021-2024", 12


def add(parsers: Any) -> None:
    """Add the command."""
    town = output.command(
        parsers,
        "town",
        town_files,
        what="write the sample world's files: a town at two dates, or a satellite archive of some years",
        example="geolab town /tmp/town --seed 3 --size 1024\n"
        "  geolab town /tmp/world --satellite --years 2021-2024 --cells 12\n"
        "  geolab town /tmp/world --serve --port 8080",
    )
    town.add_argument("folder", metavar="DIR", type=Path)
    town.add_argument("--seed", type=int, help="another seed, another town (default 0)")
    town.add_argument("--size", type=int, metavar="PX", help=f"side in pixels (default {SIZE_PX})")
    town.add_argument("--photos", type=int, metavar="N", help=f"how many drone photos (default {PHOTOS})")
    mode = town.add_mutually_exclusive_group()
    mode.add_argument(
        "--satellite", action="store_true", help="write a satellite archive with its truth instead of a town"
    )
    mode.add_argument(
        "--serve", action="store_true", help="serve the satellite archive in DIR as a STAC API, until stopped"
    )
    town.add_argument("--years", metavar="A-B", help=f"of the archive (default {YEARS})")
    town.add_argument("--cells", type=int, metavar="N", help=f"of the archive's grid (default {CELLS})")
    town.add_argument("--port", type=int, metavar="P", help="of --serve (default 0: a free one)")


def town_files(args: argparse.Namespace) -> int:
    if args.serve:
        _only(args, "--serve", ("port",))
        return _serve(args)
    if args.satellite:
        _only(args, "--satellite", ("seed", "years", "cells"))
        return _satellite(args)
    _only(args, "", ("seed", "size", "photos"))
    return _town(args)


def _only(args: argparse.Namespace, mode: str, usable: tuple[str, ...]) -> None:
    """Raise BadInput for an option that means nothing here."""
    for name in ("seed", "size", "photos", "years", "cells", "port"):
        if name not in usable and getattr(args, name) is not None:
            needs = {"years": "--satellite", "cells": "--satellite", "port": "--serve"}.get(name)
            beside = f"beside {mode}" if mode else f"without {needs}"
            expected = ", ".join(f"--{n}" for n in usable)
            raise BadInput(f"option --{name}", found=f"it {beside}", expected=f"only {expected}")


def _town(args: argparse.Namespace) -> int:
    from geolab import town

    written = town.write(
        args.folder,
        seed=args.seed or 0,
        size_px=SIZE_PX if args.size is None else args.size,
        photos=PHOTOS if args.photos is None else args.photos,
    )
    rasters = [written.before, written.after, written.change, written.dsm_before, written.dsm_after]
    others = [written.readme, *written.photos, *([written.cameras] if written.cameras else [])]
    files = [str(path) for path in rasters + others]
    if args.json:
        output.print_json({"folder": str(args.folder.absolute()), "files": files})
        return 0
    print(f"{len(files)} files in {args.folder.absolute()}")
    print(f"next: geolab ingest {args.folder} --collection town")
    return 0


def _satellite(args: argparse.Namespace) -> int:
    from geolab.town import satellite

    years = _years(args.years or YEARS)
    cells = CELLS if args.cells is None else args.cells
    making = satellite.making(args.folder, seed=args.seed or 0, years=years, cells=cells)
    made = _watched(making, quiet=args.json)
    if args.json:
        found = {"folder": str(made.folder), "grid": str(made.grid), "readme": str(made.readme)}
        output.print_json({**found, "items": len(made.items), "truth": len(made.truth)})
        return 0
    when = f"{years[0]} to {years[-1]}" if len(years) > 1 else str(years[0])
    where = f"{cells} cell{'s' if cells > 1 else ''}"
    print(f"{len(made.items)} scenes of {when} over {where} in {made.folder}")
    print(f"next: geolab town {args.folder} --serve")
    return 0


def _watched(making: Iterator[Progress], *, quiet: bool) -> Archive:
    made = None
    with output.progress(quiet=quiet) as bar:
        task = bar.add_task("overpasses", total=None)
        for step in making:
            bar.update(task, completed=step.done, total=step.total)
            made = step.archive
    assert made is not None
    return made


def _years(text: str) -> range:
    match = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if last < first:
        raise BadInput("--years", found=repr(text), expected="such as 2021-2024, or 2021")
    return range(first, last + 1)


def _serve(args: argparse.Namespace) -> int:
    from geolab.service import archive

    def ready(url: str) -> None:
        print(json.dumps({"url": url}) if args.json else url, flush=True)

    archive.serve(args.folder, port=args.port or 0, ready=ready)
    return 0
