"""The scorer that a request asks for: a classic statistic fitted to the pair, or a loaded model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from geolab import raster, settings, store
from geolab.change import classic, radiometry
from geolab.change.radiometry import Normalisation
from geolab.change.request import Request
from geolab.change.sampling import Window, sample_of
from geolab.change.scorers import ClassicScorer, ModelScorer, Scorer
from geolab.errors import BadInput

if TYPE_CHECKING:
    from geolab.change.model import Model

REGISTERED = re.compile(r"[^/@\\]+(@[^/@]+|/\d+)?")  # name, name@alias, name/version


def scorer_of(request: Request, before: raster.Info, after: raster.Info) -> tuple[Scorer, float]:
    """How pixels are scored, and the threshold of the score."""
    if request.model is None:
        windows, normalisation = _normalised(request, sample_of(before, after))
        scorer = ClassicScorer(classic.fit(request.method, windows), normalisation)
        return scorer, 0.5 if request.threshold is None else request.threshold
    model = _load(request.model)
    _check_bands(model, before)
    normalisation = _normalised(request, sample_of(before, after))[1] if request.normalise else None
    from geolab.change import export  # torch and onnxruntime: seconds, and only models need them

    scorer = ModelScorer(
        export.predictor(model, device=request.device),  # pyright: ignore[reportArgumentType]
        model.preprocessing,
        halo_px=model.halo_px,
        multiple_px=model.multiple_px,
        normalisation=normalisation,
    )
    return scorer, model.threshold if request.threshold is None else request.threshold


def _normalised(request: Request, windows: list[Window]) -> tuple[list[Window], Normalisation | None]:
    if not request.normalise:
        return windows, None
    early, late = (np.concatenate(dates, axis=2) for dates in zip(*windows, strict=True))
    line = radiometry.fit(early, late)
    return [(one, line.apply(two)) for one, two in windows], line


def _load(model: Model | str) -> Model:
    if not isinstance(model, str):
        return model
    from geolab.change import model as models

    path = store.local_path(model)
    if path is None or path.is_dir() or not REGISTERED.fullmatch(model):
        return models.load(model)
    from geolab import track  # mlflow takes seconds to import

    return models.load(track.model_folder(model, settings.load()))


def _check_bands(model: Model, info: raster.Info) -> None:
    """Raise BadInput unless the model was trained on such bands; only real names are compared."""
    names = [info.band_names[band - 1] for band in info.data_bands]
    trained = model.preprocessing.bands
    if len(names) != len(trained):
        raise BadInput(
            "bands of the image", found=len(names), expected=f"{len(trained)}, as the model was trained on",
            remedy=_about_alpha(info),
        )  # fmt: skip
    told = not any(_is_generic(name) for name in (*names, *trained))
    if told and [n.casefold() for n in names] != [n.casefold() for n in trained]:
        raise BadInput(
            "bands of the image", found=", ".join(names),
            expected=f"{', '.join(trained)}, as the model was trained on",
        )  # fmt: skip


def _is_generic(name: str) -> bool:
    return name.casefold().removeprefix("band").strip(" _").isdigit()


def _about_alpha(info: raster.Info) -> str:
    """GDAL calls the last of four 8-bit bands alpha unless its writer says what it is."""
    alpha = [i for i in range(1, info.count + 1) if i not in info.data_bands]
    if not alpha:
        return ""
    return (
        f"band {alpha[0]} is marked as transparency; if it holds data, say so: "
        f"rio edit-info --colorinterp {alpha[0]}=undefined FILE"
    )
