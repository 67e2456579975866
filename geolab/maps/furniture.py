"""What stands around the layers: scale, coordinates, popups, sliders, and their look."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from html import unescape
from typing import Any

import ipywidgets as widgets
from ipyleaflet import ImageOverlay, Layer, Map, Popup, ScaleControl, TileLayer, WidgetControl

from geolab.maps.layers import DEEPEST_ZOOM, Bounds
from geolab.maps.origin import Item, day, original_url, preview_url, role, safe, title

_TYPICAL_PX = (860, 520)  # a map in a page; the zoom that fits a place is chosen for it

# Variables come from the page's style where it has them (the Voila template); else these.
LOOK = """
body[data-jp-theme-light="false"]:not(.geolab-page) .geolab-map { --geolab-map: #1c2024;
  --geolab-surface: #14171a; --geolab-ink: #e8eaed; --geolab-ink-soft: #9aa4ae; --geolab-line: #2d3339;
  --geolab-accent: #3bc9db; }
.geolab-map .leaflet-container { background: var(--geolab-map, #eef1f3); font: inherit; }
.geolab-map .leaflet-div-icon { background: none; border: 0; border-radius: 50%; }
.geolab-map .leaflet-div-icon:focus-visible { outline: 3px solid #e8590c; }
.geolab-map .geolab-photo { display: block; width: 14px; height: 14px; border-radius: 50%; background: #fff;
  border: 4px solid #0b7285; box-sizing: border-box; box-shadow: 0 0 0 1px #fff; }
.geolab-map .geolab-pin { display: block; width: 16px; height: 16px; border-radius: 50%; background: #e8590c;
  border: 3px solid #fff; box-sizing: border-box; box-shadow: 0 0 0 1px #1b1f23; }
.geolab-map .geolab-act.jupyter-button { background: transparent; color: inherit; box-shadow: none;
  height: 32px; line-height: 32px; padding: 0 10px; font-size: 13px; }
.geolab-map .geolab-act.jupyter-button:hover { color: var(--geolab-accent, #0b7285); }
.geolab-map .marker-cluster, .geolab-map .marker-cluster div { background: #1b1f23 !important; }
.geolab-map .marker-cluster { background: rgba(27, 31, 35, .35) !important; background-clip: padding-box; }
.geolab-map .marker-cluster span { color: #fff; font-weight: 600; }
.geolab-map .leaflet-sbs-divider { background: #fff; box-shadow: 0 0 0 1px rgba(27, 31, 35, .55); }
.geolab-map .leaflet-widgetcontrol, .geolab-map .leaflet-control-layers {
  background: var(--geolab-surface, #fff); color: var(--geolab-ink, #1b1f23);
  border: 1px solid var(--geolab-line, #dfe3e6); border-radius: 6px; box-shadow: none; }
.geolab-map .leaflet-control-scale-line { background: var(--geolab-surface, #fff);
  color: var(--geolab-ink, #1b1f23); border-color: var(--geolab-ink-soft, #5b6670); text-shadow: none; }
.geolab-map .geolab-where { padding: 0 8px; font-size: 12px; line-height: 22px; margin: 0;
  font-variant-numeric: tabular-nums; color: var(--geolab-ink, #1b1f23); }
.geolab-map .leaflet-widgetcontrol:has(.geolab-hidden) { display: none; }
.geolab-map .geolab-panel { padding: 4px 8px; }
.geolab-map .geolab-layers, .geolab-map .geolab-layers * { border: 0; }
.geolab-map .geolab-layers .jupyter-widget-Collapse-header,
.geolab-map .geolab-layers .jupyter-widget-Collapse-contents {
  background: transparent; color: inherit; padding: 4px 8px; }
.geolab-map .geolab-layers .widget-checkbox { height: 24px; line-height: 24px; }
.geolab-popup { margin: 0; font-size: 13px; line-height: 1.5; color: #1b1f23; overflow-wrap: anywhere; }
.geolab-popup img { display: block; width: 240px; height: 160px; object-fit: cover; border-radius: 4px;
  background: #f6f7f8; margin-bottom: 6px; }
.geolab-popup .soft { color: #5b6670; }
.geolab-popup a { color: #0b7285; }
"""
_numbers = itertools.count(1)


def empty_map(around: Bounds | None, *, height: str, basemap: Any = None) -> Map:
    """A map without layers that shows `around`, with scale and coordinates; no basemap unless asked."""
    center, zoom = view(around)
    settings: dict[str, Any] = {"center": center, "zoom": zoom, "max_zoom": DEEPEST_ZOOM}
    settings |= {"scroll_wheel_zoom": True, "attribution_control": basemap is not None}
    settings |= {"basemap": basemap} if basemap is not None else {"layers": ()}
    chart = Map(layout=widgets.Layout(height=height, width="100%"), **settings)
    chart.add_class("geolab-map")
    chart.add(ScaleControl(position="bottomleft", imperial=False, max_width=140))
    _add_hidden(chart, f"<style>{LOOK}</style>")
    chart.add(WidgetControl(widget=_coordinates(chart), position="bottomright"))
    return chart


def _add_hidden(chart: Map, style: str) -> None:
    """A style sheet that travels with the map into any page; nothing of it is seen."""
    carrier = widgets.HTML(style)
    carrier.add_class("geolab-hidden")
    chart.add(WidgetControl(widget=carrier, position="bottomright"))


def view(around: Bounds | None, size_px: tuple[int, int] = _TYPICAL_PX) -> tuple[tuple[float, float], int]:
    """((latitude, longitude), zoom) that shows the box whole on a map of this size."""
    if around is None:
        return (20.0, 0.0), 2
    (south, west), (north, east) = around
    middle = ((south + north) / 2, (west + east) / 2)
    width = max((east - west) / 360, 1e-9)
    height = max((_mercator(north) - _mercator(south)) / (2 * math.pi), 1e-9)
    zoom = min(math.log2(size_px[0] / 256 / width), math.log2(size_px[1] / 256 / height))
    return middle, max(1, min(math.floor(zoom), 19))


def _mercator(latitude: float) -> float:
    return math.asinh(math.tan(math.radians(max(-85.0, min(85.0, latitude)))))


def _coordinates(chart: Map) -> widgets.HTML:
    """The place under the pointer, as text that follows it."""
    shown = widgets.HTML(_where(*chart.center))

    def follow(**event: Any) -> None:
        if event.get("type") == "mousemove":
            shown.value = _where(*event["coordinates"])

    chart.on_interaction(follow)
    return shown


def _where(latitude: float, longitude: float) -> str:
    north, east = "NS"[latitude < 0], "EW"[longitude < 0]
    text = f"{abs(latitude):.5f}° {north}  {abs(longitude):.5f}° {east}"
    return f'<p class="geolab-where">{text}</p>'


# ---------------------------------------------------------------- popups


def card(item: Item) -> str:
    """An item as HTML for a popup: picture, title, date, facts, link. Everything in it is escaped."""
    properties = item["properties"]
    gsd_m = properties.get("gsd")
    facts = [day(item), role(item), f"{float(gsd_m):.3g} m pixels" if gsd_m else "", _height(properties)]
    link = ""
    if role(item) == "photo":
        link = f'<br><a href="{safe(original_url(item))}" target="_blank" rel="noopener">Full size</a>'
    return (
        f'<figure class="geolab-popup"><img src="{safe(preview_url(item))}" alt="" loading="lazy">'
        f"<figcaption><b>{safe(title(item))}</b><br>"
        f'<span class="soft">{safe(" · ".join(fact for fact in facts if fact))}</span>{link}'
        "</figcaption></figure>"
    )


def _height(properties: Any) -> str:
    for name, words in (("geolab:relative_altitude_m", "above take-off"), ("geolab:altitude_m", "altitude")):
        value = properties.get(name)
        if isinstance(value, int | float):
            return f"{value:.0f} m {words}"
    return ""


def popups(chart: Map, items: Sequence[Item], places: Callable[[Item], Any]) -> Callable[[str], None]:
    """A function that opens the card of the item with this id; one popup is open at a time."""
    by_id = {str(item["id"]): item for item in items}
    shown = widgets.HTML()
    # one popup that moves: removing one that was closed is an error in the page (ipyleaflet 0.20)
    popup = Popup(child=shown, min_width=240, max_width=280, close_button=True, auto_close=False)

    def show(item_id: str) -> None:
        item = by_id.get(item_id)
        location = item and places(item)
        if not item or not location:
            return
        shown.value = card(item)
        popup.set_trait("location", list(location))
        if popup in chart.layers:
            popup.open_popup(location=list(location))
        else:
            chart.add(popup)

    return show


# ---------------------------------------------------------------- sliders


def add_panel(
    chart: Map, images: Sequence[TileLayer | ImageOverlay], dates: Sequence[str], *, width_px: int = 300
) -> None:
    """A slider for the opacity of the imagery and, for several dates, one that chooses the date."""
    rows: list[widgets.Widget] = []
    layout = widgets.Layout(width=f"{width_px}px", margin="0")
    style = {"description_width": "52px"}
    options = sorted({date for date in dates if date})
    if len(options) > 1:
        chosen = widgets.SelectionSlider(
            options=options, value=options[-1], description="Date", layout=layout, style=style
        )

        def choose(change: Any) -> None:
            for layer, date in zip(images, dates, strict=True):
                layer.visible = date in ("", change["new"])

        chosen.observe(choose, "value")
        rows.append(chosen)
    if images:
        opacity = widgets.FloatSlider(
            value=1.0,
            min=0,
            max=1,
            step=0.05,
            description="Opacity",
            readout_format=".0%",
            layout=layout,
            style=style,
        )
        for layer in images:
            widgets.jslink((opacity, "value"), (layer, "opacity"))
        rows.append(opacity)
    if rows:
        panel = widgets.VBox(rows)
        panel.add_class("geolab-panel")
        chart.add(WidgetControl(widget=panel, position="topright"))


def say(chart: Map, text: str) -> None:
    """Words in the corner of a map: why there is nothing on it, what is left out."""
    chart.add(
        WidgetControl(widget=widgets.HTML(f'<p class="geolab-where">{safe(text)}</p>'), position="topright")
    )


def add_layer_list(chart: Map, layers: Sequence[Layer], *, width_px: int = 300) -> None:
    """A folded list of layers to tick; Leaflet's own would tick those that are switched off too."""
    rows = [_switch(chart, layer) for layer in layers]
    if not rows:
        return
    listed = widgets.VBox(rows, layout=widgets.Layout(max_height="260px", overflow="hidden auto"))
    folded = widgets.Accordion([listed], titles=("Layers",), selected_index=None)
    folded.layout.width = f"{width_px + 16}px"  # as wide as the panel of sliders with its padding
    folded.add_class("geolab-layers")
    chart.add(WidgetControl(widget=folded, position="topright"))


def _switch(chart: Map, layer: Layer) -> widgets.Checkbox:
    box = widgets.Checkbox(
        value=getattr(layer, "visible", True),
        description=unescape(layer.name),  # shown as text here, not as HTML
        indent=False,
        layout=widgets.Layout(width="auto", margin="0"),
    )
    if layer.has_trait("visible"):
        widgets.link((box, "value"), (layer, "visible"))
    else:  # ipyleaflet 0.20: a cluster of markers can't be hidden, only taken away
        box.observe(lambda change: chart.add(layer) if change["new"] else chart.remove(layer), "value")
    return box


def name_sides(chart: Map, before: str, after: str) -> None:
    """Write on the swipe handle which date is where; the words move with it."""
    name = f"geolab-swipe-{next(_numbers)}"
    chart.add_class(name)
    rule = (
        "position:absolute;bottom:56px;padding:2px 8px;border-radius:6px;white-space:nowrap;"
        "font-size:12px;line-height:20px;background:rgba(27,31,35,.82);color:#fff"
    )
    look = (
        f'<style>.{name} .leaflet-sbs-divider::before{{content:"◂ {_css(before)}";right:12px;{rule}}}'
        f'.{name} .leaflet-sbs-divider::after{{content:"{_css(after)} ▸";left:12px;{rule}}}</style>'
    )
    _add_hidden(chart, look)


def _css(text: str) -> str:
    """Text inside a CSS string: everything but plain letters, digits and a few signs is left out."""
    return "".join(c for c in text if c.isalnum() or c in " .:-_")[:40]
