"""The frame of every page: its query checked, its clock, its address, one line for what went wrong.

    apps.show("home")        what notebooks/apps/home.ipynb calls

The page's builder, `geolab.apps.home.build(page)`, returns the widget that is shown below that line.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import ipywidgets as widgets

from geolab import settings as settings_module
from geolab.apps import faults, query
from geolab.apps.clock import Clock, Task
from geolab.apps.frame import Frame
from geolab.errors import BadInput, GeolabError
from geolab.maps import origin
from geolab.settings import Settings

T = TypeVar("T")
KINDS = ("ok", "run", "warn", "fail")
FAILED = "Something failed here. Load the page again; if it fails once more, the details say where."

_log = logging.getLogger("geolab.apps")


class Page:
    """What a page's builder is given. asked: the page's parameters, typed and checked."""

    def __init__(self, name: str, settings: Settings, asked: dict[str, Any]):
        self.name, self.settings, self.asked = name, settings, asked
        self.frame = Frame()
        self.clock = Clock(self.frame, self.fault)
        faults.handler = self.fault

    # ------------------------------------------------------------ addresses

    def link(self, page: str, **query: Any) -> str:
        """The address of another page with these parameters; empty ones are left out."""
        given = {name: as_text(value) for name, value in query.items() if value not in (None, "")}
        end = f"?{urlencode(given)}" if given else ""
        return f"{origin.base_url()}voila/render/{quote(page, safe='')}.ipynb{end}"

    def remember(self, **query: Any) -> None:
        """Put these parameters into the page's address: a reload finds them. None or "" takes one out."""
        self.asked |= query
        given = {name: "" if value is None else as_text(value) for name, value in query.items()}
        self.frame.address = {**self.frame.address, **given}

    # ------------------------------------------------------------ time and long work

    def every(self, seconds: float, do: Callable[..., None], *, work: Callable[[], T] | None = None) -> Task:
        """Do something at once and then every so often, while a browser shows this page.

        work: done before in a thread; `do` is then called with its result on the kernel's loop.
        The task that comes back can be stopped, and asked to be done soon.
        """
        return self.clock.every(seconds, do, work)

    def aside(self, work: Callable[[], T], do: Callable[[T], None]) -> None:
        """Do some work once in a thread, then call `do` with its result on the kernel's loop."""
        self.clock.once(do, work)

    # ------------------------------------------------------------ words

    def tell(self, text: str, kind: str = "ok", *, details: str = "") -> None:
        """Say one line at the top; "" takes it away. details: text that is folded below it."""
        if kind not in KINDS:
            raise BadInput("kind", found=repr(kind), expected=f"one of {', '.join(KINDS)}")
        self.frame.notice = {"text": str(text), "kind": kind, "details": details} if text else {}

    def fault(self, error: BaseException) -> None:
        """Say in one line what failed; what nobody foresaw is logged, its details folded."""
        if isinstance(error, GeolabError):
            self.tell(str(error), "fail")
            return
        _log.error("page %s failed", self.name, exc_info=error)
        self.tell(FAILED, "fail", details="".join(traceback.format_exception(error)))

    def guard(self, do: Callable[..., Any]) -> Callable[..., Any]:
        """The same callback; what it raises becomes one line of the page."""

        def guarded(*args: Any, **named: Any) -> Any:
            try:
                return do(*args, **named)
            except Exception as error:  # noqa: BLE001 (said on the page, and logged)
                self.fault(error)
                return None

        return guarded


def as_text(value: Any) -> str:
    """A parameter's value as it stands in an address: what jobs.parse reads back."""
    return value if isinstance(value, str) else query.written(value)


def show(name: str, **parameters: Any) -> None:
    """Show a page of the apps. parameters: those of its notebook, over which the query's values win."""
    from IPython.display import display

    page, problem = _page(name, parameters, os.environ.get("QUERY_STRING", ""))
    body = _built(page)
    if problem and not page.frame.notice:
        page.tell(problem, "fail")
    display(framed(page, body))


def framed(page: Page, body: widgets.Widget) -> widgets.VBox:
    """The page as one widget."""
    shown = widgets.VBox([page.frame, body])
    shown.add_class("geolab-apps")
    shown.add_class(f"geolab-apps-{page.name}")
    return shown


def _page(name: str, parameters: Mapping[str, Any], asked: str) -> tuple[Page, str]:
    """The page, and what is wrong with what was asked of it."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise BadInput("page", found=repr(name), expected="a page's name")
    faults.keep_log(settings := settings_module.load())
    values, problem = query.asked(name, parameters, asked, settings)
    return Page(name, settings, values), problem


def _built(page: Page) -> widgets.Widget:
    """The page's content; nothing but the line above when it can't be made."""
    try:
        return importlib.import_module(f"geolab.apps.{page.name}").build(page)
    except Exception as error:  # noqa: BLE001 (said on the page, and logged)
        page.fault(error)
        return widgets.VBox([])
