"""The slider below the map: which date's images are shown, or which years' change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets

from geolab.apps import parts

IMAGES, CHANGE = "Images", "Change"


class TimeBar:
    """Dates to choose from. on_choose(): another date or kind was chosen. chosen: "" for none."""

    def __init__(self, on_choose: Callable[[], None]):
        self._on_choose, self._quiet = on_choose, False
        self._options: dict[str, tuple[str, ...]] = {IMAGES: (), CHANGE: ()}
        self._kind = widgets.Dropdown(
            options=[IMAGES, CHANGE],
            value=IMAGES,
            layout={"width": "auto"},
            tooltip="What the slider chooses",
        )
        self._slider = widgets.SelectionSlider(
            options=["-"],
            value="-",
            layout={"width": "auto", "flex": "1 1 160px"},
            continuous_update=False,
            readout=False,
        )
        self._word = parts.text("")
        self._back = parts.button("‹", lambda: self._step(-1), hint="The date before")
        self._next = parts.button("›", lambda: self._step(1), hint="The next date")
        self._kind.observe(lambda _: self._refill(told=True), "value")
        self._slider.observe(lambda _: self._told(), "value")
        self.widget = parts.row(self._kind, self._back, self._slider, self._next, self._word)
        self.widget.add_class("geolab-timebar")

    @property
    def kind(self) -> str:
        return str(self._kind.value)

    @property
    def chosen(self) -> str:
        value = str(self._slider.value or "")
        return "" if value == "-" else value

    def offer(self, images: Sequence[str], changes: Sequence[str]) -> None:
        """Offer these dates; the one that is chosen stays if it is among them, else the last is."""
        offered = {IMAGES: tuple(sorted(set(images))), CHANGE: tuple(sorted(set(changes)))}
        if offered != self._options:
            self._options = offered
            self._refill()

    def choose(self, date: str) -> None:
        """Choose a date if it is offered."""
        if date in self._options[self.kind]:
            self._slider.value = date

    def _refill(self, *, told: bool = False) -> None:
        dates, kept = self._options[self.kind], self.chosen
        self._quiet = True
        try:
            self._slider.options = dates or ("-",)
            self._slider.value = kept if kept in dates else (dates or ("-",))[-1]
        finally:
            self._quiet = False
        self._say()
        if told:
            self._on_choose()

    def _step(self, by: int) -> None:
        self._slider.index = min(max((self._slider.index or 0) + by, 0), len(self._slider.options) - 1)

    def _told(self) -> None:
        self._say()
        if not self._quiet:
            self._on_choose()

    def _say(self) -> None:
        dates, place = self._options[self.kind], self._slider.index or 0
        what = "images" if self.kind == IMAGES else "change"
        words = f"{self.chosen} ({place + 1} of {len(dates)})" if dates else f"No {what} in view"
        self._word.value = parts.text(words, soft=not dates).value
        self._slider.disabled = len(dates) < 2
        self._back.disabled, self._next.disabled = place == 0, place >= len(dates) - 1
        some = any(self._options.values())
        self.widget.layout.display = "" if some else "none"
