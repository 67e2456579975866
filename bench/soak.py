"""Kill the parts of a pipeline at random moments, and compare what comes out with an undisturbed run.

    python bench/soak.py                   the yearly pipeline on the sample archive: 12 cells x 4 years
    python bench/soak.py --kills 60 --seed 7 --cells 4 --keep /tmp/soak

Victims are drivers (started again at once), workers of their pools, and kernels, in turn, at seeded
random moments. Printed: kills, executions, repeated runs, and whether every product is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from geolab import settings as settings_module
from geolab.jobs.ledger import open_ledger
from geolab.settings import Settings

REPOSITORY = Path(__file__).parents[1]
GEOLAB = [sys.executable, "-m", "geolab"]
KINDS = ("driver", "worker", "kernel")
# what tells times and ids, not results
NOT_PRODUCTS = {"report.json", "notebook.ipynb", "log.txt", "log.jsonl", "events.jsonl"}


@dataclass
class Outcome:
    """How a soak ended."""

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    nodes: int = 0
    executions: int = 0
    interrupted: int = 0  # runs that were lost, or whose kernel died
    done_twice: list[str] = field(default_factory=list)  # slots that succeeded more than once
    active: int = 0  # runs that the ledger still has as queued or running
    orphans: list[str] = field(default_factory=list)
    products: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def repeated(self) -> int:
        return self.executions - self.nodes


def undisturbed(file: Path, home: Path, *, given: Mapping[str, str], workers: int = 2) -> Outcome:
    """A run to the end that nobody touches."""
    began = time.monotonic()
    process = _drive(file, home, given, workers)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the undisturbed run ended with {process.returncode}:\n{said}")
    return _examine(file, home, Outcome(time.monotonic() - began))


def soak(
    file: Path,
    home: Path,
    *,
    given: Mapping[str, str],
    kills: int,
    seed: int = 0,
    workers: int = 2,
    every_s: tuple[float, float] = (0.3, 3.0),
) -> Outcome:
    """A run to the end with so many kills, then drivers until all is done."""
    chance, outcome, began = random.Random(seed), Outcome(), time.monotonic()
    victims = [kind for _ in range(kills) for kind in KINDS][:kills]
    chance.shuffle(victims)
    process = _drive(file, home, given, workers)
    while victims and process.poll() is None:
        time.sleep(chance.uniform(*every_s))
        kind = victims[-1]
        living = [one for one in of_workspace(home) if kind_of(one) == kind]
        if living and _kill(chance.choice(living)):
            outcome.kills[kind] += 1
            victims.pop()
        if kind == "driver":
            process.communicate()
            process = _drive(file, home, given, workers)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the last driver ended with {process.returncode}:\n{said}")
    outcome.seconds = time.monotonic() - began
    return _examine(file, home, outcome)


def _drive(file: Path, home: Path, given: Mapping[str, str], workers: int) -> subprocess.Popen[str]:
    options = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    command = [*GEOLAB, "pipeline", "run", str(file), "--workers", str(workers), *options]
    return subprocess.Popen(
        command, env=environment(home), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def environment(home: Path) -> dict[str, str]:
    """The variables of a process of this workspace."""
    return os.environ | {"GEOLAB_HOME": str(home)}


def _kill(process: psutil.Process) -> bool:
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


# ---------------------------------------------------------------- processes


def of_workspace(home: Path) -> list[psutil.Process]:
    """The living processes, other than this one, whose workspace is this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("GEOLAB_HOME") == str(home)
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kind_of(process: psutil.Process) -> str:
    """What a process of geolab is: driver, worker, kernel, or other."""
    try:
        command, parent = process.cmdline(), process.parent()
        if "geolab.jobs.template" in command:  # a kernel that was forked has its template's command line
            above = parent.cmdline() if parent else []
            return "kernel" if "geolab.jobs.template" in above else "template"
    except (psutil.Error, OSError):
        return "gone"
    for word, kind in (
        ("ipykernel_launcher", "kernel"),
        ("geolab.pipeline.poolworker", "worker"),
        ("pipeline", "driver"),
    ):
        if word in command:
            return kind
    return "other"


def _left(home: Path, patience_s: float = 20) -> list[str]:
    """The command lines of processes that do not end by themselves."""
    end = time.monotonic() + patience_s
    while (left := of_workspace(home)) and time.monotonic() < end:
        time.sleep(0.1)
    return [f"{process.pid} {kind_of(process)}" for process in left]


# ---------------------------------------------------------------- what became of it


def _examine(file: Path, home: Path, outcome: Outcome) -> Outcome:
    """Fill in what ledger and folders tell."""
    outcome.orphans = _left(home)
    settings = settings_module.load(home, {})
    name = _name(file)
    ledger = open_ledger(settings)
    history = list(ledger.history(name))
    outcome.nodes = len({slot for slot, *_ in history})
    outcome.executions = ledger.executions(name)
    outcome.interrupted = sum(state == "lost" or cause == "kernel died" for _, _, state, cause, _ in history)
    successes = Counter(slot for slot, _, state, *_ in history if state == "succeeded")
    outcome.done_twice = [slot for slot, count in successes.items() if count > 1]
    outcome.active = sum(state in ("queued", "running") for _, _, state, *_ in history)
    outcome.products = products(settings, name)
    return outcome


def _name(file: Path) -> str:
    from geolab.pipeline import spec

    return spec.name_of(file)


def products(settings: Settings, name: str) -> dict[str, dict[str, str]]:
    """The SHA-256 of every file that each node left, by slot; without what tells times."""
    found = {}
    for run in open_ledger(settings).newest(name):
        if run.state == "succeeded":
            files = [p for p in Path(run.folder).rglob("*") if p.is_file() and p.name not in NOT_PRODUCTS]
            found[run.slot] = {
                str(p.relative_to(run.folder)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted(files)
            }
    return found


def differences(one: Outcome, other: Outcome) -> list[str]:
    """The slots whose products are not the same, or that only one has."""
    slots = one.products.keys() | other.products.keys()
    return sorted(slot for slot in slots if one.products.get(slot) != other.products.get(slot))


def show(calm: Outcome, stormy: Outcome) -> None:
    """Print what people ask first."""
    different = differences(calm, stormy)
    kills = ", ".join(f"{number} of a {kind}" for kind, number in sorted(stormy.kills.items()))
    files = sum(map(len, calm.products.values()))
    print(f"undisturbed: {calm.nodes} runs in {calm.seconds:.0f} s, {files} files")
    print(f"disturbed:   {stormy.kills.total()} kills ({kills}) in {stormy.seconds:.0f} s")
    print(f"  executions {stormy.executions}, repeated {stormy.repeated}, interrupted {stormy.interrupted}")
    print(f"  finished work repeated: {stormy.done_twice or 'none'}")
    print(f"  products that differ:   {different or 'none'}")
    print(f"  left in the ledger:     {stormy.active or 'nothing'} queued or running")
    print(f"  orphan processes:       {stormy.orphans or 'none'}")


# ---------------------------------------------------------------- the yearly pipeline


def yearly(folder: Path, *, cells: int, years: str, kills: int, seed: int, workers: int) -> int:
    """The soak on the sample archive: 0 when all is as it should be."""
    town = folder / "town"
    options = ["--satellite", "--years", years, "--cells", str(cells)]
    subprocess.run([*GEOLAB, "town", str(town), *options], env=environment(folder / "town-ws"), check=True)
    server = subprocess.Popen(
        [*GEOLAB, "town", str(town), "--serve", "--port", "0", "--json"],
        env=environment(folder / "town-ws"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        api = _address(server.stdout.readline())
        file = REPOSITORY / "pipelines" / "yearly_change.yaml"
        given = {"api": api, "grid": str(town / "grid.gpkg"), "years": years, "truth": str(town / "truth")}
        calm = undisturbed(file, folder / "calm", given=given, workers=workers)
        # as long as runs may be: a run that is interrupted too often in a row counts as failed
        every_s = (0.2, max(3.0, 1.6 * calm.seconds / kills))
        storm = {"kills": kills, "seed": seed, "workers": workers, "every_s": every_s}
        stormy = soak(file, folder / "stormy", given=given, **storm)
    finally:
        server.terminate()
        server.wait()
    show(calm, stormy)
    wrong = stormy.done_twice or stormy.orphans or stormy.active or differences(calm, stormy)
    return 1 if wrong or stormy.kills.total() < kills else 0


def _address(line: str) -> str:
    """The URL in the first line that the server prints."""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError):
        return next(word.rstrip(".,;") for word in line.split() if word.startswith("http"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--years", default="2021-2024")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep archive and workspaces here")
    args = parser.parse_args()
    facts = {"cells": args.cells, "years": args.years, "kills": args.kills}
    facts |= {"seed": args.seed, "workers": args.workers}
    if args.keep:
        return yearly(args.keep, **facts)
    with tempfile.TemporaryDirectory(prefix="geolab-soak-") as folder:
        return yearly(Path(folder), **facts)


if __name__ == "__main__":
    sys.exit(main())
