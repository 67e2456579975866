"""Pictures of every page: `make screenshots`, `python tests/browser/screenshots.py [WORKSPACE] [page ...]`.

1280 by 900 and 390 by 844 pixels, light and dark, into build/screenshots. Without a workspace a lived-in
one is made in build/. Says what went wrong on a page; exit code 1 if anything did.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from playwright.sync_api import Browser, Page, sync_playwright

PAGES = ("home", "data", "map", "training", "models", "change", "splats", "monitor")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
FLAGS = [
    "--no-sandbox", "--disable-gpu",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # WebGL without a GPU
]  # fmt: skip
HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "screenshots"


def module(path: Path) -> ModuleType:
    """A module by its path: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"geolab_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def settle(page: Page) -> None:
    """Wait until the page has its widgets and asks for nothing more."""
    page.wait_for_selector("#rendered_cells .jupyter-widgets", timeout=90_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(700)  # transitions


def shoot(browser: Browser, address: str, name: str) -> list[str]:
    """The names of what was taken: one load for each size and scheme. Errors are returned."""
    wrong: list[str] = []
    for size, (width, height) in SIZES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda m: wrong.append(f"{name}: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: wrong.append(f"{name}: {e}"))
        try:
            page.goto(address, wait_until="commit")
            settle(page)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if wide > 0:
                wrong.append(f"{name}: {wide} px wider than a {size}")
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
                page.wait_for_timeout(200)
                page.screenshot(path=OUT / f"{name}-{size}-{scheme}.png")
        except Exception as problem:  # noqa: BLE001 (the others are wanted all the same)
            wrong.append(f"{name}, {size}: {problem}")
        page.close()
    return wrong


def main(home: str = "", *names: str) -> int:
    """The exit code."""
    serving = module(HERE.parent / "service" / "serving.py")
    OUT.mkdir(parents=True, exist_ok=True)
    workspace = Path(home).absolute() if home else OUT.parent / "lived-in"
    if not (workspace / "catalog.db").exists():
        module(HERE / "lived_in.py").make(workspace)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        given = {"root": serving.APPS, "config": serving.APPS_CONFIG}
        with serving.serve(workspace, Path(scratch), **given) as server:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            for name in names or PAGES:
                if (serving.APPS / f"{name}.ipynb").exists():
                    address = f"{server.url}voila/render/{name}.ipynb?token={server.token}"
                    wrong += shoot(browser, address, name)
                else:
                    wrong.append(f"{name}: there is no such notebook")
            browser.close()
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT}")
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
