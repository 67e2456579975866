"""Commands about splat models: info, convert."""

from __future__ import annotations

import argparse
from typing import Any

from geolab.cli import output
from geolab.errors import one_line

_CHANGES = {
    "position_m": "{:.2g} m",
    "rotation_deg": "{:.2g} degrees",
    "scale": "{:.2%} of a scale",
    "opacity": "{:.2g} of opacity",
    "colour": "{:.2g} of colour (0..1)",
    "harmonics": "{:.2g} of a higher harmonic",
}


def add(parsers: Any) -> None:
    """Add the command and its verbs."""
    splats = output.command(
        parsers,
        "splats",
        show_help,
        what="read and convert files of Gaussian splats: PLY, SPZ, GLB, 3D Tiles",
        example="geolab splats info model.ply\n  geolab splats convert model.ply model.spz",
        json_output=False,
    )
    splats.set_defaults(parser=splats)
    verbs = splats.add_subparsers(title="verbs", metavar="info|convert", parser_class=type(splats))
    info = output.command(
        verbs,
        "info",
        show_info,
        what="what a file holds: how many Gaussians, where on Earth, how large",
        example="geolab splats info model.ply",
    )
    info.add_argument("file", metavar="FILE", help="a .ply, .spz, .glb or tileset.json; a path or URI")
    convert = output.command(
        verbs,
        "convert",
        convert_file,
        what="write a model in another format, with its place on Earth, and say what that costs",
        example="geolab splats convert model.ply tiles/tileset.json",
    )
    convert.add_argument("file", metavar="FILE", help="a .ply, .spz, .glb or tileset.json; a path or URI")
    convert.add_argument("out", metavar="OUT", help="a name that ends in .ply, .spz, .glb or .json")
    convert.add_argument("--force", action="store_true", help="replace OUT if it is there")


def show_help(args: argparse.Namespace) -> int:
    args.parser.print_help()
    return 2


def show_info(args: argparse.Namespace) -> int:
    from geolab.splats import io

    found = io.info(args.file)
    if args.json:
        output.print_json(found | {"meta": sorted(found["meta"])})
        return 0
    for name, value in io.summary(found).items():
        print(f"{name:<14}{one_line(value)}")
    for warning in found["warnings"]:
        print(f"note: {one_line(warning)}")
    return 0


def convert_file(args: argparse.Namespace) -> int:
    from geolab.splats import io
    from geolab.splats.io.facts import size

    done = io.convert(args.file, args.out, replace=args.force)
    if args.json:
        output.print_json(done)
        return 0
    print(f"{done['file']}: {output.number(done['gaussians'])} Gaussians, {size(done['bytes'])}")
    changes = [_CHANGES[name].format(value) for name, value in done["changed"].items() if value]
    print("changed by up to: " + ", ".join(changes) if changes else "nothing was changed")
    for warning in done["warnings"]:
        print(f"note: {one_line(warning)}")
    return 0
