"""Dask as an engine: the driver's side, the task, and a worker of geolab's own.

A task only asks the pool of processes of its worker to perform a run: a kernel needs a main thread
above it, and something that can be killed. Dask retries nothing; the ledger decides what is done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
from distributed import Client, Worker

import geolab
from geolab import settings as settings_module
from geolab.errors import EngineError, NotFound
from geolab.jobs import folders
from geolab.jobs.ledger import open_ledger
from geolab.jobs.record import Record
from geolab.pipeline import poolworker
from geolab.pipeline.devices import Devices, visible
from geolab.pipeline.engines import name_of, task_name
from geolab.pipeline.pool import Pool
from geolab.settings import Settings

CONNECT_S = 10.0  # for a scheduler to answer, and for one that went away to come back
ASK_S = 2.0  # between questions for its workers


@dataclass(frozen=True)
class _Own:
    """What a Dask worker has for the runs that are sent to it."""

    settings: Settings
    pool: Pool
    devices: Devices


_mine: _Own | None = None
_lock = threading.Lock()


# ---------------------------------------------------------------- the driver's side


class DaskEngine:
    """The executor of a Dask scheduler, at a URL or behind a client that is connected already."""

    def __init__(self, scheduler: str | Client, settings: Settings):
        self.settings = settings
        self._known: dict[str, Any] = {}
        self._asked = float("-inf")
        _quiet()
        self.given = isinstance(scheduler, Client)  # and so it stays open
        self.client = scheduler if isinstance(scheduler, Client) else _connected(scheduler)
        self.url = url = name_of(self.client)
        self.executor = self.client.get_executor(pure=False, retries=0)
        self.dashboard = str(self.client.dashboard_link)
        try:
            _check_versions(url, self._workers())
        except EngineError:
            self._leave()
            raise

    def push(self, run: Record) -> Future[str]:
        resources = {"GPU": run.gpu} if run.gpu else None
        known = str(self.settings.home), geolab.__version__, run.id, run.gpu
        return self.executor.submit(
            perform, *known, key=task_name(run), resources=resources, priority=run.priority
        )

    def takes(self, run: Record) -> bool:  # noqa: ARG002 - its scheduler counts the GPUs of its workers
        return self.client.status == "running"

    def slots(self) -> int:
        return sum(one["nthreads"] for one in self._workers().values())

    def gpus(self) -> int:
        return int(sum(one["resources"].get("GPU", 0) for one in self._workers().values()))

    def check(self) -> None:
        if self.client.status == "closed":
            text = (
                f"the Dask scheduler {self.url} is lost; its workers finish what they hold, the ledger knows"
            )
            raise EngineError(f"{text}; {_REMEDY}, then the same command again")

    def close(self, *, kill: bool) -> None:  # noqa: ARG002 - its workers are no children of this process
        if self.client.status == "running":
            self.executor.shutdown(wait=False)
        self._leave()

    def _leave(self) -> None:
        if not self.given:
            self.client.close(timeout=CONNECT_S)

    def _workers(self) -> dict[str, Any]:
        """What is known of the workers, at most so old as a heartbeat of theirs."""
        if time.monotonic() > self._asked + ASK_S and self.client.status == "running":
            with suppress(OSError):  # it is just being lost; `check` tells
                self._known = self.client.scheduler_info(n_workers=-1).get("workers", self._known)
            self._asked = time.monotonic()
        return self._known


_REMEDY = "start one with `dask scheduler`, and workers with `geolab worker --engine URL`"


def _connected(url: str) -> Client:
    try:
        return Client(url, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as problem:  # a time-out is an OSError
        raise EngineError(f"no Dask scheduler answers at {url} ({problem}); {_REMEDY}") from problem


def _quiet() -> None:
    """Keep distributed from telling its inner life on the terminal; what matters is raised."""
    own = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    for name in (*own, "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _check_versions(url: str, workers: dict[str, Any]) -> None:
    for address, one in workers.items():
        found = one.get("geolab", {}).get("version", geolab.__version__)
        if found != geolab.__version__:
            raise EngineError(_other_version(f"worker {address} of {url}", found, geolab.__version__))


def _other_version(who: str, found: str, expected: str) -> str:
    return f"{who} has geolab {found}, the driver {expected}: install the same version on both"


# ---------------------------------------------------------------- the task


def perform(home: str, version: str, run_id: str, gpu: int) -> str:
    """The state in which this worker left the run; empty if somebody else has it. Raises EngineError.

    home, version: the driver's workspace, which a worker that was started without one uses too.
    """
    if version != geolab.__version__:
        raise EngineError(_other_version(_here(), geolab.__version__, version))
    mine = _own(home)
    _check_sees(mine.settings, run_id)
    gpus = mine.devices.take(gpu)  # as many are free: the scheduler counts them
    try:
        return mine.pool.submit(poolworker.perform, run_id, gpus).result()
    finally:
        mine.devices.give_back(gpus)


def _own(home: str) -> _Own:
    """What this Dask worker has for runs, made at its first task."""
    global _mine
    with _lock:
        if _mine is None:
            settings = settings_module.load(os.environ.get("GEOLAB_HOME") or _existing(home))
            pool = Pool(settings, distributed.get_worker().state.nthreads)
            _mine = _Own(settings, pool, Devices(visible()))
    return _mine


def _existing(home: str) -> str:
    if not Path(home).is_dir():
        remedy = "share it, or start the worker with GEOLAB_HOME, GEOLAB_LEDGER_URL and GEOLAB_RUNS_FOLDER"
        raise EngineError(f"{_here()} has no workspace {home}: {remedy}")
    return home


def _check_sees(settings: Settings, run_id: str) -> None:
    """Raise EngineError where ledger or folders are not those of the driver."""
    try:
        run = open_ledger(settings).get(run_id)
    except NotFound:
        text = f"{_here()} looks into another ledger than the driver, and finds no run {run_id} there"
        raise EngineError(f"{text}: give both the same GEOLAB_LEDGER_URL") from None
    if run.waiting and not folders.private(settings, run_id).is_dir():
        text = f"{_here()} finds no folder of run {run_id} in {settings.runs}"
        raise EngineError(f"{text}: give both the same GEOLAB_RUNS_FOLDER, on a file system they share")


def _here() -> str:
    return f"the worker on {platform.node()}, process {os.getpid()},"


# ---------------------------------------------------------------- geolab worker --engine URL


def worker(url: str, settings: Settings, workers: int = 0) -> None:
    """Be a Dask worker for runs of this workspace, until stopped. Raises EngineError.

    workers: runs at once (0: as the settings say). Each GPU of this machine is offered as GPU=1.
    """
    global _mine
    _quiet()
    _mine = _Own(settings, Pool(settings, workers), Devices(visible()))
    try:
        told = asyncio.run(_serve(url, _mine))
    except (OSError, ValueError) as problem:
        raise EngineError(
            f"no Dask scheduler answers at {url} ({problem}); start one: dask scheduler"
        ) from problem
    finally:
        _mine.pool.shutdown(cancel_futures=True)  # ends what it holds
    if not told:
        raise EngineError(f"the Dask scheduler {url} is gone; {_REMEDY}")


async def _serve(url: str, mine: _Own) -> bool:
    """Serve the scheduler until it ends or a signal comes; whether it was a signal."""
    told: list[asyncio.Task[str | None]] = []
    described = {"version": geolab.__version__, "host": platform.node()}
    with tempfile.TemporaryDirectory(prefix="geolab-dask-", ignore_cleanup_errors=True) as scratch:
        async with Worker(
            url,
            nthreads=mine.pool.workers,
            name=f"geolab-{platform.node()}-{os.getpid()}",
            resources={"GPU": mine.devices.count} if mine.devices.count else {},
            local_directory=scratch,
            memory_limit=0,  # the runs' own limits count, not those of this process
            death_timeout=CONNECT_S,
            dashboard=False,
            startup_information={"geolab": lambda _: described},
        ) as one:
            loop = asyncio.get_running_loop()

            def stop() -> None:
                told.append(loop.create_task(one.close(reason="stopped")))

            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
            await one.finished()
    return bool(told)
