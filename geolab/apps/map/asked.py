"""What a page's address asks the map for; what can't be taken is told in one line, and left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geolab import jobs
from geolab.apps.map.found import Filters
from geolab.errors import GeolabError
from geolab.maps import area

if TYPE_CHECKING:
    from geolab.apps.shell import Page
    from geolab.maps.layers import Bounds


def filters(page: Page) -> Filters:
    """The filters of the list."""
    asked = page.asked
    return Filters(asked["collection"], asked["role"], asked["text"], *_span(asked["datetime"]))


def _span(text: str) -> tuple[str, str]:
    """The ends of a datetime as the filters take them; a day stands for both."""
    since, slash, until = text.partition("/")
    first, last = ("" if end == ".." else end for end in (since, until if slash else since))
    return first, last


def span(now: Filters) -> str:
    """The datetime that asks for these filters."""
    return f"{now.since or '..'}/{now.until or '..'}" if now.since or now.until else ""


def items(page: Page) -> list[str]:
    """The items to show: each an id, a title, or collection/id."""
    item, collection = str(page.asked["item"]), str(page.asked["collection"])
    first = [f"{collection}/{item}" if collection and "/" not in item else item] if item else []
    return [*first, *(str(ref) for ref in page.asked["items"])]


def box(page: Page) -> Bounds | None:
    """What the map shall show, ((south, west), (north, east))."""
    text = str(page.asked["bbox"])
    try:
        west, south, east, north = area.parsed_box(text) if text else (0.0,) * 4
    except GeolabError as error:
        page.fault(error)
        return None
    return ((south, west), (north, east)) if text else None


def run(page: Page) -> str:
    """The full id of the run to show; "" for none."""
    try:
        return jobs.show(page.asked["run"], settings=page.settings).run_id if page.asked["run"] else ""
    except GeolabError as error:
        page.fault(error)
        return ""
