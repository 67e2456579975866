"""What a pipeline file says of a search: which parameters of a stage, between which values, for which result.

search:
  stage: train
  metric: f1                 # a result of the stage, or a part of one: scores.f1
  direction: maximize
  trials: 20
  parameters: {lr: {low: 1e-4, high: 1e-1, log: true}, width: {choices: [16, 32]}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from geolab.errors import GeolabError, did_you_mean, one_line
from geolab.jobs.parameters import contract, value
from geolab.jobs.values import Parameter
from geolab.pipeline.model import Pipeline, Stage

MOST_TRIALS = 10_000
BATCH = 4

_KEYS = ("stage", "metric", "direction", "trials", "batch", "seed", "parameters")
_OF_A_RANGE = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included. log: their logarithms are alike likely; step: 0 for none."""

    low: float
    high: float
    log: bool = False
    step: float = 0
    whole: bool = False


@dataclass(frozen=True)
class Search:
    """A search that fits its pipeline. batch: trials that are chosen together, whoever runs them."""

    stage: str
    metric: str
    direction: Literal["maximize", "minimize"]
    trials: int
    parameters: Mapping[str, Range | tuple[Any, ...]]
    batch: int = BATCH
    seed: int = 0


def read(pipeline: Pipeline) -> Search:
    """The search of a pipeline file. Raises PipelineError, which names the key."""
    given = pipeline.search
    _refuse_unknown(pipeline, given, _KEYS, "search")
    name = given.get("stage")
    stage = pipeline.stages.get(name) if isinstance(name, str) else None
    if stage is None:
        why = f"no stage {one_line(repr(name), 60)}; {did_you_mean(str(name), pipeline.stages)}"
        _wrong(pipeline, "search.stage", why)
    if stage.each:
        _wrong(
            pipeline,
            "search.stage",
            f"{name} runs for each {', '.join(stage.each)}; expected one run a trial",
        )
    metric, direction = given.get("metric"), given.get("direction", "maximize")
    if not isinstance(metric, str) or not metric:
        _wrong(pipeline, "search.metric", f"is {metric!r}; expected the name of a result of {name}")
    if direction not in ("maximize", "minimize"):
        _wrong(
            pipeline, "search.direction", f"is {one_line(repr(direction), 60)}; expected maximize or minimize"
        )
    return Search(
        stage=stage.name,
        metric=metric,
        direction=direction,
        trials=_whole(pipeline, "trials", 20, 1, MOST_TRIALS),
        parameters=_parameters(pipeline, stage),
        batch=_whole(pipeline, "batch", BATCH, 1, 1000),
        seed=_whole(pipeline, "seed", 0, 0, 2**31 - 1),
    )


def _wrong(pipeline: Pipeline, key: str, why: str) -> NoReturn:
    raise pipeline.error(why, key=key)


def _refuse_unknown(pipeline: Pipeline, given: Mapping[str, Any], known: tuple[str, ...], key: str) -> None:
    for name in given:
        if name not in known:
            _wrong(pipeline, f"{key}.{one_line(name, 60)}", f"unknown key; {did_you_mean(name, known)}")


def _whole(pipeline: Pipeline, name: str, default: int, low: int, high: int) -> int:
    given = pipeline.search.get(name, default)
    if type(given) is not int or not low <= given <= high:
        why = f"is {one_line(repr(given), 60)}; expected a whole number from {low} to {high}"
        _wrong(pipeline, f"search.{name}", why)
    return given


# ---------------------------------------------------------------- parameters


def _parameters(pipeline: Pipeline, stage: Stage) -> dict[str, Range | tuple[Any, ...]]:
    given = pipeline.search.get("parameters")
    if not isinstance(given, dict) or not given:
        _wrong(
            pipeline,
            "search.parameters",
            "needs at least one, such as lr: {low: 1e-4, high: 1e-1, log: true}",
        )
    agreed, found = contract(stage.notebook), dict[str, Range | tuple[Any, ...]]()
    for name, one in given.items():
        key = f"search.parameters.{one_line(name, 60)}"
        parameter = agreed.parameter(name)
        if parameter is None:
            known = did_you_mean(name, [p.name for p in agreed.parameters])
            _wrong(pipeline, key, f"{agreed.name} has no parameter of that name; {known}")
        found[name] = _values(pipeline, key, parameter, one)
    return found


def _values(pipeline: Pipeline, key: str, parameter: Parameter, given: Any) -> Range | tuple[Any, ...]:
    if not isinstance(given, dict) or not ("choices" in given or {"low", "high"} <= given.keys()):
        _wrong(pipeline, key, "expected {low: ..., high: ...} or {choices: [...]}")
    if "choices" in given:
        _refuse_unknown(pipeline, given, ("choices",), key)
        found: Range | tuple[Any, ...] = _choices(pipeline, f"{key}.choices", given["choices"])
        ends = {"choices": found}
    else:
        _refuse_unknown(pipeline, given, _OF_A_RANGE, key)
        found = _range(pipeline, key, parameter, given)
        ends = {"low": (found.low,), "high": (found.high,)}
    for end, values in ends.items():
        for one in values:
            try:
                value(parameter, one)
            except GeolabError as error:
                _wrong(pipeline, f"{key}.{end}", str(error))
    return found


def _choices(pipeline: Pipeline, key: str, given: Any) -> tuple[Any, ...]:
    plain = (str, int, float, bool, type(None))
    if not isinstance(given, list) or len(given) < 2 or any(type(one) not in plain for one in given):
        _wrong(pipeline, key, "expected a list of at least two numbers, texts or booleans")
    if len({(type(one), one) for one in given}) < len(given):
        _wrong(pipeline, key, "names a value twice; keep one")
    return tuple(given)


def _range(pipeline: Pipeline, key: str, parameter: Parameter, given: dict[str, Any]) -> Range:
    kinds = {"int": (int,), "float": (int, float)}.get(parameter.base)
    if kinds is None:
        _wrong(pipeline, key, f"{parameter.name} is a {parameter.base}: give {{choices: [...]}}")
    kind = int if kinds == (int,) else float
    for name in ("low", "high", "step"):
        if type(given.get(name, 1)) not in kinds:
            what = "a whole number" if kind is int else "a number"
            _wrong(pipeline, f"{key}.{name}", f"is {one_line(repr(given[name]), 60)}; expected {what}")
    low, high, log, step = (
        kind(given["low"]),
        kind(given["high"]),
        given.get("log", False),
        given.get("step", 0),
    )
    if low >= high:
        _wrong(pipeline, f"{key}.high", f"is {high}; expected more than low, {low}")
    if type(log) is not bool or (log and low <= 0):
        _wrong(pipeline, f"{key}.log", f"is {log!r} with low {low}; expected true only above 0")
    if "step" in given and (step <= 0 or log):
        _wrong(pipeline, f"{key}.step", f"is {step}; expected more than 0, and no log")
    return Range(low, high, log, step, whole=kind is int)
