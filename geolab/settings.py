"""Where things are and how much may be used: one frozen `Settings`.

Values come, later ones winning, from the defaults below, `geolab.toml` in the workspace and
the environment (`GEOLAB_HOME`, `GEOLAB_DATA`, ...). Unknown keys are errors.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from geolab.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """One workspace. `home` is absolute; URLs and URIs left empty mean the embedded defaults."""

    home: Path
    catalog_url: str = ""  # SQLite URL of the catalogue
    ledger_url: str = field(
        default="", repr=False
    )  # SQLite or PostgreSQL URL of the ledger; may hold a password
    tracking_uri: str = ""  # MLflow tracking and registry
    data: str = ""  # URI below which objects lie by their SHA-256
    workers: int = 0  # processes and threads for parallel work; 0: one per core
    lease_s: float = 30.0  # a running job that is silent for longer is lost, seconds
    heartbeat_s: float = 5.0  # how often a running job renews its lease, seconds
    host: str = ""  # this machine's name in the ledger; its own name if empty
    runs_folder: str = ""  # where the folders of runs lie, relative to home; a shared one on a cluster
    warm: int = 1  # 0: every run starts a kernel from nothing
    largest_upload_mb: int = 2000  # the largest file that a page may upload, and a zip unpacks to, 1e6 bytes

    @property
    def catalog_path(self) -> Path:
        return _sqlite_path(self.catalog_url, "catalog_url")

    @property
    def ledger_path(self) -> Path:
        return _sqlite_path(self.ledger_url, "ledger_url")

    @property
    def runs(self) -> Path:
        return self.home / Path(self.runs_folder or "runs").expanduser()

    def worker_count(self) -> int:
        """`workers`, or the number of cores this process may use."""
        return self.workers or len(os.sched_getaffinity(0))


def load(home: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a workspace; nothing is created.

    home: the workspace's folder; GEOLAB_HOME or ./workspace when not given.
    Raises SettingsError for an unknown key or a value of the wrong kind.
    """
    env = os.environ if environ is None else environ
    folder = Path(home or env.get("GEOLAB_HOME") or "workspace").expanduser().absolute()
    values = _from_toml(folder / "geolab.toml") | _from_environ(env)
    defaults = {
        "catalog_url": f"sqlite:///{folder / 'catalog.db'}",
        "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
        "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
        "data": (folder / "data").as_uri(),
    }
    values |= {name: value for name, value in defaults.items() if not values.get(name)}
    return Settings(home=folder, **values)


_KINDS = {f.name: f.type for f in fields(Settings) if f.name != "home"}


def _from_environ(env: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, text in env.items():
        if not variable.startswith("GEOLAB_") or variable == "GEOLAB_HOME":
            continue
        key = variable.removeprefix("GEOLAB_").lower()
        if key in _INTERNAL:
            continue
        found[key] = _convert(variable, key, text)
    return found


# Variables that geolab's own processes set for each other or for tests; not settings.
_INTERNAL = {"run", "test_data", "base_url", "lab_root", "log", "modelserver"}


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(str(path), "the file", found=str(error), expected="TOML") from error
    return {key: _convert(str(path), key, value) for key, value in table.items()}


def _convert(where: str, key: str, value: Any) -> Any:
    kind = _KINDS.get(key)
    if kind is None:
        raise SettingsError(where, key, found=value, expected=f"one of the settings {', '.join(_KINDS)}")
    try:
        converted = {"str": str, "int": int, "float": float}[str(kind)](value)
    except (TypeError, ValueError) as error:
        raise SettingsError(where, key, found=value, expected=f"a value of type {kind}") from error
    if kind != "str" and (isinstance(value, bool) or converted < 0):
        raise SettingsError(where, key, found=value, expected="a number of at least 0")
    return converted


def _sqlite_path(url: str, key: str) -> Path:
    if not url.startswith("sqlite:///"):
        raise SettingsError(
            "settings", key, found=redacted(url), expected="a URL that begins with sqlite:///"
        )
    return Path(url.removeprefix("sqlite:///"))


def redacted(url: str) -> str:
    """The URL without the password that it may hold: for messages, logs and reports."""
    # up to the last @: what should have been escaped in a password is a part of it all the same
    without = re.sub(r"^((?!sqlite|file)[\w+.-]+://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&](?:password|sslpassword|passfile)=)[^&#]*", r"\1***", without)
