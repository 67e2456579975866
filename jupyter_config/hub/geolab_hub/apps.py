"""The apps of a project as a service of the hub: a Jupyter server behind the hub's login."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from geolab_hub.projects import Project
from geolab_hub.surroundings import HERE, Surroundings

CONFIG = HERE.parent / "apps_config.py"
_HIDDEN = ("HUB_", "OIDC_", "JUPYTERHUB_", "CONFIGPROXY_", "JUPYTER_", "GEOLAB_")


def command(python: str = sys.executable) -> list[str]:
    """What serves the apps; it reads everything else from `environment`."""
    return [python, "-m", "jupyterhub.singleuser", f"--config={CONFIG}"]


def environment(around: Surroundings, project: Project) -> dict[str, str]:
    """The variables of that process: identity and address from the hub, and its own workspace.

    The hub's own secrets are not among them, and no setting of another workspace.
    """
    kept = {k: v for k, v in around.env.items() if not k.startswith(_HIDDEN)}
    port = around.env.get("HUB_API_PORT") or 8081
    api = around.env.get("HUB_API_URL") or f"http://127.0.0.1:{port}/hub/api"
    own = around.private / "jupyter" / project.service  # no settings of whoever starts it
    return kept | {
        "GEOLAB_HOME": str(project.home),
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "JUPYTERHUB_API_TOKEN": around.token(project),
        "JUPYTERHUB_API_URL": api,
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"service-{project.service}",
        "JUPYTERHUB_HOST": around.env.get("HUB_SUBDOMAINS", ""),
        "JUPYTERHUB_SERVICE_NAME": project.service,
        "JUPYTERHUB_SERVICE_PREFIX": project.prefix,
        "JUPYTERHUB_SERVICE_URL": around.env.get("HUB_APPS_LISTEN") or project.apps,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([f"access:services!service={project.service}"]),
        "JUPYTERHUB_OAUTH_SCOPES": json.dumps([f"access:services!service={project.service}"]),
        "JUPYTERHUB_SINGLEUSER_EXTENSION": "1",
        "JUPYTERHUB_SINGLEUSER_LOAD_OTHER_EXTENSIONS": "0",
    }


def become(around: Surroundings, name: str, environ: Mapping[str, str] | None = None) -> None:
    """Turn this process into the apps of a project."""
    project = around.projects.by_name[name]
    project.home.mkdir(parents=True, exist_ok=True)
    made = environment(around, project) | dict(environ or {})
    os.execve(sys.executable, command(), made)  # noqa: S606 - a list, no shell
