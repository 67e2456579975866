"""What the environment says: the folder of the hub, its projects, how people log in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geolab_hub import private, projects
from geolab_hub.problem import Problem

HERE = Path(__file__).resolve().parent.parent  # jupyter_config/hub
SPAWNERS = ("simple", "local", "kubernetes")


@dataclass(frozen=True)
class Surroundings:
    """One hub. `home` holds the workspaces of the projects, the folders of people and `private`."""

    env: Mapping[str, str]
    home: Path
    projects: projects.Projects
    spawner: str

    @property
    def private(self) -> Path:
        return self.home / "private"

    def needed(self, name: str, why: str) -> str:
        """The variable's value. Raises Problem when it is missing or empty."""
        value = self.env.get(name, "").strip()
        if not value:
            raise Problem(f"{name} is not set: {why}")
        return value

    def token(self, project: projects.Project) -> str:
        """The secret that the hub shares with the apps of a project."""
        given = self.env.get(f"HUB_TOKEN_{project.name.upper().replace('-', '_')}", "").strip()
        return given or private.secret(self.private / f"{project.service}.token")


def look(env: Mapping[str, str]) -> Surroundings:
    """Raises Problem for what is missing or wrong."""
    home = env.get("HUB_HOME", "").strip()
    if not home:
        raise Problem("HUB_HOME is not set: the folder for workspaces of projects and the hub's own files")
    folder = Path(home).expanduser().absolute()
    listed = Path(env.get("HUB_PROJECTS") or folder / "projects.toml").expanduser().absolute()
    spawner = env.get("HUB_SPAWNER") or "simple"
    if spawner not in SPAWNERS:
        raise Problem(f"HUB_SPAWNER is {spawner!r}; it may be {', '.join(SPAWNERS)}")
    return Surroundings(env, folder, projects.read(listed, folder / "projects"), spawner)
