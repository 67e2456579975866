"""Kernels forked from a template: as new ones, only sooner; and none of them outlives its worker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from geolab import settings
from geolab.jobs import processes, stamp, warm

from . import warm_notebooks
from .warmth import execute_cells

QUICK_S = 8.0  # on a busy machine; nbclient looks once a second whether the kernel lives


@pytest.fixture(scope="module")
def shared() -> Iterator[warm.Template]:
    """One template for the tests that leave it as it is."""
    with warm.start(settings.load("/nonexistent")) as made:
        yield made


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


# ---------------------------------------------------------------- the same results


def test_a_forked_kernel_is_told_from_a_new_one_by_nothing_that_a_notebook_can_print(shared) -> None:
    cold = execute_cells(None, *warm_notebooks.EVERYTHING)
    forked = execute_cells(shared, *warm_notebooks.EVERYTHING)
    assert (cold.error, forked.error) == ("", "")
    assert (cold.start, forked.start) == ("cold: there is no template", "warm")
    assert forked.outputs() == cold.outputs()
    assert forked.files() == cold.files()
    assert {"late.txt", "atexit.txt", "del.txt", "thread.txt", "a.tif", "b.parquet"} <= forked.files().keys()
    assert len(forked.outputs()) > 100  # the comparison had something to compare


def test_chance_is_drawn_anew_in_every_kernel(shared) -> None:
    code = (
        "import random, uuid, multiprocessing, numba, numpy as np, torch\n"
        "@numba.njit\ndef draw():\n    return np.random.random()\n"
        "for value in (random.random(), np.random.random(), np.random.default_rng().random(), draw(),\n"
        "    torch.rand(1).item(), uuid.uuid4(), bytes(multiprocessing.current_process().authkey)):\n"
        "    print(value)"
    )
    one, other = (execute_cells(shared, code).outputs() for _ in range(2))
    assert len(one) == 7
    assert not set(one) & set(other)


def test_kernels_do_not_see_what_others_did(shared) -> None:
    spoil = (
        "import os, sys, numpy, builtins\n"
        "os.environ['SPOILT'] = '1'; numpy.pi = 3; builtins.spoilt = 1; sys.path.insert(0, '/spoilt')"
    )
    look = (
        "import os, sys, numpy, builtins\n"
        "print('SPOILT' in os.environ, numpy.pi, hasattr(builtins, 'spoilt'), '/spoilt' in sys.path)"
    )
    assert execute_cells(shared, spoil).error == ""
    assert execute_cells(shared, look).outputs() == ["False 3.141592653589793 False False"]


# ---------------------------------------------------------------- the template


def test_the_template_is_single_threaded_and_has_no_device_open(shared) -> None:
    assert execute_cells(shared, "print(1)").start == "warm"
    assert shared.pid is not None
    assert len(list(Path(f"/proc/{shared.pid}/task").iterdir())) == 1
    opened = [str(one.readlink()) for one in Path(f"/proc/{shared.pid}/fd").iterdir()]
    assert not [name for name in opened if name.startswith("/dev/nvidia")]
    assert len([name for name in opened if name.startswith("socket:")]) == 1


def test_the_stack_asks_nothing_about_a_kernel_while_it_is_imported() -> None:
    code = (
        "import IPython.core.getipython as g, IPython, importlib, traceback, sys\n"
        "asked = []\n"
        "def ask():\n    asked.append(''.join(traceback.format_stack()[-4:-1]))\n"
        "g.get_ipython = IPython.get_ipython = ask\n"
        "from geolab.jobs import template\n"
        "[importlib.import_module(name) for name in template.STACK]\n"
        "print('\\n'.join(asked) or 'nothing')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "nothing\n", done.stdout + done.stderr


def test_a_kernel_is_found_among_the_children_of_its_worker(shared) -> None:
    done = execute_cells(shared, "import os\nprint(os.getpid(), os.getppid())")
    kernel, parent = map(int, done.outputs()[0].split())
    assert parent == shared.pid
    assert psutil.Process(parent).ppid() == os.getpid()
    assert _gone(kernel)
    assert psutil.Process(parent).children() == []  # no zombie either


def test_the_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOLAB_WARM", "0")
    with warm.start(settings.load("/nonexistent")) as off:
        done = execute_cells(off, "print(1)")
        assert off.pid is None
    assert (done.error, done.start) == ("", "cold: switched off by the setting warm")


@pytest.mark.slow
def test_a_thread_left_by_an_import_is_an_obstacle_that_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading, time\n"
        "if 'geolab.jobs.template' in sys.orig_argv:\n"
        "    threading.Thread(target=time.sleep, args=(999,), daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with warm.start(settings.load("/nonexistent")) as made:
        done = execute_cells(made, "print(1)")
    assert (done.error, done.start) == ("", "cold: imports left 1 threads running")


@pytest.mark.slow
def test_a_stack_that_can_not_be_imported_is_tried_once(tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'geolab.jobs.template' in sys.orig_argv:\n"
        f"    open({str(tmp_path / 'tried')!r}, 'a').write('x')\n"
        "    sys.modules['xarray'] = None"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with warm.start(settings.load("/nonexistent")) as made:
        done = [execute_cells(made, "print(1)") for _ in range(2)]
    assert [one.error for one in done] == ["", ""]
    assert all("can't import" in one.start and "xarray" in one.start for one in done)
    assert (tmp_path / "tried").read_text() == "x"
    assert "the kernel starts cold" in caplog.text


# ---------------------------------------------------------------- out of date


@pytest.mark.slow
def test_a_variable_read_at_import_makes_a_new_template() -> None:
    look = "import torch, os\nprint(torch.get_num_threads(), os.environ.get('OMP_NUM_THREADS'))"
    with warm.start(settings.load("/nonexistent")) as made:
        one = execute_cells(made, look)
        before = made.pid
        single = execute_cells(made, look, extra={"OMP_NUM_THREADS": "1"})
        assert made.pid != before
    assert (one.start, single.start) == ("warm", "warm")
    assert one.outputs()[0].endswith("None")
    assert single.outputs() == ["1 1"]


@pytest.mark.slow
def test_changed_code_makes_a_new_template(tmp_path: Path) -> None:
    shutil.copytree(
        stamp.PACKAGE, tmp_path / "geolab", ignore=shutil.ignore_patterns("node_modules", "static")
    )
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from geolab import settings, figures\n"
        "from geolab.jobs import warm\n"
        "from warmth import execute_cells\n"
        f"assert figures.__file__.startswith({str(tmp_path)!r})\n"
        'look = \'from geolab import figures\\nprint(getattr(figures, "LATER", "not yet"))\'\n'
        "with warm.start(settings.load('/nonexistent')) as made:\n"
        "    for _ in range(2):\n"
        "        done = execute_cells(made, look)\n"
        "        print(done.start, done.outputs())\n"
        "        with Path(figures.__file__).open('a') as code:\n"
        "            code.write('\\nLATER = \"now\"\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines() == ["warm ['not yet']", "warm ['now']"], done.stdout + done.stderr


def test_what_differs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamp, "PACKAGE", tmp_path)
    (tmp_path / "loaded.py").write_text("a = 1")
    (tmp_path / "other.py").write_text("a = 1")
    loaded = stamp.Loaded((str(tmp_path / "loaded.py"),), {"SET": "by an import"})
    then = stamp.take({"A": "1", "GEOLAB_RUN": "x"})
    assert stamp.difference(then, stamp.take({"A": "1", "GEOLAB_RUN": "y"}), loaded) == ""
    assert stamp.difference(then, stamp.take({"A": "1", "SET": "by an import"}), loaded) == ""
    assert (
        stamp.difference(then, stamp.take({"A": "1", "SET": "by hand"}), loaded) == "the variable SET changed"
    )
    assert stamp.difference(then, stamp.take({"A": "2"}), loaded) == "the variable A changed"
    assert stamp.difference(then, stamp.take({}), loaded) == "the variable A changed"
    (tmp_path / "other.py").write_text("a = 22")
    assert stamp.difference(then, stamp.take({"A": "1"}), loaded) == ""
    (tmp_path / "loaded.py").write_text("a = 22")
    assert stamp.difference(then, stamp.take({"A": "1"}), loaded) == "the code of loaded.py changed"


# ---------------------------------------------------------------- killed


def test_a_killed_kernel_is_reported_and_the_template_lives_on(shared) -> None:
    before = (execute_cells(shared, "print(1)").start, shared.pid)
    done = execute_cells(
        shared, "import os, signal, time\nos.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)"
    )
    assert done.error.startswith("the kernel died in cell 2")
    assert done.seconds < QUICK_S
    assert before == ("warm", shared.pid)
    assert psutil.Process(shared.pid).children() == []


def test_the_status_of_a_kernel_is_that_of_its_process(shared, tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w") as out:
        kernel = shared.fork(
            [*warm.OWN, "-f", str(tmp_path / "kernel.json")],
            {
                **os.environ,
                **warm.CONSTANT,
                "IPYTHONDIR": str(tmp_path),
                "JUPYTER_RUNTIME_DIR": str(tmp_path),
            },
            str(tmp_path),
            out.fileno(),
        )
    kernel.send_signal(signal.SIGTERM)
    assert kernel.wait(10) == -signal.SIGTERM
    assert kernel.poll() == kernel.returncode
    kernel.kill()  # of what has ended: nothing happens


@pytest.mark.slow
def test_a_killed_template_takes_its_kernel_along_and_the_next_run_has_a_new_one() -> None:
    with warm.start(settings.load("/nonexistent")) as made:
        done = execute_cells(
            made,
            "import os, signal, time\nprint(os.getpid(), flush=True)\n"
            "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)",
        )
        assert done.error.startswith("the kernel died in cell 2")
        assert done.seconds < 60
        again = execute_cells(made, "print(1)")
        assert (again.error, again.start) == ("", "warm")


@pytest.mark.slow
def test_a_template_killed_while_it_imports_costs_the_run_only_its_warmth() -> None:
    with warm.start(settings.load("/nonexistent")) as made:
        assert made.pid is not None
        os.kill(made.pid, signal.SIGKILL)
        done = execute_cells(made, "print(1)")
        assert (done.error, done.start[:4]) == ("", "warm")  # it was dead before the run began
        made.close()
        assert made.pid is None


@pytest.mark.slow
@pytest.mark.parametrize("ready", [True, False])
def test_nothing_outlives_a_killed_worker(tmp_path: Path, ready: bool) -> None:
    script = (
        "import sys, time\n"
        "from geolab import settings\nfrom geolab.jobs import warm\n"
        "from warmth import execute_cells\n"
        "with warm.start(settings.load('/nonexistent')) as made:\n"
        "    print(made.pid, flush=True)\n"
        + (
            "    execute_cells(made, 'import os, subprocess, time\\n"
            f'open("{tmp_path}/pids", "w").write(f"{{os.getpid()}}\\\\n")\\ntime.sleep(300)\')\n'
            if ready
            else "    time.sleep(300)\n"
        )
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    assert worker.stdout is not None
    pids = [int(worker.stdout.readline())]
    if ready:
        _until(lambda: (tmp_path / "pids").is_file() and (tmp_path / "pids").read_text().endswith("\n"), 120)
        pids.append(int((tmp_path / "pids").read_text()))
        assert {child.pid for child in psutil.Process(worker.pid).children(recursive=True)} == set(pids)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    _until(lambda: all(map(_gone, pids)), 5)


@pytest.mark.slow
def test_killing_the_tree_of_a_worker_reaches_its_kernels(tmp_path: Path) -> None:
    script = (
        "from geolab import settings\nfrom geolab.jobs import warm\n"
        "from warmth import execute_cells\n"
        "with warm.start(settings.load('/nonexistent')) as made:\n"
        f'    execute_cells(made, \'import time\\nopen("{tmp_path}/runs", "w")\\ntime.sleep(300)\')\n'
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parent)
    _until((tmp_path / "runs").is_file, 120)
    family = psutil.Process(worker.pid).children(recursive=True)
    assert len(family) == 2
    processes.kill_tree(worker.pid, itself=True)
    worker.wait()
    _until(lambda: all(_gone(one.pid) for one in family), 5)
