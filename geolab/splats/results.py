"""What a training leaves: the files of a model, and what its run reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geolab import store
from geolab.splats import names, record
from geolab.splats.find import FILE
from geolab.splats.io import write
from geolab.splats.prepare import Ready
from geolab.splats.train import Model, Step

METRICS = ("psnr", "ssim", "lpips")


def metrics(step: Step) -> dict[str, float]:
    """What the experiment tracker is told of a step: more at those that were validated."""
    told = {"train_loss": step.loss, "gaussians": step.gaussians, "its_per_s": step.its_per_s}
    if step.validation is not None:
        known = {name: getattr(step.validation, name) for name in METRICS}
        told |= {f"val_{name}": value for name, value in known.items() if value is not None}
        told["memory_mb"] = step.validation.memory_mb
    return told


def save(folder: Path, model: Model, ready: Ready, *, image_px: int = 0) -> tuple[Path, Path]:
    """Write a model as model.ply and, smaller, model.spz; how it was made lies beside each.

    image_px: longest side of the photos in training; 0: as they are.
    """
    facts = record.record(ready.scene, image_px=image_px, facts=model.facts | model.metrics | ready.facts)
    facts["warnings"] = list(model.warnings)
    ply, spz = (
        write(folder / name, model.gaussians, model.frame, meta=facts)
        for name in (FILE, Path(FILE).with_suffix(".spz").name)
    )
    return ply, spz


def report(ply: Path, spz: Path, model: Model, ready: Ready) -> Mapping[str, Any]:
    """Files, scores and georeference in JSON's types, for `jobs.report`.

    item: the model's id in the catalogue, None if the model has no place on Earth. psnr (dB), ssim, lpips:
    of the photos that were held out, None without any. seconds: of the training.
    """
    return {
        "splats": ply,
        "spz": spz,
        "item": None if model.frame is None else names.item_id(store.sha256(ply)),
        **{name: model.metrics.get(name) for name in METRICS},
        "gaussians": len(model.gaussians),
        "seconds": model.facts["seconds"],
        "cameras": ready.cameras_from,
        "georeference": ready.report.as_json(),
        "warnings": list(model.warnings),
    }
