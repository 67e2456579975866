"""Roles: what members of a project's groups may do, and what nobody else may."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from geolab_hub.projects import Project
from geolab_hub.surroundings import Surroundings

CULLER = "idle-culler"


def roles(projects: Iterable[Project]) -> list[dict[str, Any]]:
    """The roles of the hub.

    `user` is what everyone who logs in has, and is less than JupyterHub's own: to know who one is.
    A Lab of one's own comes with a research group, the apps of a project with any of its groups.
    """
    projects = list(projects)
    made: list[dict[str, Any]] = [
        {
            "name": "user",
            "description": "Who one is, and nothing else",
            "scopes": ["read:users:name!user", "read:users:groups!user"],
        },
        {
            "name": "researcher",
            "description": "A Lab of one's own",
            "scopes": ["self"],
            "groups": sorted({g for p in projects for g in p.researchers}),
        },
    ]
    made += [
        {
            "name": f"project-{p.name}",
            "description": f"The apps of {p.name}",
            "scopes": [f"access:services!service={p.service}"],
            "groups": sorted(p.researchers | p.analysts),
        }
        for p in projects
    ]
    return made


def services(around: Surroundings) -> list[dict[str, Any]]:
    """The apps of each project, started by somebody else: a managed service that is late ends the hub."""
    return [
        {
            "name": project.service,
            "url": project.apps,
            "api_token": around.token(project),
            "display": True,
            "info": {"title": project.title},
            "oauth_no_confirm": True,
        }
        for project in around.projects
    ]


def culling(idle_s: int, every_s: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(service, role) that ends Labs after `idle_s` seconds without work."""
    command = [
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        f"--timeout={idle_s}",
        f"--cull-every={every_s}",
    ]
    role = {
        "name": CULLER,
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": [CULLER],
    }
    return {"name": CULLER, "command": command}, role


def metrics(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(service, role) of whoever collects the Prometheus metrics at /hub/metrics."""
    role = {"name": "metrics", "scopes": ["read:metrics"], "services": ["metrics"]}
    return {"name": "metrics", "api_token": token}, role
