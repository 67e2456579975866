"""`make hub`: it says where it is, lets in whom it says, and leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import requests

pytest.importorskip("jupyterhub", reason="the hub's packages are not installed: pip install 'geolab[hub]'")
pytestmark = pytest.mark.slow

PASSWORD = "for this trial only"
PEOPLE = '\n[people]\nann = ["project-alpha"]\ncyd = ["project-alpha-analysts"]\n'


@pytest.fixture(scope="module")
def starting() -> ModuleType:
    """What the other tests start hubs with."""
    path = Path(__file__).with_name("conftest.py")
    return next(m for m in sys.modules.values() if getattr(m, "__file__", None) == str(path))


@pytest.fixture(scope="module")
def home(starting, tmp_path_factory) -> Path:
    """One folder for the trials here: a second one finds what the first has left."""
    folder = tmp_path_factory.mktemp("trial") / "hub"
    starting.declare(folder, "alpha", people=PEOPLE)
    return folder


@pytest.fixture
def trial(starting, proxy, home) -> Iterator[object]:
    running = starting.start(home, HUB_PASSWORD=PASSWORD)
    running.wait()
    everything = running.everything()
    yield running
    running.end(signal.SIGKILL)
    for process in starting.gone(everything, 0):
        process.kill()


def logged_in(url: str, name: str, password: str) -> requests.Session:
    session = requests.Session()
    shown = session.get(f"{url}/hub/login", timeout=30).text
    token = re.search(r'name="_xsrf" value="([^"]+)"', shown)
    assert token is not None
    form = {"username": name, "password": password, "_xsrf": token[1]}
    session.post(f"{url}/hub/login", data=form, timeout=30)
    return session


def who(session: requests.Session, url: str) -> int:
    return session.get(f"{url}/hub/home", timeout=30, allow_redirects=False).status_code


def start_lab(session: requests.Session, url: str) -> int:
    token = session.cookies.get("_xsrf", path="/hub/")
    headers = {"X-XSRFToken": token or "", "Referer": f"{url}/hub/home"}
    return session.post(
        f"{url}/hub/api/users/ann/server", data=json.dumps({}), headers=headers, timeout=120
    ).status_code


def test_a_trial_lets_in_whom_it_says_and_ends_with_everything_it_started(trial, starting):
    said = "".join(trial.said)
    assert trial.url in said
    assert "ann: Lab and apps of alpha" in said
    assert "cyd: apps of alpha" in said
    ann = logged_in(trial.url, "ann", PASSWORD)
    assert who(ann, trial.url) == 200
    for name, password in [
        ("ann", "wrong password"),
        ("ann", "pässword für alle"),
        ("ann", ""),
        ("bob", PASSWORD),
        ("../ann", PASSWORD),
        ("<script>", PASSWORD),
    ]:
        assert who(logged_in(trial.url, name, password), trial.url) == 302, name
    kept = trial.home / "private"
    assert all(not p.stat().st_mode & 0o077 for p in (kept, *kept.glob("*secret*"), *kept.glob("*.token")))

    assert start_lab(ann, trial.url) in (201, 202)
    assert ann.get(f"{trial.url}/hub/api/users/ann/server/progress", timeout=120).text.count("ready")
    everything = trial.everything()
    commands = " ".join(" ".join(p.cmdline()) for p in everything)
    for part in ("configurable-http-proxy", "jupyterhub_idle_culler", "apps_config.py", "lab_config.py"):
        assert part in commands, part
    assert trial.end() == 0
    assert starting.gone(everything) == []


def test_a_trial_that_is_killed_leaves_nothing_behind(trial, starting):
    if not sys.platform.startswith("linux"):
        pytest.skip("processes follow their parent's death on Linux only")
    ann = logged_in(trial.url, "ann", PASSWORD)
    start_lab(ann, trial.url)
    everything = trial.everything()
    assert len(everything) > 5
    trial.end(signal.SIGKILL)
    assert starting.gone(everything, 60) == []


def test_a_port_in_use_is_said_in_one_line(starting, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        starting.declare(tmp_path / "hub", "alpha", people=PEOPLE)
        command = [sys.executable, "-m", "geolab_hub", "trial"]
        env = starting.environment(tmp_path / "hub", PORT=str(port), HUB_PASSWORD=PASSWORD)
        done = subprocess.run(
            command, env=env, cwd=starting.ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port}, for the hub (PORT), is in use")
    assert done.stderr.count("\n") == 1


def test_npm_that_is_missing_is_said_in_one_line(starting, tmp_path):
    import shutil

    for name in ("install-proxy", "package.json", "package-lock.json"):
        shutil.copy(starting.HUB / name, tmp_path)
    shell = Path(shutil.which("bash") or "/bin/bash")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("dirname", "cat", "sha256sum", "cut"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    command = [str(shell), str(tmp_path / "install-proxy")]
    done = subprocess.run(
        command, env={"PATH": str(tools)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the hub needs Node.js 20 or newer with npm")
    assert done.stderr.count("\n") == 1
