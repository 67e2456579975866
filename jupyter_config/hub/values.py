"""Write values.yaml for zero-to-jupyterhub from the files beside it: python jupyter_config/hub/values.py

The hub's pod is the chart's own image; it gets geolab_hub and its pages as files, so that what runs there
is what runs here. tests/hub/test_values.py holds values.yaml equal to this, and to the chart's schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CHART = "4.4.0"
PLACE = "/usr/local/etc/jupyterhub/geolab"
MODULES = (
    "__init__",
    "access",
    "configure",
    "login",
    "private",
    "problem",
    "projects",
    "spawning",
    "surroundings",
)
LOCAL = {
    "HUB_PROJECTS": f"{PLACE}/projects.toml",
    "HUB_HOME": "/srv/jupyterhub/geolab",
    "HUB_SPAWNER": "kubernetes",
}
SECRETS = ("OIDC_CLIENT_SECRET", "HUB_TOKEN_ALPHA", "HUB_TOKEN_BETA")
IMAGE = {"name": "registry.example.org/geolab", "tag": "latest"}
START = f"""\
import sys

sys.path.insert(0, "{PLACE}")
from geolab_hub import configure

configure(c)
"""
PROJECTS = """\
[projects.alpha]
title = "Alpha valley"
researchers = ["project-alpha"]
analysts = ["project-alpha-analysts"]
home = "/workspaces/alpha"
apps = "http://apps-alpha:8888"

[projects.beta]
title = "Beta coast"
home = "/workspaces/beta"
apps = "http://apps-beta:8888"
"""
TEXT = """\
# geolab on Kubernetes: values for the chart jupyterhub {chart} (zero-to-jupyterhub).
# Written by values.py from the files beside it; change those, or put your own values into a second file:
#   helm upgrade --install hub jupyterhub/jupyterhub --version {chart} -f values.yaml -f yours.yaml
# Yours must hold the image, the addresses of hub and OIDC provider, and the projects; docs/hub.md says how.
"""


def files() -> dict[str, dict[str, Any]]:
    """What the hub's pod gets: our modules, our pages, the projects."""
    made = {
        f"geolab-hub-{m.strip('_')}": (f"geolab_hub/{m}.py", _read(f"geolab_hub/{m}.py")) for m in MODULES
    }
    made |= {
        f"page-{p.stem}": (f"templates/{p.name}", p.read_text())
        for p in sorted((HERE / "templates").iterdir())
    }
    made["projects"] = ("projects.toml", PROJECTS)
    return {key: {"mountPath": f"{PLACE}/{path}", "stringData": text} for key, (path, text) in made.items()}


def values() -> dict[str, Any]:
    """The chart's values."""
    secret = {name: _of_secret(name) for name in SECRETS}
    asked = {
        "HUB_AUTH": "oidc",
        "OIDC_ISSUER": "https://id.example.org/realms/geolab",
        "OIDC_CLIENT_ID": "geolab-hub",
        "OIDC_CALLBACK_URL": "https://hub.example.org/hub/oauth_callback",
    }
    return {
        "hub": {
            "config": {"JupyterHub": {"admin_access": False}},
            "extraEnv": {**LOCAL, **asked, **secret},
            "extraFiles": files(),
            "extraConfig": {"geolab": START},
            "allowNamedServers": False,
        },
        "proxy": {"https": {"enabled": True, "hosts": ["hub.example.org"], "type": "letsencrypt"}},
        "singleuser": {
            "image": IMAGE,
            "cmd": ["jupyterhub-singleuser", "--config=/opt/geolab/jupyter_config/hub/lab_config.py"],
            "defaultUrl": "/lab",
            "startTimeout": 600,
            "memory": {"guarantee": "2G", "limit": "8G"},
            "cpu": {"guarantee": 0.5, "limit": 4},
            "extraEnv": {"GEOLAB_WARM": "1"},
            "allowPrivilegeEscalation": False,
            "networkPolicy": {"enabled": True},
            "cloudMetadata": {"blockWithIptables": False},
        },
        "cull": {"enabled": True, "timeout": 3600, "every": 300},
        "debug": {"enabled": False},
    }


def _read(path: str) -> str:
    return (HERE / path).read_text(encoding="utf-8")


def _of_secret(name: str) -> dict[str, Any]:
    """A variable from the Kubernetes secret that operators make."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "geolab-hub", "key": name}}}


class _Writer(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Writer.add_representer(str, _text)


def render() -> str:
    """values.yaml."""
    body = yaml.dump(values(), Dumper=_Writer, sort_keys=False, width=110, allow_unicode=True)
    return TEXT.format(chart=CHART) + body


if __name__ == "__main__":
    (HERE / "values.yaml").write_text(render(), encoding="utf-8")
