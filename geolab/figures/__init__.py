"""Figures for notebooks and reports: one look, light PNG, nothing left open.

Every function returns a matplotlib Figure; `show(figure, path)` shows it and keeps it.
"""

from geolab.figures.charts import area_curve, curves, histogram, pr_curve, scores
from geolab.figures.cover import coverage
from geolab.figures.files import composite_of, pair_of, surface_of, years_of
from geolab.figures.pictures import contact_sheet, pair, scale_bar
from geolab.figures.scenes import cameras, renders, surface
from geolab.figures.style import png, show, style

__all__ = [
    "area_curve",
    "cameras",
    "composite_of",
    "contact_sheet",
    "coverage",
    "curves",
    "histogram",
    "pair",
    "pair_of",
    "png",
    "pr_curve",
    "renders",
    "scale_bar",
    "scores",
    "show",
    "style",
    "surface",
    "surface_of",
    "years_of",
]
