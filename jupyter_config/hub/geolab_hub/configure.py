"""All of the hub's settings, from its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from geolab_hub import access, login, private, spawning
from geolab_hub.problem import Problem
from geolab_hub.surroundings import HERE, Surroundings, look

IDLE_S = 3600
LAB_CONFIG = HERE / "lab_config.py"


def configure(c: Any, env: Mapping[str, str] | None = None) -> None:
    """Set up the hub; ends the process with one line when something is missing."""
    try:
        around = look(os.environ if env is None else env)
        _configure(c, around)
    except Problem as problem:
        raise SystemExit(f"error: {problem}") from problem


def _configure(c: Any, around: Surroundings) -> None:
    private.folder(around.private)
    login.configure(c, around)
    _access(c, around)
    _pages(c)
    if around.spawner == "kubernetes":
        _kubernetes(c, around)
    else:
        _place(c, around)
        _here(c, around)


def _access(c: Any, around: Surroundings) -> None:
    services, roles = access.services(around), access.roles(around.projects)
    if token := around.env.get("HUB_METRICS_TOKEN", ""):
        if len(token) < 32:
            raise Problem("HUB_METRICS_TOKEN must have at least 32 characters")
        collector, reads = access.metrics(token)
        services, roles = [*services, collector], [*roles, reads]
    if around.spawner != "kubernetes":  # there the chart ends idle Labs
        idle_s = _number(around, "HUB_IDLE_S", IDLE_S)
        culler, culls = access.culling(idle_s, max(1, min(300, idle_s // 2)))
        services, roles = [*services, culler], [*roles, culls]
    c.JupyterHub.services = [*_given(c.JupyterHub, "services"), *services]
    c.JupyterHub.load_roles = [*_given(c.JupyterHub, "load_roles"), *roles]
    c.JupyterHub.allow_named_servers = False


def _given(section: Any, name: str) -> list[dict[str, Any]]:
    """What is set already, by the chart for example."""
    return list(section[name]) if name in section else []


def _pages(c: Any) -> None:
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.default_url = "/hub/home"  # nobody's Lab starts by itself
    c.JupyterHub.log_level = "INFO"


def _place(c: Any, around: Surroundings) -> None:
    """Addresses, and the files of a hub that runs on this machine itself."""
    kept, port = around.private, _number(around, "PORT", 8000)
    c.JupyterHub.bind_url = around.env.get("HUB_BIND") or f"http://127.0.0.1:{port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{_number(around, 'HUB_API_PORT', 8081)}"
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{_number(around, 'HUB_PROXY_PORT', 8001)}"
    c.ConfigurableHTTPProxy.command = [sys.executable, str(HERE / "geolab_hub" / "tied.py"), *_proxy(around)]
    c.ConfigurableHTTPProxy.pid_file = str(kept / "proxy.pid")
    c.JupyterHub.cookie_secret_file = str(kept / "cookie-secret")
    private.secret(kept / "cookie-secret")
    c.JupyterHub.db_url = f"sqlite:///{kept / 'hub.sqlite'}"
    if domain := around.env.get("HUB_SUBDOMAINS", ""):
        if urlsplit(domain).scheme not in {"http", "https"}:
            raise Problem(f"HUB_SUBDOMAINS must be an address like https://hub.example.org, not {domain!r}")
        c.JupyterHub.subdomain_host = domain


def _proxy(around: Surroundings) -> list[str]:
    given = around.env.get("HUB_PROXY_COMMAND", "")
    command = Path(given) if given else HERE / "node_modules" / ".bin" / "configurable-http-proxy"
    if not command.exists():
        raise Problem(f"no proxy at {command}: npm ci --prefix {HERE} (needs Node.js and npm), or `make hub`")
    return [str(command)]


def _here(c: Any, around: Surroundings) -> None:
    """Labs as processes of this machine."""
    spawner = {"simple": "simple", "local": "jupyterhub.spawner.LocalProcessSpawner"}[around.spawner]
    c.JupyterHub.spawner_class = spawner
    c.JupyterHub.cleanup_servers = True
    c.SimpleLocalProcessSpawner.home_dir_template = str(around.home / "people" / "{username}")
    c.Spawner.cmd = spawning.commands(sys.executable, LAB_CONFIG)
    c.Spawner.default_url = "/lab"
    c.Spawner.start_timeout = c.Spawner.http_timeout = 120
    c.Spawner.options_form = partial(spawning.form, around.projects)
    c.Spawner.options_from_form = lambda told, spawner: spawning.from_form(around.projects, spawner, told)
    c.Spawner.apply_user_options = partial(spawning.apply, around)


def _kubernetes(c: Any, around: Surroundings) -> None:
    """Labs as pods. The chart sets address, database, cookies and proxy."""
    c.KubeSpawner.profile_list = partial(spawning.profiles, around)
    c.KubeSpawner.pre_spawn_hook = partial(spawning.mount, around)
    c.Spawner.default_url = "/lab"


def _number(around: Surroundings, name: str, default: int) -> int:
    text = around.env.get(name, "").strip() or str(default)
    if not text.isdecimal() or not 0 < int(text) < 10_000_000:
        raise Problem(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)
