"""From posed photos to Gaussians: `train` is a generator of steps, `evaluate` the judge.

for step in train(scene, config=TrainConfig()):
    ...
model = step.model
"""

from geolab.splats.train.config import TrainConfig
from geolab.splats.train.loop import train
from geolab.splats.train.results import Model, Step, Validation
from geolab.splats.train.scores import Scores, ViewScores, evaluate
from geolab.splats.train.warming import warm

__all__ = ["Model", "Scores", "Step", "TrainConfig", "Validation", "ViewScores", "evaluate", "train", "warm"]
