"""What the page says: amounts with their units, and honestly what a probability is."""

from __future__ import annotations

from geolab.apps.change.detection import Detection


def amount(value: float, *, located: bool) -> str:
    """An area in m2, ha or km2 by its size; pixels for a map that lies nowhere."""
    factor, name = unit(value, located=located)
    return f"{value * factor:,.0f} {name}" if factor == 1 else f"{digits(value * factor)} {name}"


def unit(value: float, *, located: bool) -> tuple[float, str]:
    """(factor, name) of the unit in which such an amount is read best."""
    if not located:
        return 1.0, "px"
    if value < 1e3:
        return 1.0, "m²"
    return (1e-4, "ha") if value < 1e7 else (1e-6, "km²")


def digits(value: float) -> str:
    """Three significant digits, and never an exponent."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def share(value: float) -> str:
    """A share 0..1 as per cent."""
    percent = 100 * value
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %"


def level(threshold: float) -> str:
    """A threshold as it is written everywhere: 0.5, 0.625, 0.5236."""
    return f"{threshold:.4g}"


def about(mine: Detection) -> list[str]:
    """What the numbers of the probability mean for this method, in paragraphs."""
    if mine.method == "model":
        return [
            f"The number is the estimate of the network {mine.parameters.get('model')}. It has not been "
            "calibrated: of the pixels with 0.8, more or fewer than 8 in 10 may have changed. Compare it "
            "with a truth below, where there is one: the reliability curve shows how far it is off.",
            f"The run drew the line at {level(mine.threshold)}"
            + (
                ", as it was asked to."
                if mine.parameters.get("threshold") is not None
                else ": the threshold with the best score on the validation part of the model's training."
            ),
        ]
    own = (
        "border between its two clusters" if mine.method == "pca_kmeans" else "threshold found by Otsu's rule"
    )
    return [
        f"The number is a score, not a probability. {mine.how} measures for each pixel how much changed, s; "
        f"its own {own}, T, is where the score is 0.5. The score is s / (s + T): 0.8 means four times as "
        "much as at T, and says nothing of how many such pixels really changed.",
        f"The run drew the line at {level(mine.threshold)}.",
    ]
