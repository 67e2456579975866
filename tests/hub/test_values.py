"""What runs on Kubernetes is what runs here: values, container file and manifests, held to their sources."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

pytest.importorskip("jupyterhub", reason="the hub's packages are not installed: pip install 'geolab[hub]'")

ROOT = Path(__file__).parents[2]
HUB = ROOT / "jupyter_config" / "hub"
SCHEMA = json.loads((Path(__file__).parent / "chart_schema.json").read_text())
GROUP = {"alpha": "project-alpha", "beta": "project-beta"}


@pytest.fixture(scope="module")
def values() -> dict:
    return yaml.safe_load((HUB / "values.yaml").read_text())


def test_values_are_what_their_script_writes():
    spec = importlib.util.spec_from_file_location("geolab_hub_values", HUB / "values.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (HUB / "values.yaml").read_text() == script.render(), "run: python jupyter_config/hub/values.py"


def test_every_key_is_known_to_the_chart(values):
    checker = jsonschema.Draft202012Validator(SCHEMA)
    assert list(checker.iter_errors(values)) == []
    for path, wrong in (("hub", {"extraConfigs": {}}), ("singleuser", {"comand": "x"}), ("culling", {})):
        spoiled = {**values, path: {**values.get(path, {}), **wrong}}
        assert list(checker.iter_errors(spoiled)), path  # the check can fail


def test_the_chart_gets_every_module_that_the_hub_needs(values, tmp_path):
    """The embedded configuration, in a place like the pod's, gives the same objects as our own."""
    place = "/usr/local/etc/jupyterhub/geolab"
    for told in values["hub"]["extraFiles"].values():
        path = tmp_path / Path(told["mountPath"]).relative_to(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told["stringData"])
    variables = {k: v for k, v in values["hub"]["extraEnv"].items() if isinstance(v, str)}
    variables |= dict.fromkeys(("OIDC_CLIENT_SECRET", "HUB_TOKEN_ALPHA", "HUB_TOKEN_BETA"), "0123456789" * 4)
    variables |= {"HUB_PROJECTS": str(tmp_path / "projects.toml"), "HUB_HOME": str(tmp_path / "home")}
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    embedded = values["hub"]["extraConfig"]["geolab"].replace(place, str(tmp_path))
    compile(embedded, "extraConfig", "exec")
    here = embedded.replace(str(tmp_path), str(HUB))
    told = _configured(tmp_path, here)
    assert _configured(tmp_path, embedded) == told
    assert told["services"] == ["jupyterhub-idle-culler", "apps-alpha", "apps-beta"]
    assert told["roles"] == ["jupyterhub-idle-culler", "user", "researcher", "project-alpha", "project-beta"]
    assert told["authenticator"] == "Oidc"
    assert told["profiles"] == ["alpha-cpu", "alpha-gpu"]


_CONFIGURE = """
import io, json, os, sys, types
from traitlets.config import Config
os.environ.clear()
os.environ.update(json.load(open(sys.argv[1])))
issuer = os.environ["OIDC_ISSUER"]
names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
told = dict.fromkeys(names, issuer + "/x") | {"issuer": issuer}
import urllib.request
urllib.request.urlopen = lambda *a, **k: io.BytesIO(json.dumps(told).encode())
c = Config()  # as the chart leaves it
c.JupyterHub.services = [{"name": "jupyterhub-idle-culler"}]
c.JupyterHub.load_roles = [{"name": "jupyterhub-idle-culler"}]
exec(sys.stdin.read())
user = types.SimpleNamespace(groups=[types.SimpleNamespace(name="project-alpha")])
print(json.dumps({
    "services": [s["name"] for s in c.JupyterHub.services],
    "roles": [r["name"] for r in c.JupyterHub.load_roles],
    "authenticator": c.JupyterHub.authenticator_class.__name__,
    "profiles": [p["slug"] for p in c.KubeSpawner.profile_list(types.SimpleNamespace(user=user))],
    "hook": c.KubeSpawner.pre_spawn_hook.func.__name__,
    "keys": sorted(f"{a}.{b}" for a in c for b in c[a]),
}))
"""


def _configured(folder: Path, text: str) -> dict:
    command = [sys.executable, "-c", _CONFIGURE, str(folder / "variables.json")]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_hub_and_the_apps_agree_in_every_manifest(values):
    service, deployment = yaml.safe_load_all((HUB / "apps.yaml").read_text())
    projects = tomllib.loads(values["hub"]["extraFiles"]["projects"]["stringData"])["projects"]
    assert (
        projects["alpha"]["apps"]
        == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["command"][-2:] == ["apps", "alpha"]
    assert {"name": "projects", "mountPath": projects["alpha"]["home"], "subPath": "alpha"} in container[
        "volumeMounts"
    ]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["image"] == ":".join(values["singleuser"]["image"].values())
    secrets = {e["valueFrom"]["secretKeyRef"]["key"] for e in container["env"] if "valueFrom" in e}
    assert secrets <= {n for n, v in values["hub"]["extraEnv"].items() if isinstance(v, dict)}


def test_the_image_installs_what_the_set_up_installs():
    steps, image = (ROOT / ".ci" / "setup").read_text(), (HUB / "Containerfile").read_text()
    shared = [r"'torch==[\d.]+'", r"--no-deps --require-hashes -r requirements\.lock", r"--no-deps -e \."]
    for wanted in (*shared, r"python -c '[^']*warm\(\)'"):
        [ours] = set(re.findall(wanted, image))
        assert ours in re.findall(wanted, steps), wanted
    bundle = (ROOT / ".ci" / "viewer").read_text()
    for wanted in ("npm ci --ignore-scripts --no-audit --no-fund", "npm run build"):
        assert wanted in image
        assert wanted in bundle
    copied = re.findall(r"^COPY (?!--from)(?:\S+ )*?(\S+) \S+$", image, re.MULTILINE)
    assert all((ROOT / path).exists() for path in copied if path != "./"), copied
    final = image.rpartition("\nFROM ")[2]
    assert "USER geolab" in final
    assert "pip install" not in final  # no compiler, no registry: only what was built
    assert "root" not in final
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert re.findall(r"PYTHON=([\d.]+)", image) == [python.removeprefix(">=")]


def test_the_proxy_is_pinned_and_its_lock_says_the_same():
    wanted = json.loads((HUB / "package.json").read_text())["dependencies"]
    lock = json.loads((HUB / "package-lock.json").read_text())["packages"]
    assert wanted == lock[""]["dependencies"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", wanted["configurable-http-proxy"])
    assert all("resolved" not in package for package in lock.values())  # whatever registry one has
