"""The command doctor: what is installed, which devices, what is missing and how to get it."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from geolab import __version__, settings
from geolab.cli import output
from geolab.errors import one_line


@dataclass(frozen=True)
class Finding:
    """One line of the report: `state` is ok, missing, low or broken."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def add(parsers: Any) -> None:
    """Add the command."""
    output.command(
        parsers,
        "doctor",
        report,
        what="what is installed, which devices, what is missing and how to get it",
        example="geolab doctor --json",
    )


def report(args: argparse.Namespace) -> int:
    findings = list(examine())
    if args.json:
        output.print_json([asdict(f) for f in findings])
    else:
        output.table(
            ["", "state", "found", "to do"], [(f.what, f.state, f.detail, f.remedy) for f in findings]
        )
    return 0 if all(f.state != "broken" for f in findings) else 1


def examine() -> Iterator[Finding]:
    """Everything that is looked at, in order."""
    yield Finding("geolab", "ok", f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    yield from _packages()
    yield _cuda()
    yield _rasterizer()
    yield _viewer()
    yield _chromium()
    yield from _services()


def _packages() -> Iterator[Finding]:
    missing = []
    names = sorted({re.split(r"[<>=\[!~; ]", r)[0] for r in _requirements()})
    for name in names:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "broken", f"missing: {', '.join(missing)}", "make setup")
    else:
        yield Finding("packages", "ok", f"all {len(names)} installed")
    for name, extra in (("gsplat", "splats"),):
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "missing", "optional", f"pip install 'geolab[{extra}]'")


def _requirements() -> list[str]:
    return [r for r in metadata.requires("geolab") or [] if "extra ==" not in r]


def _cuda() -> Finding:
    """Asked in a process of its own: a broken driver can end the process that loads it."""
    code = (
        "import torch; print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        return Finding("torch", "broken", done.stderr.strip().splitlines()[-1:][0], "make setup")
    version, _, device = done.stdout.strip().partition(" ")
    cores = len(os.sched_getaffinity(0))
    where = f"CPU, {cores} cores" if device == "False" else device
    return Finding("torch", "ok", f"{version} on {where}")


def _rasterizer() -> Finding:
    """What draws splats here; probed in a process of its own, for the same reason."""
    code = "from geolab.splats import rasterize; c = rasterize.choose(); print(f'{c.name}: {c.reason}')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("splats", "broken", "gsplat did not answer in 10 minutes", "backend=cpu")
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        return Finding("splats", "broken", one_line(said[0], 200), "backend=cpu works without gsplat")
    return Finding("splats", "ok", done.stdout.strip())


def _viewer() -> Finding:
    from geolab.viewer import bundle

    if bundle.name():
        return Finding("3-D viewer", "ok", f"{bundle.BUNDLE.stat().st_size / 1e6:.1f} MB, no network needed")
    return Finding(
        "3-D viewer", "missing", "pictures from the kernel instead", "install npm, then make setup"
    )


def _chromium() -> Finding:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return Finding("chromium", "ok", path)
    return Finding("chromium", "missing", "only for the browser tests", "apt-get install chromium")


def _services() -> Iterator[Finding]:
    """The workspace and what it stands on."""
    from geolab.jobs import panel

    for line in panel.services(settings.load()).lines:
        yield Finding(line.what, line.state, line.detail, line.remedy)
