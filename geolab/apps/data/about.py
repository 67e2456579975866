"""A collection in its owner's words: README, licence, contacts; read, and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from geolab import catalog
from geolab.apps import parts
from geolab.apps.data import markdown
from geolab.apps.shell import Page
from geolab.errors import BadInput, one_line
from geolab.maps.origin import safe
from geolab.settings import Settings

Document = Mapping[str, Any]
LONGEST_README = 50_000
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,60}")
_DOI = re.compile(r"10\.\d{4,9}/\S{1,200}")


def document(settings: Settings, name: str) -> dict[str, Any]:
    """What is known of a collection; an empty one where there is none of that name."""
    known = catalog.open_catalog(settings).collections()
    return next((one for one in known if one["id"] == name), {"id": name})


def fold(page: Page, name: str, on_saved: Callable[[], None]) -> widgets.Widget:
    """The collection, folded: what is said of it, and a form to say more."""
    told = document(page.settings, name)
    edit = parts.fold("Write README, licence and contact", Form(page, told, on_saved).widget)
    return parts.fold(f"About the collection {one_line(name, 60)}", parts.stack(said(told), edit))


def said(told: Document) -> widgets.Widget:
    """Everything that people said of a collection."""
    each = [words(told), readme(told)]
    return parts.stack(*(one for one in each if one is not None))


def words(told: Document) -> widgets.Widget:
    """Title, licence, contacts, keywords, citation, extent."""
    return parts.facts({name: found for name, found in _words(told).items() if found})


def _words(told: Document) -> dict[str, Any]:
    keywords = told.get("keywords")
    return {
        "Name": one_line(told.get("title") or told.get("id") or "", 200),
        "Licence": parts.html(licence(told)),
        "Contacts": parts.html(listed) if (listed := contacts(told)) else "",
        "DOI": parts.html(doi(str(told.get("sci:doi") or ""))) if told.get("sci:doi") else "",
        "Citation": one_line(told.get("sci:citation") or "", 500),
        "Keywords": one_line(", ".join(map(str, keywords)), 300) if isinstance(keywords, list) else "",
        "Time": _interval(told),
    }


def _interval(told: Document) -> str:
    try:
        first, last = told["extent"]["temporal"]["interval"][0]
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    days = [one_line(str(one or "…")[:10], 10) for one in (first, last)]
    return " to ".join(days) if first or last else ""


def licence(told: Document) -> str:
    """The licence as HTML: its name, and a link to its text where one is given."""
    name = one_line(told.get("license") or "", 120)
    shown = "not stated" if name in ("", "other", "various", "proprietary") and not _link(told) else name
    return markdown.anchor(safe(shown), _link(told)) if shown else ""


def _link(told: Document) -> str:
    for link in told.get("links") or ():
        if isinstance(link, Mapping) and link.get("rel") == "license":
            return markdown.address(str(link.get("href") or ""))
    name = str(told.get("license") or "")
    known = _SPDX.fullmatch(name) and name not in ("other", "various", "proprietary")
    return f"https://spdx.org/licenses/{name}.html" if known else ""


def doi(text: str) -> str:
    """A DOI as a link, if it is one."""
    found = text.removeprefix("https://doi.org/")
    return markdown.anchor(safe(found), f"https://doi.org/{found}") if _DOI.fullmatch(found) else safe(text)


def contacts(told: Document) -> str:
    """Contacts and providers as HTML: name, roles, mail or page."""
    listed = [*_mappings(told.get("contacts")), *_mappings(told.get("providers"))]
    return "<br>".join(_contact(one) for one in listed[:20])


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _contact(one: Mapping[str, Any]) -> str:
    name = safe(one_line(one.get("name") or one.get("organization") or "", 120))
    mails = [str(m.get("value") or "") for m in _mappings(one.get("emails"))]
    where = f"mailto:{mails[0]}" if mails else str(one.get("url") or "")
    roles = one.get("roles")
    role = f" ({safe(one_line(', '.join(map(str, roles)), 80))})" if isinstance(roles, list) and roles else ""
    shown = name or safe(one_line(mails[0] if mails else where, 120))
    behind = f", {safe(one_line(mails[0], 120))}" if mails and name else ""
    return markdown.anchor(shown, where) + behind + role


def readme(told: Document) -> widgets.Widget | None:
    """The README: the collection's description, which STAC lets be Markdown."""
    text = str(told.get("description") or "")
    if not text or text == f"Items of {told.get('id')}":
        return None
    return parts.html(f'<div class="geolab-readme">{markdown.render(text)}</div>')


class Form:
    """What a user says of a collection."""

    def __init__(self, page: Page, told: Document, on_saved: Callable[[], None]):
        self.page, self.told, self.on_saved = page, told, on_saved
        known = str(told.get("description") or "")
        wide = {"width": "100%"}
        first = (_mappings(told.get("contacts")) or [{}])[0]
        mail = (_mappings(first.get("emails")) or [{}])[0]
        self.readme = widgets.Textarea(
            "" if known == f"Items of {told['id']}" else known, rows=8, layout=wide
        )
        self.readme.placeholder = "# What this is\n\nHow it was taken, what is exact, what is not. Markdown."
        self.licence = widgets.Text(str(told.get("license") or ""), placeholder="CC-BY-4.0", layout=wide)
        self.name = widgets.Text(
            str(first.get("name") or ""), placeholder="Who answers questions", layout=wide
        )
        self.mail = widgets.Text(str(mail.get("value") or ""), placeholder="ann@example.org", layout=wide)
        self.doi = widgets.Text(
            str(told.get("sci:doi") or ""), placeholder="10.5281/zenodo.1234", layout=wide
        )
        save = parts.button("Save", self.save, primary=True)
        rows = {"README": self.readme, "Licence (SPDX)": self.licence, "Contact": self.name}
        rows |= {"Mail": self.mail, "DOI": self.doi}
        each = [parts.grid(parts.text(label), widget, columns="110px 1fr") for label, widget in rows.items()]
        self.widget = parts.stack(*each, parts.row(save))

    def save(self) -> None:
        """Put it into the catalogue. Raises BadInput for what is none."""
        change = said_of(
            str(self.told["id"]), self.readme.value, self.licence.value, self.name.value, self.mail.value,
            self.doi.value,
        )  # fmt: skip
        catalog.open_catalog(self.page.settings).put_collection(change)
        self.on_saved()
        self.page.tell(f"Saved what is said of {change['id']}.")


def said_of(name: str, readme: str, licence: str, contact: str, mail: str, doi: str) -> dict[str, Any]:
    """The STAC fields of what a user typed. Raises BadInput."""
    licence, contact, mail, doi = (one.strip() for one in (licence, contact, mail, doi))
    doi = doi.removeprefix("https://doi.org/")
    if len(readme) > LONGEST_README:
        found = f"{len(readme):,} characters"
        raise BadInput("README", found=found, expected=f"at most {LONGEST_README:,}")
    if licence and not _SPDX.fullmatch(licence):
        raise BadInput(
            "licence", found=repr(one_line(licence, 60)), expected="an SPDX name, such as CC-BY-4.0"
        )
    if doi and not _DOI.fullmatch(doi):
        raise BadInput("DOI", found=repr(one_line(doi, 60)), expected="10.NUMBER/NAME")
    if mail and not markdown.address(f"mailto:{mail}"):
        raise BadInput("mail", found=repr(one_line(mail, 60)), expected="an address such as ann@example.org")
    emails = {"emails": [{"value": mail}]} if mail else {}
    person = {"name": contact or mail, "roles": ["contact"], **emails}
    return {
        "id": name,
        "description": readme.strip() or f"Items of {name}",
        "license": licence or "other",
        "contacts": [person] if contact or mail else [],
        **({"sci:doi": doi} if doi else {}),
    }
