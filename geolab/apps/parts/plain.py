"""Widgets without a script of their own: words, buttons, boxes. Text is always shown as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import ipywidgets as widgets

from geolab.apps import faults
from geolab.apps.parts.states import kind_of
from geolab.maps import origin
from geolab.maps.origin import safe

Widget = widgets.Widget


def html(markup: str, *classes: str) -> widgets.HTML:
    """HTML that was made here: every text in it has gone through `safe`."""
    made = widgets.HTML(markup)
    for name in ("geolab-html", *classes):
        made.add_class(name)
    return made


def text(value: object, soft: bool = False) -> widgets.HTML:
    """A paragraph."""
    return html(f'<p class="geolab-text{" geolab-soft" if soft else ""}">{safe(value)}</p>')


def heading(value: object) -> widgets.HTML:
    """A heading within the page."""
    return html(f'<h2 class="geolab-heading">{safe(value)}</h2>')


def state(value: str, note: str = "") -> widgets.HTML:
    """A state as a word with its colour: succeeded, running, failed, ok, low, ..."""
    return html(state_markup(value, note))


def state_markup(value: str, note: str = "") -> str:
    """The same as HTML."""
    behind = f' <span class="geolab-soft">{safe(note)}</span>' if note else ""
    return f'<span class="geolab-state geolab-is-{kind_of(value)}">{safe(value)}</span>{behind}'


def link(value: object, href: str, *, download: bool = False, new: bool = False) -> widgets.HTML:
    """A link to an address on this origin, or to a page elsewhere by https."""
    return html(link_markup(value, href, download=download, new=new))


def link_markup(value: object, href: str, *, download: bool = False, new: bool = False) -> str:
    """The same as HTML; only the words where the address is none that may be followed."""
    if not is_address(href):
        return f"<span>{safe(value)}</span>"
    more = " download" if download else ""
    more += ' target="_blank" rel="noopener noreferrer"' if new else ""
    return f'<a class="geolab-link" href="{safe(href)}"{more}>{safe(value)}</a>'


def is_address(href: str) -> bool:
    """Whether an address is on this origin or begins with http: it can't run a script."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return False
    here = href.startswith(("/", "?", "#")) and not href.startswith(("//", "/\\"))
    plain = not any(ord(c) < 33 for c in href)
    return plain and (here or (parts.scheme in ("http", "https") and bool(parts.netloc)))


def button(
    label: str,
    on_click: Callable[[], Any] | None,
    *,
    primary: bool = False,
    danger: bool = False,
    hint: str = "",
) -> widgets.Button:
    """A button; on_click is called without arguments."""
    made = widgets.Button(description=label, tooltip=hint or label, layout={"width": "auto"})
    made.add_class("geolab-button")
    for wanted, name in ((primary, "geolab-primary"), (danger, "geolab-danger")):
        if wanted:
            made.add_class(name)
    made.on_click(lambda _: faults.call(on_click))
    return made


def box(children: Iterable[Widget | str], *classes: str) -> widgets.Box:
    """A box whose layout is that of its classes; a str is a paragraph."""
    made = widgets.Box([one if isinstance(one, Widget) else text(one) for one in children])
    for name in ("geolab-box", *classes):
        made.add_class(name)
    return made


def stack(*children: Widget | str) -> widgets.Box:
    """Widgets below each other."""
    return box(children, "geolab-stack")


def row(*children: Widget | str) -> widgets.Box:
    """Widgets beside each other; what does not fit goes to the next line."""
    return box(children, "geolab-row")


def grid(*children: Widget | str, columns: str = "2fr 1fr") -> widgets.Box:
    """Widgets in columns (as in CSS); below each other on a phone."""
    made = box(children, "geolab-grid")
    made.layout.grid_template_columns = columns
    return made


def card(title: object, *children: Widget | str) -> widgets.Box:
    """A framed box with a title; "" for none."""
    head = [html(f'<h3 class="geolab-card-title">{safe(title)}</h3>')] if title != "" else []
    return box([*head, *children], "geolab-card")


def empty(value: object, *actions: Widget) -> widgets.Box:
    """What is shown where there is nothing yet: one sentence, and what to do about it."""
    return box(
        [text(value, soft=True), row(*actions)] if actions else [text(value, soft=True)], "geolab-empty"
    )


def skeleton(lines: int = 3) -> widgets.HTML:
    """The bones of what is being looked up."""
    bones = "".join('<span class="geolab-bone"></span>' for _ in range(lines))
    return html(f'<div role="status" aria-label="Loading">{bones}</div>')


def facts(values: Mapping[str, Any]) -> widgets.HTML:
    """Names and values; a value may be HTML of `link` or `state` (a widget of those), else it is text."""
    each = "".join(f"<dt>{safe(name)}</dt><dd>{_fact(value)}</dd>" for name, value in values.items())
    return html(f'<dl class="geolab-facts">{each}</dl>')


def _fact(value: Any) -> str:
    return value.value if isinstance(value, widgets.HTML) else safe(value)


def figure(run_id_or_url: str, alt: str, name: str = "") -> widgets.HTML:
    """A picture: an address on this origin, or the file `name` of a run."""
    href = origin.run_file_url(run_id_or_url, name) if name else run_id_or_url
    if not (is_address(href) and href.startswith("/")):
        return text(alt, soft=True)
    picture = f'<img src="{safe(href)}" alt="{safe(alt)}" loading="lazy">'
    shown = f'<a href="{safe(href)}" target="_blank" rel="noopener noreferrer">{picture}</a>'
    return html(f'<figure class="geolab-figure">{shown}<figcaption>{safe(alt)}</figcaption></figure>')
