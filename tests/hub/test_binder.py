"""What Binder runs, in a home and a checkout that hold nothing else."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from geolab import catalog, settings

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """(checkout, environment) after postBuild, whose pip only notes what it was asked."""
    checkout, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    for name in (".ci", "geolab"):
        (checkout / name).symlink_to(ROOT / name)
    for name in ("binder", "jupyter_config", "notebooks"):
        ours = shutil.ignore_patterns("node_modules", "__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, checkout / name, ignore=ours)
    (home / "bin").mkdir()
    pip = home / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\necho "$@" >>"{home}/pip.txt"\n')
    pip.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GEOLAB_", "JUPYTER"))}
    env = kept | {"HOME": str(home), "PATH": f"{home / 'bin'}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["binder/postBuild"], cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (home / "pip.txt").read_text() == "install --no-deps -e .\n"
    return checkout, env


def test_the_workspace_holds_a_sample_world(built):
    checkout, _ = built
    items = (
        catalog.open_catalog(settings.load(checkout / "workspace", environ={})).search(catalog.Search()).items
    )
    assert {i["collection"] for i in items} == {"town"}


def test_lab_opens_with_the_apps_on_it(built, tmp_path):
    checkout, env = built
    token, log = secrets.token_hex(16), tmp_path / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "binder/start",
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
    ]
    with log.open("wb") as out:
        lab = subprocess.Popen(
            command,
            cwd=checkout,
            env=env | {"JUPYTER_TOKEN": token},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        url, who = f"http://127.0.0.1:{port}", {"Authorization": f"token {token}"}
        _until_up(lab, f"{url}/api", log)
        cards = requests.get(f"{url}/server-proxy/servers-info", headers=who, timeout=30).json()
        shown = {card["launcher_entry"]["title"] for card in cards["server_processes"]}
        assert {"Home", "Data", "Map", "MLflow"} <= shown, json.dumps(cards)[:500]
        found = catalog.open_catalog(settings.load(checkout / "workspace", environ={})).search(
            catalog.Search()
        )
        image = next(i for i in found.items if i["properties"].get("geolab:role", "image") == "image")
        preview = requests.get(f"{url}/geolab/preview/town/{image['id']}", headers=who, timeout=30)
        assert preview.status_code == 200
        assert requests.get(f"{url}/lab", headers=who, timeout=30).status_code == 200
    finally:
        lab.terminate()
        lab.wait(30)


def _until_up(lab: subprocess.Popen[bytes], url: str, log: Path) -> None:
    last = time.monotonic() + 120
    while time.monotonic() < last:
        assert lab.poll() is None, log.read_text()
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(log.read_text())
