"""Use in a job: the form of a notebook filled from the map, its run, and its results as layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from geolab import jobs
from geolab.apps import parts
from geolab.apps.map.offers import Offer, Scene, offers, prepared

if TYPE_CHECKING:
    from geolab.apps.map.found import Name
    from geolab.apps.shell import Page
    from geolab.catalog import Item

WATCH_S = 2.0
ENDED = ("succeeded", "failed", "cancelled", "lost")


class Send:
    """The panel. scene: what the map shows now. on_results(run_id, items): a run has left items."""

    def __init__(
        self,
        page: Page,
        scene: Callable[[], Scene],
        items: Callable[[Iterable[Name]], list[Item]],
        on_results: Callable[[str, list[Item]], None],
    ):
        self.page, self._scene, self._items, self._on_results = page, scene, items, on_results
        self._list, self._place = parts.stack(), parts.stack()
        self.form: Any = None
        self.run = ""
        self._watch: Any = None
        self.widget = parts.stack(self._list, self._place)

    def offer(self) -> None:
        """Say what can be done with what is in view now."""

        def show(scene: Scene) -> None:
            self._list.children = tuple(self._row(scene, one) for one in offers(scene))

        self.page.aside(self._scene, show)

    def _row(self, scene: Scene, offer: Offer) -> widgets.Widget:
        button = parts.button(offer.label, lambda: self.open(offer, scene), hint=offer.notebook)
        button.disabled = offer.values is None
        row = parts.stack(button, parts.text(offer.why, soft=True))
        row.add_class("geolab-offer")
        return row

    def open(self, offer: Offer, scene: Scene) -> None:
        """Open the notebook's form with the values of the map in it."""
        self._place.children = (parts.skeleton(),)
        self._list.layout.display = "none"
        self.page.aside(
            lambda: prepared(offer, scene, self.page.settings, self._items),
            lambda values: self._form(offer, values),
        )

    def _form(self, offer: Offer, values: dict[str, Any]) -> None:
        from geolab.apps.form import Form

        self.form = Form(self.page, offer.notebook, values=values, on_submitted=self.follow)
        back = parts.button("‹ Other jobs", self.close)
        self._list.layout.display = "none"
        self._place.children = (back, parts.heading(offer.label), self.form)

    def close(self) -> None:
        """Back to what can be done; a run that was started goes on."""
        self.form, self._place.children = None, ()
        self._list.layout.display = ""
        self.offer()

    def follow(self, run_id: str) -> None:
        """Show a run, and what it leaves on the map when it has ended."""
        from geolab.apps.runpanel import RunPanel

        self.run = run_id
        self._list.layout.display = "none"
        back = parts.button("‹ Other jobs", self.close)
        self._place.children = (back, RunPanel(self.page, run_id))
        self.page.remember(run=run_id)
        self._stop()
        self._watch = self.page.every(
            WATCH_S, self._look, work=lambda: jobs.show(run_id, settings=self.page.settings)
        )

    def _look(self, view: jobs.View) -> None:
        if view.state not in ENDED or view.run_id != self.run:
            return
        self._stop()
        if view.report:
            self._on_results(view.run_id, list(view.report["outputs"]))

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
