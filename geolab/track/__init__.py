"""Records of experiments and the registry of models: the one door to MLflow.

By default everything lies in the workspace: `mlflow.db` and, below `mlartifacts/`, files. With
`tracking_uri` an MLflow server is used instead. Nothing is pickled: a registered model is the
folder that `geolab.change.model.save` wrote, weights as safetensors.
"""

from __future__ import annotations

from geolab.track.reading import Summary, experiments, figure, figures, history, run, runs
from geolab.track.recording import Tracked, attach, start, tagged
from geolab.track.registry import LATEST, ModelRef, demote, model_folder, models, promote, register

__all__ = [
    "LATEST",
    "ModelRef",
    "Summary",
    "Tracked",
    "attach",
    "demote",
    "experiments",
    "figure",
    "figures",
    "history",
    "model_folder",
    "models",
    "promote",
    "register",
    "run",
    "runs",
    "start",
    "tagged",
]
