"""Markdown of strangers as HTML made here: every text goes through `safe`, no tag of theirs survives.

Their own HTML is shown as text, pictures become links, and only addresses of the web and of mail are
followed: a README can neither run anything nor ask another server for a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from geolab.maps.origin import safe

LONGEST = 50_000  # characters of a text that is laid out; a longer one is cut, and says so
DEEPEST = 40  # lists in quotes in lists ...

Token = Mapping[str, Any]


def render(text: str) -> str:
    """The text as HTML of headings, paragraphs, lists, tables, quotes, code and links."""
    import mistune  # loads with the first README

    parse = mistune.create_markdown(renderer=None, plugins=["table", "strikethrough", "url"])
    tokens = parse(text[:LONGEST])
    cut = f"<p>… {len(text) - LONGEST:,} characters more</p>" if len(text) > LONGEST else ""
    return _all(tokens, 0) + cut if isinstance(tokens, list) else f"<p>{safe(text[:LONGEST])}</p>{cut}"


def address(href: str) -> str:
    """The address if it may be followed: http, https or mailto; else ""."""
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return ""
    plain = not any(ord(c) < 33 for c in href.strip())
    web = parts.scheme in ("http", "https") and bool(parts.netloc)
    return href.strip() if plain and (web or (parts.scheme == "mailto" and "@" in parts.path)) else ""


def anchor(inside: str, href: str) -> str:
    """HTML of a link around HTML; only what is inside where the address may not be followed."""
    good = address(href)
    if not good:
        return inside
    elsewhere = 'target="_blank" rel="noopener noreferrer nofollow"'
    return f'<a class="geolab-link" href="{safe(good)}" {elsewhere}>{inside}</a>'


def _all(tokens: Iterable[Token], depth: int) -> str:
    if depth > DEEPEST:
        return "…"
    return "".join(_one(token, depth + 1) for token in tokens)


def _one(token: Token, depth: int) -> str:
    kind = str(token.get("type", ""))
    if kind in _MADE:
        return _MADE[kind](token, depth)
    inside = _inside(token, depth)
    tag = _TAGS.get(kind)
    return f"<{tag}>{inside}</{tag}>" if tag else inside


def _inside(token: Token, depth: int) -> str:
    children = token.get("children")
    if isinstance(children, list):
        return _all(children, depth)
    return safe(token.get("raw") or token.get("text") or "")


def _heading(token: Token, depth: int) -> str:
    level = min(int(token.get("attrs", {}).get("level", 1)) + 2, 6)  # below the page's own
    return f"<h{level}>{_inside(token, depth)}</h{level}>"


def _list(token: Token, depth: int) -> str:
    tag = "ol" if token.get("attrs", {}).get("ordered") else "ul"
    return f"<{tag}>{_inside(token, depth)}</{tag}>"


def _link(token: Token, depth: int) -> str:
    return anchor(_inside(token, depth), str(token.get("attrs", {}).get("url", "")))


def _image(token: Token, depth: int) -> str:
    words = _inside(token, depth) or "picture"
    return anchor(f"[{words}]", str(token.get("attrs", {}).get("url", "")))


def _code(token: Token, _depth: int) -> str:
    return f"<pre><code>{safe(token.get('raw', ''))}</code></pre>"


def _raw(token: Token, _depth: int) -> str:
    return safe(token.get("raw", ""))


def _raw_block(token: Token, _depth: int) -> str:
    return f"<p>{safe(token.get('raw', ''))}</p>"


_TAGS = {
    "paragraph": "p",
    "block_text": "div",
    "list_item": "li",
    "block_quote": "blockquote",
    "strong": "strong",
    "emphasis": "em",
    "strikethrough": "s",
    "codespan": "code",
    "table": "table",
    "table_head": "thead",
    "table_body": "tbody",
    "table_row": "tr",
    "table_cell": "td",
}
_MADE: dict[str, Callable[[Token, int], str]] = {
    "heading": _heading,
    "list": _list,
    "link": _link,
    "image": _image,
    "block_code": _code,
    "inline_html": _raw,
    "block_html": _raw_block,
    "thematic_break": lambda _token, _depth: "<hr>",
    "linebreak": lambda _token, _depth: "<br>",
    "softbreak": lambda _token, _depth: "\n",
    "blank_line": lambda _token, _depth: "",
}
