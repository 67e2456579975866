"""Pages of the apps: how soon they can be used, what an open one takes, what is left of those that were left.

    python bench/apps.py [WORKSPACE]          a lived-in one is made in build/ when none is given

First useful view: from asking for the address to the page's widgets on the screen, in headless Chromium.
Cold: the kernel is started anew and the browser has kept nothing. Preheated: the kernel is forked, the
browser was here before. Memory: what a page's process has for itself (USS), and its share of all (PSS).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
from playwright.sync_api import BrowserContext, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = REPOSITORY / "tests"
PAGES = ("home", "data", "map", "training", "models", "change", "splats", "monitor")
ROUNDS, MANY = 3, 20
AIM_S = 2.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
FLAGS += ["--enable-unsafe-swiftshader"]  # WebGL without a GPU
READY = """() => {
    const cells = document.getElementById("rendered_cells"), bones = document.getElementById("loading");
    return cells && !bones && cells.querySelector(".jupyter-widgets") !== null;
}"""


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"geolab_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@contextmanager
def server(home: Path) -> Iterator[Any]:
    serving = module(TESTS / "service" / "serving.py")
    options = ("--PageKernels.most_each=24",)
    with tempfile.TemporaryDirectory() as scratch:
        given = {"root": serving.APPS, "config": serving.APPS_CONFIG, "options": options}
        with serving.serve(home, Path(scratch), **given) as running:
            yield running


@contextmanager
def browser() -> Iterator[BrowserContext]:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path="/usr/bin/chromium", args=FLAGS, viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()


def opened(context: BrowserContext, running: Any, name: str) -> tuple[Any, float, float]:
    """The page, seconds to its frame, seconds to its first useful view."""
    page = context.new_page()
    began = time.monotonic()
    page.goto(f"{running.url}voila/render/{name}.ipynb?token={running.token}", wait_until="commit")
    page.wait_for_selector(".geolab-rail a", timeout=60_000)
    frame = time.monotonic() - began
    page.wait_for_function(READY, timeout=120_000)
    return page, frame, time.monotonic() - began


def kernels(running: Any) -> int:
    return running.get("api/status").json()["kernels"]


def cold_views(home: Path) -> dict[str, float]:
    """Seconds to the first useful view of every page, by a browser that was never here."""
    found = {}
    with server(home) as running:
        for name in PAGES:
            with browser() as context:
                found[name] = opened(context, running, name)[2]
    return found


def warm_views(home: Path) -> dict[str, list[tuple[float, float]]]:
    """(frame, first useful view) of every page, seconds, by a browser that was here before."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PAGES}
    with server(home) as running, browser() as context:
        for number in range(ROUNDS + 1):
            for name in PAGES:
                page, frame, view = opened(context, running, name)
                page.close(run_before_unload=True)
                if number:
                    found[name].append((frame, view))
    return found


def show_views(home: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cold_home = Path(folder) / "home"
        shutil.copytree(home, cold_home)
        (cold_home / "geolab.toml").write_text("warm = 0\n")
        cold = cold_views(cold_home)
    warm = warm_views(home)
    print(f"{'page':<10} {'frame':>8} {'cold':>8} {'preheated':>10}   aim {AIM_S:g} s, medians of {ROUNDS}")
    for name in PAGES:
        frames, seen = zip(*warm[name], strict=True)
        view = statistics.median(seen)
        frame = statistics.median(frames) * 1000
        print(f"{name:<10} {frame:5.0f} ms {cold[name]:6.2f} s {view:8.2f} s   {view / AIM_S:.2f} of the aim")


def show_many(home: Path) -> None:
    with server(home) as running, browser() as context:
        pages = [opened(context, running, PAGES[number % len(PAGES)])[0] for number in range(MANY)]
        family = psutil.Process(running.pid).children(recursive=True)
        held = [one.memory_full_info() for one in family if one.name() == "geolab-kernel"]
        uss, pss = (statistics.mean(getattr(one, what) for one in held) / 1e6 for what in ("uss", "pss"))
        print(f"{MANY} pages open: {kernels(running)} kernels, {uss:.0f} MB each (USS), {pss:.0f} MB (PSS)")
        began = time.monotonic()
        for page in pages:
            page.close(run_before_unload=True)
        while kernels(running) and time.monotonic() - began < 600:
            time.sleep(0.1)
        print(f"left: {kernels(running)} kernels after {time.monotonic() - began:.1f} s")


def main(home: str = "") -> None:
    workspace = Path(home).absolute() if home else REPOSITORY / "build" / "lived-in"
    if not (workspace / "catalog.db").exists():
        module(TESTS / "browser" / "lived_in.py").make(workspace)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    show_views(workspace)
    show_many(workspace)


if __name__ == "__main__":
    main(*sys.argv[1:])
