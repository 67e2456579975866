"""A Lab for a project: chosen by its user, decided here by the user's groups."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from tornado import web

from geolab_hub.projects import Project, Projects
from geolab_hub.surroundings import Surroundings

NOT_YOURS = "You have no project of this name in which you may open a Lab."
SELECT = (
    '<label class="form-label" for="{0}">{1}</label>'
    '<select class="form-select mb-3" name="{0}" id="{0}">{2}</select>'
)


def held(projects: Projects, spawner: Any) -> dict[str, Project]:
    """The projects in which this spawner's user may open a Lab, as the hub knows the groups now."""
    return projects.of_researcher(group.name for group in spawner.user.groups)


def chosen(projects: Projects, spawner: Any, options: Mapping[str, Any]) -> Project:
    """The project that was asked for. Raises HTTPError 403 for one that is not the user's.

    options: from a form or an API, so anything at all.
    """
    mine = held(projects, spawner)
    asked = options.get("project", "")
    if asked == "" and len(mine) == 1:
        return next(iter(mine.values()))
    if not isinstance(asked, str) or asked not in mine:
        raise web.HTTPError(403, NOT_YOURS if asked or not mine else "Choose one of your projects.")
    return mine[asked]


def machine(options: Mapping[str, Any]) -> str:
    """cpu or gpu. Raises HTTPError 400 for what this hub does not have."""
    asked = options.get("machine") or "cpu"
    if asked not in ("cpu", "gpu") or (asked == "gpu" and not gpus()):
        raise web.HTTPError(400, "This hub has no such machine.")
    return asked


@lru_cache(maxsize=1)
def gpus() -> int:
    """How many CUDA devices this machine has."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return 0
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    return listed.stdout.count("GPU ") if listed.returncode == 0 else 0


def form(projects: Projects, spawner: Any) -> str:
    """The fields from which a user chooses; empty when there is nothing to choose."""
    mine = held(projects, spawner)
    fields = []
    if len(mine) > 1:
        fields.append(_select("project", "Project", {p.name: p.title for p in mine.values()}))
    if gpus():
        fields.append(_select("machine", "Machine", {"cpu": "CPU", "gpu": "One GPU"}))
    return "".join(fields)


def _select(name: str, title: str, choices: Mapping[str, str]) -> str:
    listed = "".join(f'<option value="{escape(k)}">{escape(v)}</option>' for k, v in choices.items())
    return SELECT.format(name, title, listed)


def from_form(projects: Projects, spawner: Any, told: Mapping[str, list[str]]) -> dict[str, str]:
    """The options in a form that was sent; what is not one of ours is dropped. Raises HTTPError."""
    options = {name: told[name][0] for name in ("project", "machine") if told.get(name)}
    chosen(projects, spawner, options)
    machine(options)
    return options


def apply(around: Surroundings, spawner: Any, options: Mapping[str, Any]) -> None:
    """Set up a Lab on this machine. Called for every start, also for one by the API or with old options."""
    project = chosen(around.projects, spawner, options)
    device = machine(options)
    spawner.notebook_dir = "~" if around.spawner == "local" else _folder(around, spawner, project)
    spawner.environment = {
        **spawner.environment,
        "GEOLAB_HOME": str(project.home),
        "CUDA_VISIBLE_DEVICES": _device(spawner) if device == "gpu" else "",
    }


def _folder(around: Surroundings, spawner: Any, project: Project) -> str:
    """Where a person's own files in a project lie, when all Labs run as one user of this machine."""
    folder = around.home / "people" / spawner.user.name / project.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    project.home.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _device(spawner: Any) -> str:
    """One device; people are spread over them by their number."""
    return str(spawner.user.orm_user.id % gpus())


# ---------------------------------------------------------------- on Kubernetes


def profiles(around: Surroundings, spawner: Any) -> list[dict[str, Any]]:
    """KubeSpawner's list of what this user may start: nothing else is accepted from the form."""
    gpu_limit = {"nvidia.com/gpu": "1"}
    made = []
    for project in held(around.projects, spawner).values():
        cpu = {"environment": {"GEOLAB_HOME": str(project.home)}}
        image = around.env.get("HUB_GPU_IMAGE", "")
        gpu = cpu | {"extra_resource_limits": gpu_limit} | ({"image": image} if image else {})
        made.append(_profile(f"{project.name}-cpu", f"{project.title}, CPU", cpu))
        made.append(_profile(f"{project.name}-gpu", f"{project.title}, one GPU", gpu))
    return [made[0] | {"default": True}, *made[1:]] if made else []


def _profile(slug: str, title: str, override: dict[str, Any]) -> dict[str, Any]:
    return {"slug": slug, "display_name": escape(title), "kubespawner_override": override}


def mount(around: Surroundings, spawner: Any) -> None:
    """Put the chosen project's folder, and no other's, into the pod. A hook before each start."""
    slug = spawner.user_options.get("profile", "")
    mine = held(around.projects, spawner)
    names = {f"{name}-{device}": name for name in mine for device in ("cpu", "gpu")}
    if not isinstance(slug, str) or (slug and slug not in names) or not mine:
        raise web.HTTPError(403, NOT_YOURS)
    project = mine[names[slug]] if slug else next(iter(mine.values()))
    place = {"name": "project", "mountPath": str(project.home), "subPath": project.name}
    claim = around.env.get("HUB_PROJECTS_CLAIM", "geolab-projects")
    spawner.volumes = _with(
        spawner.volumes, {"name": "project", "persistentVolumeClaim": {"claimName": claim}}
    )
    spawner.volume_mounts = _with(spawner.volume_mounts, place)
    spawner.environment = {**spawner.environment, "GEOLAB_HOME": str(project.home)}


def _with(listed: Any, new: dict[str, Any]) -> Any:
    """KubeSpawner's volumes, a list or a dict, with this one in place of another of its name."""
    if isinstance(listed, dict):
        return {**listed, "project": new}
    return [*(one for one in listed if one.get("name") != new["name"]), new]


def commands(python: str, config: Path) -> list[str]:
    """What starts a Lab here: it ends with the hub."""
    tied = str(Path(__file__).with_name("tied.py"))
    allow = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [python, tied, python, "-m", "jupyterhub.singleuser", f"--config={config}", *allow]
