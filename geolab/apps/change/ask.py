"""The question: which pair, checked; how; and Run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from geolab.apps import parts
from geolab.apps.change.checks import item_of, ref_of
from geolab.apps.change.how import How
from geolab.apps.change.pair import Pair

if TYPE_CHECKING:
    from geolab.apps.shell import Page


class Ask(widgets.VBox):
    """on_run(run_id): a detection was asked for."""

    def __init__(self, page: Page, on_run: Callable[[str], None]):
        self.page = page
        self.pair = Pair(page, self._paired)
        self.how: How | None = None
        self.on_run = on_run
        self.place = parts.stack(parts.text("First choose two images of one place.", soft=True))
        pair, how = parts.card("Pair", self.pair), parts.card("Method", self.place)
        super().__init__([parts.grid(pair, how, columns="minmax(0, 3fr) minmax(0, 2fr)")])
        self.add_class("geolab-box")
        asked = [page.asked[name] for name in ("before", "after")]
        if any(asked):
            self.pair.choose(*(item_of(page, ref) if ref else None for ref in asked))

    def _paired(self) -> None:
        before, after = self.pair.before, self.pair.after
        if before is None or after is None:
            self.place.children = (parts.text("First choose two images of one place.", soft=True),)
            return
        refs = [ref_of(self.page, item) for item in (before, after)]
        self.page.remember(before=refs[0], after=refs[1])
        if self.how is None:
            self.how = How(self.page, self.on_run, self.pair.aligned)
        self.how.pair(*refs)
        stopped = parts.text("This pair can't be run as it is: see the checks beside it.")
        self.place.children = (self.how,) if self.pair.ready else (stopped, *self.how.switches)
