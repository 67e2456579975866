"""SIGKILL to kernel and worker of a step-wise notebook: the next attempt begins where the steps end."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from geolab import jobs, settings, store
from geolab.jobs import events, folders
from geolab.jobs.ledger import open_ledger
from geolab.settings import Settings

pytestmark = pytest.mark.slow

COUNTED = "(run.settings.home / 'done.txt').open('a').write"


@pytest.fixture
def stepwise(make_notebook) -> Path:
    """Three steps with outputs of several kinds; the third waits once, for the test to kill it."""
    return make_notebook(
        'seed: int = 7  # of the noise\nwait: str = ""  # the third step waits while this file exists',
        "import time\nfrom pathlib import Path\n\nimport numpy as np\nimport pandas as pd\n\n"
        "from geolab import jobs\n\nrun = jobs.context()",
        f"with run.step('noise') as noise:\n"
        f"    if noise.due:\n"
        f"        {COUNTED}('noise ')\n"
        f"        run.metric('loss', 0.5, step=1)\n"
        f"        noise.keep(array=np.random.default_rng(seed).normal(size=(50, 30)), seed=seed)",
        f"with run.step('table', depends={{'noise': noise}}) as table:\n"
        f"    if table.due:\n"
        f"        {COUNTED}('table ')\n"
        f"        frame = pd.DataFrame(noise['array'][:, :3], columns=['a', 'b', 'c'])\n"
        f"        frame.to_csv(run.path('tables/noise.csv'))\n"
        f"        table.keep(frame=frame, file=run.path('tables/noise.csv'))",
        f"with run.step('sum', depends={{'table': table}}) as total:\n"
        f"    if total.due:\n"
        f"        {COUNTED}('sum ')\n"
        f"        while Path(wait).is_file():\n"
        f"            time.sleep(0.02)\n"
        f"        run.path('sum.txt').write_text(repr(table['frame'].to_numpy().sum()))\n"
        f"        total.keep(sum=float(table['frame'].to_numpy().sum()))",
        "jobs.report(sum=total['sum'], table=table['file'], loss=run.path('sum.txt'))",
        name="stepwise",
    )


def _products(folder: Path) -> dict[str, bytes]:
    """All files of a finished run but those that tell when and where it ran."""
    told = (folders.NOTEBOOK, folders.LOG, folders.REPORT, events.FILE)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in told
    }


def _done(settings: Settings) -> list[str]:
    """What the steps did, in order, all attempts together."""
    path = settings.home / "done.txt"
    return path.read_text().split() if path.exists() else []


def _wait_for_third(settings: Settings, run_id: str) -> None:
    deadline = time.monotonic() + 60
    while _done(settings)[-1:] != ["sum"]:
        assert open_ledger(settings).get(run_id).active
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("victim", ["kernel", "worker", "both"])
def test_a_run_killed_after_its_second_step_goes_on_at_the_third(workspace, stepwise, tmp_path, victim):
    wait = tmp_path / "wait"
    parameters = {"wait": str(wait)}
    undisturbed = jobs.run(stepwise, parameters, settings=settings.load(home=tmp_path / "other"))
    assert (undisturbed.state, undisturbed.error) == ("succeeded", "")

    wait.touch()
    killed = jobs.submit(stepwise, parameters, settings=workspace)
    _wait_for_third(workspace, killed.run_id)
    worker = psutil.Process(open_ledger(workspace).get(killed.run_id).owner.pid)
    kernels = worker.children(recursive=True)
    assert kernels
    for process in {"kernel": kernels, "worker": [worker], "both": [worker, *kernels]}[victim]:
        process.send_signal(signal.SIGKILL)
    assert jobs.wait(killed.run_id, settings=workspace).state in ("failed", "lost")

    wait.unlink()
    resumed = jobs.run(stepwise, parameters, settings=workspace)
    assert (resumed.state, resumed.error, resumed.reused) == ("succeeded", "", False)
    assert _done(workspace) == ["noise", "table", "sum", "sum"]
    assert _products(resumed.folder).keys() == {"tables/noise.csv", "sum.txt"}
    assert _products(resumed.folder) == _products(undisturbed.folder)
    assert resumed.results["sum"] == undisturbed.results["sum"]
    assert store.local_path(resumed.results["table"]) == resumed.folder / "tables/noise.csv"

    page = (resumed.folder / folders.NOTEBOOK).read_text()
    for name in ("noise", "table"):
        assert re.search(rf"step {name}: found, done 20\S+ \S+ UTC in \d+\.\d s by attempt 1", page)
    assert "step sum: done in" in page
    told = [(e["name"], e["state"]) for e in events.read(resumed.folder) if e["event"] == "step"]
    assert told == [("noise", "found"), ("table", "found"), ("sum", "running"), ("sum", "done")]
    assert [e["value"] for e in events.read(resumed.folder) if e["event"] == "metric"] == [0.5]
    deadline = time.monotonic() + 20  # its process removes them after the ledger has heard of the end
    while folders.checkpoints(workspace, resumed.key).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
