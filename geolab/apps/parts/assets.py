"""The files that the widgets of the pages are made of: ES modules and one style sheet."""

from __future__ import annotations

from functools import cache
from pathlib import Path

STATIC = Path(__file__).with_name("static")


@cache
def module(name: str) -> str:
    """The ES module of one widget, with what all of them share before it."""
    return "\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in ("dom", name))


@cache
def style() -> str:
    """The style sheet; a page carries it once."""
    return (STATIC / "parts.css").read_text(encoding="utf-8")
