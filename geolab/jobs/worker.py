"""The process of one run: `python -m geolab.jobs.worker RUN_ID`, started by `geolab.jobs.runner`.

It owns the run in the ledger: claims it, renews its lease, executes the notebook in a kernel of its
own, decides the state and publishes. Its caller only watches, and may go away.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

from geolab import settings as settings_module
from geolab.errors import GeolabError, LedgerError, NotFound
from geolab.jobs import events, failure, folders, outputs, processes, reconcile, record
from geolab.jobs.failure import Place
from geolab.jobs.ledger import Ledger, open_ledger
from geolab.jobs.record import Record
from geolab.jobs.references import Input
from geolab.settings import Settings

POLL_S = 0.25  # how soon a cancellation is noticed
GRACE_S = 20.0  # for papermill to come to an end once its kernel is dead

_log = logging.getLogger(__name__)


def main(run_id: str) -> None:
    """Do the run with this id, if it still waits to be done."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("papermill").setLevel(logging.ERROR)
    settings = settings_module.load()
    ledger, me = open_ledger(settings), processes.owner()
    lease = partial(_lease_end, settings)
    run = ledger.update(run_id, lambda r: record.claim(r, owner=me, lease_until=lease(), now=time.time()))
    if run is not None:
        _Work(settings, ledger, run).do()


def _lease_end(settings: Settings) -> float:
    return time.time() + settings.lease_s


class _Work:
    """One run in progress. Holds the reason why it was stopped, shared by two threads."""

    def __init__(self, settings: Settings, ledger: Ledger, run: Record):
        self.settings, self.ledger, self.run = settings, ledger, run
        self.folder = folders.private(settings, run.id)
        self.place = Place()
        self.lock = threading.RLock()  # a signal may come while it is held
        self.stopped = ""  # "cancelled", "failed" (time-out) or "lost" (somebody else settled the run)
        self.why = ""
        self.publishing = False  # from here on it is too late to stop
        self.over = threading.Event()
        self.began = time.monotonic()

    def do(self) -> None:
        """Execute, then publish or end."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop("cancelled", "stopped by SIGTERM"))
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            if folders.read_report(folders.published(self.settings, self.run)) and not self.run.force:
                self._succeed()  # another attempt was published between the question and the claim
            else:
                self._execute_and_publish()
        except GeolabError as problem:
            self._end("failed", str(problem))
        except BaseException as problem:
            if not self.stopped:
                self._end("failed", f"the runner failed: {problem!r}; its log has the traceback")
                raise
            self._end(self.stopped, self.why)  # papermill stumbled over the kernel that was taken away
        finally:
            self.over.set()

    def _execute_and_publish(self) -> None:
        if self.run.force:
            shutil.rmtree(folders.checkpoints(self.settings, self.run.key), ignore_errors=True)
        described = json.loads((self.folder / folders.DESCRIBED).read_bytes())
        error = self._execute()
        with self.lock:
            self.publishing = not (self.stopped or error)
        if self.stopped:
            self._end(self.stopped, self.why)
        elif error:
            self._end("failed", error)
        else:
            self._publish([Input(**one) for one in described["inputs"]])

    def _execute(self) -> str:
        """What went wrong; nothing that was started is left when this returns."""
        runtime = folders.runtime(self.run.id)
        runtime.mkdir(mode=0o700, exist_ok=True)
        os.environ.update(environment(self.settings, self.folder, runtime))
        os.chdir(self.folder)
        from geolab.jobs.execute import execute  # a second or two: papermill

        try:
            return execute(
                folders.SOURCE,
                folders.NOTEBOOK,
                self.run.parameters,
                log=sys.stdout,
                place=self.place,
                on_cell=self._on_cell,
            )
        finally:
            processes.kill_tree(os.getpid(), itself=False)
            shutil.rmtree(runtime, ignore_errors=True)

    def _on_cell(self, place: Place) -> None:
        events.append(self.folder, "cell", number=place.number, done=place.started - 1, total=place.total)

    # ------------------------------------------------------------ the watching thread

    def _watch(self) -> None:
        """Renew the lease; stop the work when asked to, out of time, or when the run is no longer ours."""
        renewed = reached = time.monotonic()
        while not self.over.wait(POLL_S):
            now = time.monotonic()
            if self.run.timeout_s is not None and now - self.began > self.run.timeout_s:
                self._stop("failed", failure.of_time_out(self.run.timeout_s, self.place))
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

    def _renew(self) -> None:
        renew = partial(record.renew, owner=self.run.owner, lease_until=_lease_end(self.settings))
        if self.ledger.update(self.run.id, renew) is None:
            self._stop("lost", "")

    def _stop(self, state: str, why: str) -> None:
        """End the work: without its kernel papermill comes back by itself, or is left behind."""
        with self.lock:
            if self.stopped or self.publishing:
                return
            self.why, self.stopped = why, state
        threading.Thread(target=self._insist, daemon=True).start()

    def _insist(self) -> None:
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            processes.kill_tree(os.getpid(), itself=False)  # again: a kernel may just be starting
            if self.over.wait(POLL_S):
                return
        self._end(self.stopped, self.why)
        os._exit(1)

    # ------------------------------------------------------------ the end

    def _publish(self, inputs: list[Input]) -> None:
        final = folders.published(self.settings, self.run)
        outputs.write_report(self.folder, final, self.run, inputs, seconds=time.monotonic() - self.began)

        def publish(run: Record) -> Record | None:
            placed = record.place(run, owner=self.run.owner, folder=str(final))
            if placed is not None:
                folders.publish(self.settings, run)
            return placed

        if self.ledger.update(self.run.id, publish) is None:
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
        print(f"\n{state}: {error}", flush=True)  # noqa: T201 - stdout is the log of the run
        outputs.announce(self.settings, self.folder)
        self._finish(state, folders.attempt(self.settings, self.run), error)

    def _finish(self, state: str, folder: Path, error: str) -> None:
        finish = partial(record.finish, owner=self.run.owner, state=state, folder=str(folder), error=error)
        if self.ledger.update(self.run.id, lambda run: finish(run, now=time.time())) is not None:
            reconcile.retire(self.settings, self.ledger, self.run)


def environment(settings: Settings, folder: Path, runtime: Path) -> dict[str, str]:
    """The variables of a run: its settings, its description, and nothing of the user's Jupyter set-up."""
    values = {f.name: str(getattr(settings, f.name)) for f in fields(settings)}
    return {f"GEOLAB_{name.upper()}": value for name, value in values.items()} | {
        "GEOLAB_RUN": str(folder / folders.DESCRIBED),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(runtime / "ipython"),  # no start-up files, no shared history
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONUNBUFFERED": "1",
    }


if __name__ == "__main__":
    main(sys.argv[1])
