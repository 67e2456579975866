"""A hub for a trial on this machine: two projects with a sample world each, one shared password."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from geolab_hub import apps, private
from geolab_hub.children import Child, adopt, end, reap
from geolab_hub.problem import Problem
from geolab_hub.surroundings import HERE, Surroundings, look

PATIENCE_S = 180


def prepare(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with what a trial needs where nothing was given; its folder is made. Raises Problem."""
    home = Path(env.get("HUB_HOME") or "workspace/hub").expanduser().absolute()
    private.folder(home / "private")
    if not (home / "projects.toml").exists() and not env.get("HUB_PROJECTS"):
        shutil.copyfile(HERE / "projects.example.toml", home / "projects.toml")
    made = {"HUB_HOME": str(home), "HUB_AUTH": env.get("HUB_AUTH") or "shared-password"}
    if made["HUB_AUTH"] == "shared-password" and not env.get("HUB_PASSWORD"):
        made["HUB_PASSWORD"] = private.secret(home / "private" / "password")[:32]
    for name in ("HUB_API_PORT", "HUB_PROXY_PORT"):
        made[name] = env.get(name) or str(_free_port())
    return {**env, "PORT": env.get("PORT") or "8000", **made}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _unused(port: int, what: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Problem(f"port {port}, for {what}, is in use: {error.strerror}") from error


def run(env: Mapping[str, str]) -> int:
    """Start everything, say where it is, and stay until interrupted; the exit code."""
    env = prepare(env)
    around = look(env)
    _unused(int(env["PORT"]), "the hub (PORT)")
    for project in around.projects:
        _unused(urlsplit(project.apps).port or 0, f"the apps of {project.name} (projects.toml)")
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    adopt()
    children = _children(around)
    try:
        return _until(ending, around, children)
    finally:
        end(children)


def _children(around: Surroundings) -> list[Child]:
    logs = private.folder(around.private / "logs")
    config = str(HERE.parent / "jupyterhub_config.py")
    started = [sys.executable, "-m", "jupyterhub", "-f", config]
    made = [Child("hub", started, around.env, logs / "hub.log", again=False)]
    for project in around.projects:
        env = apps.environment(around, project)
        made.append(Child(project.service, apps.command(), env, logs / f"{project.service}.log"))
    return made


def _until(ending: threading.Event, around: Surroundings, children: list[Child]) -> int:
    hub = children[0]
    _fill(around)
    for child in children:  # together: the apps wait for the hub, and the hub asks for them
        child.start()
    for project in around.projects:
        _wait(ending, hub, around, f"{project.prefix}api")
    if not ending.is_set():
        _say(around)
    while not ending.wait(0.5):
        reap(frozenset(c.process.pid for c in children if c.process))
        for child in children:
            if child.hopeless:
                raise Problem(f"{child.name} has ended; {child.log} says why: {_last_line(child.log)}")
            if child.ended:
                child.start()
    return 0


def _fill(around: Surroundings) -> None:
    """A sample world, another in each project, where there is nothing yet."""
    for seed, project in enumerate(around.projects, start=1):
        project.home.mkdir(parents=True, exist_ok=True)
        env = {**apps.environment(around, project), "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", "geolab_hub.sample", str(project.home), str(seed)]
        done = subprocess.run(command, env=env, check=False, timeout=600, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no word"]
            raise Problem(f"no sample world in {project.home}: {said[-1]}")


def _wait(ending: threading.Event, hub: Child, around: Surroundings, path: str) -> None:
    last = time.monotonic() + PATIENCE_S
    while not _answers(f"http://127.0.0.1:{around.env['PORT']}{path}") and not ending.wait(0.25):
        if hub.ended:
            raise Problem(f"the hub did not start: {_last_line(hub.log)}")
        if time.monotonic() > last:
            raise Problem(f"nothing answers at {path} after {PATIENCE_S} s; see {hub.log.parent}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - this machine
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code != 404
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower()]
    return (wrong or lines or ["no word"])[-1]


def _say(around: Surroundings) -> None:
    lines = [f"geolab | the hub is at http://127.0.0.1:{around.env['PORT']}"]
    if around.env["HUB_AUTH"] == "shared-password":
        lines.append(f"       | password of everyone: {around.env['HUB_PASSWORD']}")
    for name, groups in around.projects.people.items():
        held = frozenset(groups)
        for project in around.projects:
            if held & project.researchers:
                lines.append(f"       | {name}: Lab and apps of {project.name}")
            elif held & project.analysts:
                lines.append(f"       | {name}: apps of {project.name}")
    lines.append(
        "       | a trial: it all runs as you, whoever knows the password can be anyone; Ctrl-C ends it"
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - what the command is for


def main(env: Mapping[str, str] | None = None) -> int:
    """The exit code; a problem is one line."""
    try:
        return run(os.environ if env is None else env)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
        return 2
