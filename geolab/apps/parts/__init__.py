"""What pages are made of. Every text is shown as text; addresses lead to this origin.

parts.stack(parts.heading("Runs"), parts.Table([parts.Column("state", "State", "state")], rows))
"""

from __future__ import annotations

from geolab.apps.parts.cards import Cards
from geolab.apps.parts.copy import Copy
from geolab.apps.parts.curves import Curves
from geolab.apps.parts.download import Download
from geolab.apps.parts.folds import Fold, Tabs, fold, tabs
from geolab.apps.parts.log import Log
from geolab.apps.parts.matrix import Grid, Matrix
from geolab.apps.parts.plain import (
    box,
    button,
    card,
    empty,
    facts,
    figure,
    grid,
    heading,
    html,
    link,
    row,
    skeleton,
    stack,
    state,
    text,
)
from geolab.apps.parts.progress import Progress
from geolab.apps.parts.table import Action, Column, Table
from geolab.apps.parts.upload import Upload, Uploaded

__all__ = [
    "Action",
    "Cards",
    "Column",
    "Copy",
    "Curves",
    "Download",
    "Fold",
    "Grid",
    "Log",
    "Matrix",
    "Progress",
    "Table",
    "Tabs",
    "Upload",
    "Uploaded",
    "box",
    "button",
    "card",
    "empty",
    "facts",
    "figure",
    "fold",
    "grid",
    "heading",
    "html",
    "link",
    "row",
    "skeleton",
    "stack",
    "state",
    "tabs",
    "text",
]
