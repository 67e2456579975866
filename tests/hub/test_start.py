"""A hub that cannot be safe does not start, and says why in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jupyterhub", reason="the hub's packages are not installed: pip install 'geolab[hub]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "jupyter_config" / "hub"))

from geolab_hub import configure, login
from geolab_hub.problem import Problem
from traitlets.config import Config

PROJECTS = '[projects.alpha]\nanalysts = ["readers"]\n[people]\nann = ["project-alpha"]\ncyd = ["readers"]\n'
GOOD = "a long password"


@pytest.fixture
def surroundings(tmp_path) -> dict[str, str]:
    (tmp_path / "projects.toml").write_text(PROJECTS)
    proxy = tmp_path / "proxy"
    proxy.touch()
    return {"HUB_HOME": str(tmp_path), "HUB_PROXY_COMMAND": str(proxy)}


@pytest.mark.parametrize(
    "more, said",
    [
        ({}, "HUB_AUTH is not set: how people log in, oidc or shared-password; there is no default"),
        ({"HUB_AUTH": "dummy"}, "HUB_AUTH is 'dummy'"),
        ({"HUB_AUTH": "shared-password"}, "HUB_PASSWORD is not set"),
        ({"HUB_AUTH": "shared-password", "HUB_PASSWORD": "short"}, "at least 12 characters"),
        ({"HUB_AUTH": "shared-password", "HUB_PASSWORD": "ein schöner Satz"}, "ASCII only"),
        ({"HUB_AUTH": "oidc"}, "OIDC_ISSUER is not set"),
        (
            {"HUB_AUTH": "oidc", "OIDC_ISSUER": "http://id.example.org"},
            "OIDC_ISSUER must begin with https://",
        ),
        ({"HUB_AUTH": "oidc", "OIDC_ISSUER": "http://127.0.0.1:9"}, "does not answer at http://127.0.0.1:9"),
        (
            {"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "HUB_SPAWNER": "docker"},
            "HUB_SPAWNER is 'docker'",
        ),
        ({"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "PORT": "-1"}, "PORT must be a whole number"),
        (
            {"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "HUB_PROXY_COMMAND": "/nowhere"},
            "no proxy at",
        ),
        (
            {"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "HUB_METRICS_TOKEN": "x"},
            "HUB_METRICS_TOKEN",
        ),
        ({"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "HUB_PROJECTS": "/nowhere"}, "does not exist"),
        ({"HUB_HOME": ""}, "HUB_HOME is not set"),
    ],
)
def test_what_is_missing_is_said_in_one_line(surroundings, more, said):
    with pytest.raises(SystemExit) as raised:
        configure(Config(), surroundings | more)
    line = str(raised.value.code)
    assert line.startswith("error: ")
    assert said in line
    assert "\n" not in line
    assert GOOD not in line


def test_jupyterhub_itself_ends_with_that_line(tmp_path):
    config = Path(__file__).parents[2] / "jupyter_config" / "jupyterhub_config.py"
    command = [sys.executable, "-m", "jupyterhub", "-f", str(config), "--show-config"]
    env = {"PATH": "/usr/bin:/bin", "HUB_HOME": str(tmp_path)}
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_trial_lets_in_the_listed_people_with_their_groups(surroundings):
    c = Config()
    configure(c, surroundings | {"HUB_AUTH": "shared-password", "HUB_PASSWORD": GOOD, "HUB_ADMINS": "ann"})
    assert c.JupyterHub.authenticator_class is login.Trial
    assert c.Authenticator.allowed_users == {"ann", "cyd"}
    assert c.Authenticator.allow_existing_users is False
    assert c.Authenticator.admin_users == set()  # whoever knows the password could be the administrator
    assert c.Trial.people == {"ann": ["project-alpha"], "cyd": ["readers"]}
    assert c.JupyterHub.bind_url == "http://127.0.0.1:8000"
    assert c.JupyterHub.db_url.endswith("/private/hub.sqlite")
    assert {s["name"] for s in c.JupyterHub.services} == {"apps-alpha", "idle-culler"}


@pytest.mark.parametrize(
    "told, said",
    [
        ({}, "tells no issuer"),
        ({"issuer": "https://other"}, "tells no issuer"),
        ("other issuer", "says that its issuer is"),
        ("plain token endpoint", "token_endpoint of the provider must begin with https://"),
    ],
)
def test_a_provider_that_contradicts_itself_is_refused(monkeypatch, told, said):
    import io
    import json

    issuer = "https://id.example.org"
    names = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    good = dict.fromkeys(names, f"{issuer}/x") | {"issuer": issuer}
    spoiled = {
        "other issuer": good | {"issuer": "https://evil.example"},
        "plain token endpoint": good | {"token_endpoint": "http://id.example.org/token"},
    }
    answer = json.dumps(spoiled[told] if isinstance(told, str) else told).encode()
    monkeypatch.setattr(login.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answer))
    with pytest.raises(Problem, match=said):
        login.discover(issuer)
