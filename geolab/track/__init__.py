"""Records of experiments and the registry of models: the one door to MLflow.

By default everything lies in the workspace: `mlflow.db` and, below `mlartifacts/`, files. With
`tracking_uri` an MLflow server is used instead. Nothing is pickled: a registered model is the
folder that `geolab.change.model.save` wrote, weights as safetensors.
"""

from __future__ import annotations

from geolab.track.registry import LATEST, ModelRef, model_folder, models, register
from geolab.track.runs import Tracked, attach, start, tagged

__all__ = ["LATEST", "ModelRef", "Tracked", "attach", "model_folder", "models", "register", "start", "tagged"]
