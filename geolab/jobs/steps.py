"""Steps of a notebook: what was done once is not done again when the run is taken up after a kill.

    with run.step("composite", depends={"items": ids}) as step:
        if step.due:
            step.keep(mosaic=path, count=n)
    mosaic = step["mosaic"]

Python can't skip the body of a `with`, hence the `if`. A step is found again only if it is the same in
name, place in the order, inputs, and (through the run's key) code and parameters, and if every file that
it stored still has its SHA-256. Variables of a step that is found do not exist: keep what comes after needs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from geolab import store
from geolab.errors import BadInput, NotFound
from geolab.jobs import events, ids, kept, stepfiles
from geolab.jobs.kept import Node
from geolab.jobs.stepfiles import Manifest

SCHEMA = 1
LONGEST_NAME = 100

_REPEATED = ("metric", "tracked")  # events that a run must have, whoever did the step


@dataclass
class Steps:
    """The steps of one run. Holds those that were entered, in order."""

    run_folder: Path
    root: Path  # where they are stored
    run_key: str = ""  # empty without a runner: then every step is due
    run_id: str = ""
    attempt: int = 0
    entered: dict[str, Step] = field(default_factory=dict)

    def step(self, name: str, depends: Any = None) -> Step:
        """A new step. Raises BadInput for a name that can't be one or was there before."""
        if not isinstance(name, str) or not _is_name(name):
            expected = f"1 to {LONGEST_NAME} letters, digits, ' ', '.', '_' and '-'"
            raise BadInput("step", found=repr(name), expected=expected)
        known = self.entered.get(name)
        if known is not None and (self.run_key or known.cell in ("", _cell())):
            remedy = "in a loop, put what differs into the name"
            found = "a second step of that name"
            raise BadInput(f"step {name}", found=found, expected="another name", remedy=remedy)
        return Step(self, name, depends)

    @property
    def open(self) -> Step | None:
        """The step whose body is being executed."""
        return next((step for step in self.entered.values() if step.state == "open"), None)


def _is_name(name: str) -> bool:
    """Whether it can be part of a file's name."""
    plain = name.translate(str.maketrans("", "", " ._-"))
    return plain.isascii() and plain.isalnum() and name[0].isalnum() and len(name) <= LONGEST_NAME


def _cell() -> str:
    """Which execution of a cell this is in an interactive session; empty outside of one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return str(shell.execution_count) if shell is not None else ""


class Step:
    """One step, as a context manager. Holds its folder while its body is executed.

    due: whether the body has to do the work. keep: hands over what comes after needs. `step[name]`
    gives it back, as it was stored, whether the step was done now or found.
    """

    def __init__(self, steps: Steps, name: str, depends: Any):
        self.name, self.state, self.cell = name, "new", _cell()  # new, open, done, found or failed
        self._steps, self._depends = steps, depends
        self._asked = False
        self._nodes: dict[str, Node] = {}
        self._manifest: Manifest | None = None
        self._folder = Path()

    @property
    def due(self) -> bool:
        """Whether the work has to be done: it never was, or its inputs have changed."""
        if self.state == "new":
            self._wrong("step.due of a step that was not entered", "`with run.step(...) as step:`")
        self._asked = True
        return self.state != "found"

    @property
    def content(self) -> str:
        """The hash of what the step was given and gave: what a step that depends on it knows of it."""
        if self._manifest is None:
            self._wrong(f"a step that is {self.state}, as an input", "one that has ended")
        return self._manifest.content

    def _wrong(self, found: str, expected: str) -> NoReturn:
        raise BadInput(f"step {self.name}", found=found, expected=expected)

    # ------------------------------------------------------------ in and out

    def __enter__(self) -> Step:
        steps = self._steps
        if self.state != "new":
            self._wrong("a step that was entered before", "run.step(...) anew")
        if (other := steps.open) is not None:
            self._wrong(f"a step inside step {other.name}", "one after the other")
        if not steps.entered:
            stepfiles.clear(steps.root)
        steps.entered.pop(self.name, None)  # a cell of a page that is executed again
        self._began, self._began_ns = time.monotonic(), time.time_ns()
        self._order = len(steps.entered) + 1
        self._inputs = _hashed(steps, self.name, self._depends)
        self._key = kept.digest([SCHEMA, steps.run_key, self.name, self._order, self._inputs])
        self._manifest = self._found()
        if self._manifest is not None:
            self._take_up(self._manifest)
        else:
            self._open()
        steps.entered[self.name] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state != "open":
            return
        if kind is not None:
            self._fail()
            return
        try:
            self._manifest = self._seal()
        except BaseException:
            self._fail()
            raise
        self.state = "done"
        self._tell(f"done in {_duration(self._manifest.seconds)}", seconds=self._manifest.seconds)

    def _open(self) -> None:
        self._folder = self._steps.root / f"{self.name}-{ids.new()}"
        self._folder.mkdir(parents=True)
        self._before = stepfiles.tree(self._steps.run_folder)
        self._seen = sum(1 for _ in events.read(self._steps.run_folder))
        self.state = "open"
        self._record()

    def _fail(self) -> None:
        self.state = "failed"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._record()

    def _record(self, **facts: Any) -> None:
        state = {"open": "running"}.get(self.state, self.state)
        events.append(self._steps.run_folder, "step", name=self.name, state=state, order=self._order, **facts)

    def _tell(self, text: str, **facts: Any) -> None:
        """Say it where the notebook shows it, and in the events."""
        print(f"step {self.name}: {text}", flush=True)  # noqa: T201 - stdout is what a cell shows
        self._record(**facts)

    # ------------------------------------------------------------ what is kept

    def keep(self, **outputs: Any) -> None:
        """Store outputs: JSON values, arrays, frames, xarray data, tensors by name, files and folders.

        A Path outside the run's folder is copied; what the body leaves in the run's folder is stored
        when it ends, kept or not. Tensors come back on the CPU, tuples as lists. Raises BadInput.
        """
        if self.state != "open":
            ended = {"new": "was not entered"}.get(self.state, f"is {self.state}")
            self._wrong(f"keep() of a step that {ended}", "keep() in its body, under `if step.due:`")
        if not self._asked:
            self._wrong("keep() without a look at step.due", "the work and keep() under `if step.due:`")
        for name, value in outputs.items():
            what = f"step {self.name}, {name}"
            if name in self._nodes:
                raise BadInput(what, found="a second value", expected="one")
            self._nodes[name] = kept.write(what, value, self._folder, self._steps.run_folder)

    def __getitem__(self, name: str) -> Any:
        nodes = self._manifest.outputs if self._manifest else self._nodes
        if name not in nodes:
            remedy = "" if nodes else "nothing was kept: step.keep(name=value)"
            raise NotFound(f"output of step {self.name}", str(name), known=nodes, remedy=remedy)
        return kept.read(nodes[name], self._folder, self._steps.run_folder)

    def _seal(self) -> Manifest:
        """Store what the step left in the run's folder, then write the manifest."""
        run_folder, steps = self._steps.run_folder, self._steps
        after = stepfiles.tree(run_folder)
        places: list[str] = []
        if steps.run_key:
            named = stepfiles.below(after, [p for node in self._nodes.values() for p in kept.outputs(node)])
            places = sorted(named | stepfiles.changed(self._before, after, began_ns=self._began_ns))
        for place in places:
            stepfiles.put(run_folder / place, self._folder / kept.OUTPUTS / place)
        manifest = Manifest(
            name=self.name,
            key=self._key,
            inputs=self._inputs,
            outputs=self._nodes,
            places=places,
            removed=sorted(self._before.keys() - after.keys(), reverse=True),
            events=[e for e in islice(events.read(run_folder), self._seen, None) if e["event"] in _REPEATED],
            files=kept.hashes(self._folder),
            folder=self._folder.name,
            run_id=steps.run_id,
            attempt=steps.attempt,
            finished=time.time(),
            seconds=round(time.monotonic() - self._began, 3),
        )
        stepfiles.write(steps.root / f"{self.name}.json", manifest)
        return manifest

    # ------------------------------------------------------------ what is found

    def _found(self) -> Manifest | None:
        """The manifest of this very step, done before and whole; else None, and the reason is told."""
        path = self._steps.root / f"{self.name}.json"
        if not self._steps.run_key or not path.exists():
            return None
        manifest = stepfiles.read(path)
        why = "its manifest is damaged" if manifest is None else self._differs(manifest)
        if manifest is not None and not why:
            self._folder = self._steps.root / manifest.folder
            return manifest
        path.unlink()
        if manifest is not None:
            shutil.rmtree(self._steps.root / manifest.folder, ignore_errors=True)
        self._tell(f"{why}: done again")
        return None

    def _differs(self, manifest: Manifest) -> str:
        """Why what was kept can't be used; empty if it can."""
        old, new = manifest.inputs, self._inputs
        if names := sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)):
            return f"its inputs have changed ({', '.join(names)})"
        if manifest.key != self._key:
            return "it has another place among the steps"
        name = stepfiles.damaged(self._steps.root / manifest.folder, manifest.files)
        return f"what was kept of it is damaged ({name})" if name else ""

    def _take_up(self, manifest: Manifest) -> None:
        """Put what the step left in the run's folder there again, and repeat its metrics."""
        run_folder = self._steps.run_folder
        for place in manifest.places:
            stepfiles.put(self._folder / kept.OUTPUTS / place, run_folder / place)
        for place in manifest.removed:
            stepfiles.remove(run_folder / place)
        for event in manifest.events:
            facts = {name: value for name, value in event.items() if name not in ("time", "event")}
            events.append(run_folder, event["event"], **facts)
        self.state = "found"
        when = datetime.fromtimestamp(manifest.finished, UTC).strftime("%Y-%m-%d %H:%M UTC")
        who = f"attempt {manifest.attempt}" if manifest.attempt else f"run {manifest.run_id}"
        took = _duration(manifest.seconds)
        self._tell(f"found, done {when} in {took} by {who}", seconds=manifest.seconds, by=manifest.run_id)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


# ---------------------------------------------------------------- inputs


def _hashed(steps: Steps, name: str, depends: Any) -> dict[str, str]:
    """The hash of each thing a step depends on; of all steps before it where nothing is said."""
    if depends is None:
        depends = dict(steps.entered)
    given = depends if isinstance(depends, dict) else {"depends": depends}
    what = f"step {name}, depends"
    return {str(key): kept.digest(_described(steps, f"{what} {key}", one)) for key, one in given.items()}


def _described(steps: Steps, what: str, value: Any) -> Any:
    """A value as JSON that tells it from every other; a file by its content, wherever it lies."""
    if isinstance(value, Step):
        return ["step", value.content]
    if isinstance(value, Path):
        return ["file", _content(what, steps.run_folder / value)]
    if type(value) in (list, tuple):
        return ["list", *(_described(steps, f"{what}[{i}]", one) for i, one in enumerate(value))]
    if type(value) is dict and all(type(key) is str for key in value):
        return ["dict", {key: _described(steps, f"{what}.{key}", one) for key, one in value.items()}]
    with tempfile.TemporaryDirectory(prefix="geolab-step-") as folder:
        node = kept.write(what, value, Path(folder), steps.run_folder)
        return [node, kept.hashes(Path(folder))]


def _content(what: str, path: Path) -> Any:
    if not path.exists():
        raise BadInput(what, found=f"{path}, which is not there", expected="an existing file or folder")
    return kept.hashes(path) if path.is_dir() else store.sha256(path)
