"""One attempt at a run: execute the notebook, watch it, decide the state, publish.

The process that calls `do` owns the run. Whatever the run started is ended, and the process is as it
was, when `do` returns; a run whose execution can't be ended takes the process with it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import psutil

from geolab.errors import GeolabError, LedgerError, NotFound, StorageError
from geolab.jobs import events, failure, folders, outputs, reconcile, record, retries, submission, workplace
from geolab.jobs.failure import Place
from geolab.jobs.ledger import Ledger
from geolab.jobs.logs import RunLog
from geolab.jobs.processes import Owner
from geolab.jobs.record import NOBODY, Record
from geolab.jobs.references import Input
from geolab.jobs.usage import Meter
from geolab.settings import Settings

POLL_S = 0.25  # how soon a cancellation, or too much memory, is noticed
KILLS = 10  # rounds, each finding what the one before has orphaned
GRACE_S = 20.0  # for papermill to come to an end once its kernel is dead

_log = logging.getLogger(__name__)


class Attempt:
    """One run in progress. Holds the reason why it was stopped, shared by two threads.

    retrier: who makes a further attempt after a failure; nobody: anyone may.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        run: Record,
        *,
        template: Any = None,
        retrier: Owner = NOBODY,
    ):
        self.settings, self.ledger, self.run = settings, ledger, run
        self.template, self.retrier = template, retrier
        self.folder = folders.private(settings, run.id)
        self.place = Place()
        self.lock = threading.RLock()  # a signal may come while it is held
        self.stopped = ""  # "cancelled", "failed" (a limit) or "lost" (somebody else settled the run)
        self.why = ""
        self.publishing = False  # from here on it is too late to stop
        self.over = threading.Event()
        self.state = ""  # the final one
        self.interrupted = False  # this process was told to end: somebody else shall do the work
        self.next_id = ""  # of the attempt that follows
        self.meter = Meter()
        self.before = psutil.Process().children(recursive=True)
        self.began = time.monotonic()
        self.threads: list[threading.Thread] = []
        self.log = RunLog(self.folder, run.id, self.place)

    def do(self) -> str:
        """The state in which the run ended, published if it succeeded."""
        try:
            if problem := folders.missing(self.settings, self.run):
                raise problem
            with workplace.of(self.settings, self.folder, self.run.id, self.log):
                self._start(self._watch)
                self._do()
        except StorageError as problem:  # not even the log can be written
            self._end("failed", failure.of_storage(problem, self.place))
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join()
            self.log.close()
        self.state = self.state or "lost"  # somebody else has settled it
        return self.state

    def cancel(self, why: str) -> None:
        """End the work from outside, as a signal does."""
        self._stop("cancelled", why)

    def interrupt(self, why: str) -> None:
        """End the work because this process must end; it is queued again for others."""
        self.interrupted = True
        self._stop("lost", why)

    def _start(self, call: Callable[[], None]) -> None:
        thread = threading.Thread(target=call, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _do(self) -> None:
        try:
            if folders.read_report(folders.published(self.settings, self.run)) and not self.run.force:
                self._succeed()  # another attempt was published between the question and the claim
            else:
                self._execute_and_publish()
        except BaseException as problem:
            if self.stopped:  # papermill stumbled over the kernel that was taken away
                self._end(self.stopped, self.why)
            elif folders.is_of(self.run, folders.published(self.settings, self.run)):
                self._succeed()  # what failed came after the results were there
            else:
                self._end("failed", self._in_words(problem))
            if not isinstance(problem, Exception):
                raise

    def _execute_and_publish(self) -> None:
        if self.run.force:
            shutil.rmtree(folders.checkpoints(self.settings, self.run.key), ignore_errors=True)
        described = json.loads((self.folder / folders.DESCRIBED).read_bytes())
        submission.describe(self.folder, self.run, described["inputs"])
        folders.reserve(self.folder)
        error = self._execute()
        with self.lock:
            self.publishing = not (self.stopped or error)
        if self.stopped:
            self._end(self.stopped, self.why)
        elif error:
            self._end("failed", self._with_remedy(error))
        else:
            self._publish([Input(**one) for one in described["inputs"]])

    def _execute(self) -> str:
        """What went wrong; nothing that was started is left when this returns."""
        runtime = folders.runtime(self.run.id)
        runtime.mkdir(mode=0o700, exist_ok=True)
        from geolab.jobs.execute import execute  # a second or two: papermill

        try:
            return execute(
                folders.SOURCE,
                folders.NOTEBOOK,
                self.run.parameters,
                log=cast(IO[str], self.log),
                place=self.place,
                on_cell=self._on_cell,
                template=self.template,
            )
        finally:
            self._kill()
            shutil.rmtree(runtime, ignore_errors=True)

    def _kill(self) -> None:
        """Kill every process that the run started, and none that was there before."""
        for _ in range(KILLS):  # those whose parents die are children of this process a moment later
            family = self._family()
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=5)
            if not family:
                return

    def _family(self) -> list[psutil.Process]:
        present = psutil.Process().children(recursive=True)
        return [one for one in present if one not in self.before and one.pid != self._template_pid()]

    def _template_pid(self) -> int | None:
        """Of the process that kernels are forked from; it may be a newer one than before the run."""
        return getattr(self.template, "pid", None)

    def _on_cell(self, place: Place) -> None:
        events.append(self.folder, "cell", number=place.number, done=place.started - 1, total=place.total)
        self._measure()

    def _with_remedy(self, error: str) -> str:
        if failure.cause_of(error) != "disk full":
            return error
        return failure.Words(f"{folders.full(self.folder)}\n\n{error}", "disk full")

    def _in_words(self, problem: BaseException) -> str:
        storage = problem if isinstance(problem, StorageError) else folders.trouble(self.folder, problem)
        if storage is not None:
            return failure.of_storage(storage, self.place)
        if isinstance(problem, GeolabError):
            return str(problem)
        _log.error("the runner failed", exc_info=problem)
        return f"the runner failed: {problem!r}; its log has the traceback"

    # ------------------------------------------------------------ the watching thread

    def _watch(self) -> None:
        """Renew the lease; stop the work when asked to, beyond a limit, or when it is no longer ours."""
        renewed = reached = time.monotonic()
        while not self.over.wait(POLL_S):
            now = time.monotonic()
            self._check_time(now)
            self._measure()
            try:
                if now - renewed >= self.settings.heartbeat_s:
                    self._renew()
                    renewed = now
                elif self.ledger.get(self.run.id).cancel:
                    self._stop("cancelled", f"cancelled {self.place}")
                reached = now
            except NotFound:
                self._stop("lost", "")  # somebody removed the ledger
            except (OSError, LedgerError) as problem:
                _log.warning("the ledger can't be reached: %s", problem)
                if now - reached > self.settings.lease_s:
                    self._stop("lost", "")

    def _check_time(self, now: float) -> None:
        if self.run.timeout_s is not None and now - self.began > self.run.timeout_s:
            self._stop("failed", failure.of_time_out(self.run.timeout_s, self.place))

    def _measure(self) -> None:
        """Look at processor and memory; stop a run that takes too much."""
        sample, limit = self.meter.look(but=self._template_pid()), self.run.memory_mb
        if limit is None or sample.memory_mb <= limit:
            pass
        elif (exact := self.meter.exact_mb(but=self._template_pid())) > limit:
            self._stop("failed", failure.of_memory(exact, limit, self.place))
        if self.meter.due():
            self._tell("usage", sample.facts())

    def _tell(self, event: str, facts: dict[str, Any]) -> None:
        try:
            events.append(self.folder, event, **facts)
        except OSError as problem:  # the disk is full, or the folder was settled by somebody else
            _log.debug("no %s event: %s", event, problem)

    def _renew(self) -> None:
        if self.ledger.renew(self.run.id, owner=self.run.owner, lease_s=self.settings.lease_s) is None:
            self._stop("lost", "")

    def _stop(self, state: str, why: str) -> None:
        """End the work: without its kernel papermill comes back by itself, or is left behind."""
        with self.lock:
            if self.stopped or self.publishing or self.over.is_set():
                return
            self.why, self.stopped = why, state
        self._start(self._insist)

    def _insist(self) -> None:
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            self._kill()  # again: a kernel may just be starting
            if self.over.wait(POLL_S):
                return
        self._end(self.stopped, self.why)
        os._exit(1)

    # ------------------------------------------------------------ the end

    def _publish(self, inputs: list[Input]) -> None:
        final = folders.published(self.settings, self.run)
        (self.folder / folders.RESERVE).unlink(missing_ok=True)
        with folders.writing(self.folder):
            outputs.write_report(
                self.folder,
                final,
                self.run,
                inputs,
                seconds=time.monotonic() - self.began,
                usage=self.meter.summary(),
            )

        def publish(run: Record) -> Record | None:
            placed = record.place(run, owner=self.run.owner, folder=str(final))
            if placed is not None:
                with folders.writing(final):
                    folders.publish(self.settings, run)
            return placed

        if self._surely(publish) is None:
            self._end("cancelled", "cancelled while it was ending")
            return
        self._succeed()

    def _succeed(self) -> None:
        final = folders.published(self.settings, self.run)
        outputs.announce(self.settings, final)
        self._finish("succeeded", final, "")
        shutil.rmtree(folders.checkpoints(self.settings, self.run.key), ignore_errors=True)

    def _end(self, state: str, error: str) -> None:
        """Record a run that did not succeed, and keep its notebook and log."""
        cause = failure.cause_of(error)
        if cause == "disk full":
            folders.shrink(self.folder)
        self.log.end(state, error)
        self._tell("used", self.meter.summary())
        outputs.announce(self.settings, self.folder)
        following = self._following(state)
        self._finish(state, folders.attempt(self.settings, self.run), error, cause)
        if following is not None and self.state == state:
            self.next_id = self.ledger.enqueue(following).id
        elif following is not None:  # somebody else has settled this run
            shutil.rmtree(folders.private(self.settings, following.id), ignore_errors=True)

    def _following(self, state: str) -> Record | None:
        """The next attempt, if one is wanted."""
        if state == "lost" and self.interrupted:
            return retries.after_interruption(self.settings, self.run)
        if state == "failed":
            return retries.after_failure(self.settings, self.ledger, self.run, retrier=self.retrier)
        return None

    def _finish(self, state: str, folder: Path, error: str, cause: str = "") -> None:
        finish = partial(
            record.finish, owner=self.run.owner, state=state, folder=str(folder), error=error, cause=cause
        )
        if self._surely(lambda run: finish(run, now=self.ledger.now())) is not None:
            self.state = state
            reconcile.retire(self.settings, self.ledger, self.run)

    def _surely(self, change: Callable[[Record], Record | None]) -> Record | None:
        """What the ledger made of a change that must not get lost: tried for as long as a lease lasts."""
        deadline = time.monotonic() + self.settings.lease_s
        while True:
            try:
                return self.ledger.update(self.run.id, change)
            except LedgerError as problem:
                if time.monotonic() > deadline:
                    raise
                _log.warning("the end of run %s can't be recorded yet: %s", self.run.id, problem)
                time.sleep(POLL_S)
