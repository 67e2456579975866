"""Command about cells: grid."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from geolab.cli import output


def add(parsers: Any) -> None:
    """Add the command."""
    grid = output.command(
        parsers,
        "grid",
        make_grid,
        what="cut an area into square UTM cells, for pipelines over a grid",
        example="geolab grid area.geojson --out grid.gpkg --side 2560",
    )
    grid.add_argument(
        "area", metavar="AREA", help="W,S,E,N in degrees, GeoJSON (a file or text) or a GeoPackage"
    )
    grid.add_argument("--out", metavar="FILE", type=Path, default=Path("grid.gpkg"), help="default grid.gpkg")
    grid.add_argument(
        "--side", metavar="M", type=float, default=2560, help="of a cell, metres (default 2560)"
    )
    grid.add_argument("--gsd", metavar="M", type=float, default=10, help="of a pixel, metres (default 10)")


def make_grid(args: argparse.Namespace) -> int:
    from geolab.raster import cells

    found = cells.over(cells.parsed(args.area), side_m=args.side, gsd_m=args.gsd)
    cells.write(args.out, found)
    zones = sorted({cell.epsg for cell in found})
    if args.json:
        output.print_json(
            {"grid": str(args.out.absolute()), "cells": [cell.id for cell in found], "epsg": zones}
        )
        return 0
    named = ", ".join(f"EPSG:{epsg}" for epsg in zones)
    print(f"{len(found)} cells of {args.side:g} m in {named}: {args.out.absolute()}")
    print(f"next: geolab pipeline plan pipelines/yearly_change.yaml -p grid={args.out}")
    return 0
