"""Drive a pipeline: put into the ledger what is ready, push it to an engine, until nothing is left.

The driver decides nothing that the ledger does not know: it may be killed at any moment, and the next
one reads what is done, waits for what still runs, and pushes again what waits for anyone.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geolab.errors import EngineError
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.pipeline import watch
from geolab.pipeline.board import Board
from geolab.pipeline.engines import Engine, executor, name_of
from geolab.pipeline.keeper import Keeper
from geolab.pipeline.lead import Lead, lead
from geolab.pipeline.loop import Loop
from geolab.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

    from geolab.pipeline.model import Pipeline
    from geolab.pipeline.watch import Figures


def drive(
    pipeline: Pipeline,
    *,
    settings: Settings,
    engine: str | Client = "",
    workers: int = 0,
    retry_failed: bool = False,
) -> Iterator[Figures]:
    """Figures, about one a second, until nothing more can be done; the last ones are final.

    engine: a Dask scheduler, by its URL or a client that is connected to it; empty for a pool of `workers`
    processes of this machine.
    retry_failed: try again what has failed, and only keep what is outdated. Closing the iterator stops
    what runs, to be done again by the next driver. Raises GeolabError, in one line.
    """
    with _in_one_line(settings):
        with session(pipeline, settings=settings, engine=engine, workers=workers) as opened:
            board = yield from opened.drive(pipeline, retry_failed=retry_failed)
        board.refresh()
        yield watch.figures(pipeline, settings, board)


@dataclass(frozen=True)
class Session:
    """The lead of a pipeline and an engine at work, for one drive after another."""

    settings: Settings
    ledger: Ledger
    engine: Engine
    led: Lead

    def drive(self, pipeline: Pipeline, *, retry_failed: bool = False) -> Generator[Figures, None, Board]:
        """Figures until nothing more can be done; then the board. The pipeline may have other stages."""
        board = Board(
            pipeline, self.settings, self.ledger, keep_outdated=retry_failed, retry_failed=retry_failed
        )
        with Keeper(pipeline, self.settings, self.ledger) as keeper:
            yield from Loop(
                pipeline, self.settings, self.ledger, self.engine, board, self.led, keeper, retry_failed
            ).run()
        return board


@contextmanager
def session(
    pipeline: Pipeline, *, settings: Settings, engine: str | Client = "", workers: int = 0
) -> Iterator[Session]:
    """The lead of a pipeline, and an engine that stays up as long as the context lasts."""
    with _in_one_line(settings):
        ledger = open_ledger(settings)
        name = name_of(engine)
        with lead(pipeline, settings, ledger, name) as led, executor(engine, settings, workers) as used:
            led.set_dashboard(used.dashboard)
            if not engine and settings.ledger_url.startswith("sqlite:"):  # nobody else can take a run
                _refuse_without_gpus(pipeline, used)
            yield Session(settings, ledger, used, led)


def _refuse_without_gpus(pipeline: Pipeline, engine: Engine) -> None:
    """Raise EngineError for a stage that would wait for ever."""
    for stage in pipeline.stages.values():
        if stage.gpu > engine.gpus():
            remedy = "give --engine a cluster that has them, or set gpu: 0"
            raise EngineError(
                f"stage {stage.name} needs {stage.gpu} GPU, this machine has {engine.gpus()}; {remedy}"
            )


@contextmanager
def _in_one_line(settings: Settings) -> Iterator[None]:
    """Tell what the system refuses to a workspace as an error of one line."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        where = problem.filename or settings.home
        remedy = "nothing is lost: mend it and run the same command again"
        raise EngineError(f"can't write {where}: {problem.strerror}; {remedy}") from problem
