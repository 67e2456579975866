"""Trials of a search: what to try next, by what was found so far. The one door to Optuna.

What is suggested follows from search and earlier results alone: every trial has a generator of its own,
seeded by its number, and results are told in batches. So a search that was killed comes to the same end
as one that was not, with any number of workers.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolab.pipeline.space import Range, Search

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study


@dataclass(frozen=True)
class Trial:
    """One choice of parameters. value: of the metric; None before its run has ended, or where it failed."""

    number: int
    parameters: dict[str, Any]
    value: float | None = None
    run_id: str = ""


def best(search: Search, trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best value, the first of equals; None if all failed."""
    sign = -1 if search.direction == "maximize" else 1
    with_value = [trial for trial in trials if trial.value is not None]
    return min(with_value, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def suggest(search: Search, known: Sequence[Trial]) -> list[Trial]:
    """The trials of the next batch. known: all that came before, ended."""
    from optuna.samplers import TPESampler

    study = _study(search, known)
    count = min(search.batch, search.trials - len(known))
    asked = []
    for number in range(len(known), len(known) + count):
        # constant_liar: what was asked in this batch counts as bad, so that the next one differs
        study.sampler = TPESampler(seed=(search.seed * 1_000_003 + number) % 2**32, constant_liar=True)
        asked.append(Trial(number, dict(study.ask(_distributions(search)).params)))
    return asked


def save(search: Search, known: Sequence[Trial], name: str, path: Path) -> None:
    """Write the trials as a journal that Optuna's own tools read; it replaces the one before."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        new = Path(folder, "journal")
        _study(search, known, storage=JournalStorage(JournalFileBackend(str(new))), study_name=name)
        shutil.move(new, path)


def _study(search: Search, known: Sequence[Trial], **where: Any) -> Study:
    """A study that knows these trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=search.direction, **where)
    states = {True: optuna.trial.TrialState.COMPLETE, False: optuna.trial.TrialState.FAIL}
    for trial in known:
        made = optuna.trial.create_trial(
            params=trial.parameters,
            distributions=_distributions(search),
            value=trial.value,
            state=states[trial.value is not None],
            user_attrs={"geolab.run": trial.run_id},
        )
        study.add_trial(made)
    return study


def _distributions(search: Search) -> dict[str, BaseDistribution]:
    return {name: _distribution(one) for name, one in search.parameters.items()}


def _distribution(one: Range | tuple[Any, ...]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, tuple):
        return CategoricalDistribution(one)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step) or 1)
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step or None)
