"""From posed photos to Gaussians: `train` is a generator of steps, `evaluate` the judge.

for step in train(scene, config=TrainConfig()):
    ...
model = step.model
"""

from geolab.splats.train.config import TrainConfig
from geolab.splats.train.evaluate import Scores, ViewScores, evaluate
from geolab.splats.train.loop import Model, Step, Validation, train

__all__ = ["Model", "Scores", "Step", "TrainConfig", "Validation", "ViewScores", "evaluate", "train"]
