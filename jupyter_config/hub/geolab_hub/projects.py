"""Projects: a workspace each, and the groups whose members may work in it or look at it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from geolab_hub.problem import Problem

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")  # a folder, a part of an address, a Kubernetes label
GROUP = re.compile(r"[\w][\w .:/@+-]{0,127}")
FIRST_PORT = 8871  # of the apps, where a project names no address of its own


@dataclass(frozen=True)
class Project:
    """One workspace. `home` holds its catalogue, runs and models; `apps` is where its apps listen."""

    name: str
    title: str
    researchers: frozenset[str]  # groups: may open a Lab in it, and its apps
    analysts: frozenset[str]  # groups: may open its apps
    home: Path
    apps: str  # URL without a path, reached by the hub and its proxy only

    @property
    def service(self) -> str:
        return f"apps-{self.name}"

    @property
    def prefix(self) -> str:
        """The part of the hub's address below which the apps are."""
        return f"/services/{self.service}/"


@dataclass(frozen=True)
class Projects:
    """All projects by name, and for trials the groups of people who log in with a shared password."""

    by_name: Mapping[str, Project]
    people: Mapping[str, tuple[str, ...]]

    def __iter__(self):
        return iter(self.by_name.values())

    @property
    def groups(self) -> frozenset[str]:
        """Every group that means something here."""
        return frozenset().union(*(p.researchers | p.analysts for p in self))

    def of_researcher(self, groups: Iterable[str]) -> dict[str, Project]:
        """The projects in which a member of these groups may open a Lab."""
        held = frozenset(groups)
        return {p.name: p for p in self if p.researchers & held}


def read(path: Path, homes: Path) -> Projects:
    """The projects that a file declares. homes: the folder of the workspaces. Raises Problem."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(
            f"{path} does not exist; it lists the projects (an example: projects.example.toml)"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Problem(f"{path} can't be read as TOML: {error}") from error
    if unknown := set(told) - {"projects", "people"}:
        raise Problem(f"{path}: {sorted(unknown)[0]!r} is neither 'projects' nor 'people'")
    tables = _table(told, "projects", path)
    if not tables:
        raise Problem(f"{path} lists no project; add [projects.NAME]")
    projects = {n: _project(n, tables[n], i, homes, path) for i, n in enumerate(tables)}
    _distinct(projects, path)
    people = {
        name: _groups(groups, f"people.{name}", path) for name, groups in _table(told, "people", path).items()
    }
    return Projects(projects, people)


def _table(told: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = told.get(key, {})
    if not isinstance(found, dict):
        raise Problem(f"{path}: {key} is not a table")
    return found


def _project(name: str, told: Any, number: int, homes: Path, path: Path) -> Project:
    if not NAME.fullmatch(name):
        raise Problem(f"{path}: {name!r} can't be a project's name; use 2 to 32 of a-z, 0-9 and -")
    if not isinstance(told, dict):
        raise Problem(f"{path}: projects.{name} is not a table")
    if unknown := set(told) - {"title", "researchers", "analysts", "home", "apps"}:
        raise Problem(f"{path}: projects.{name} has no setting {sorted(unknown)[0]!r}")
    home = Path(_text(told.get("home", str(homes / name)), f"projects.{name}.home", path))
    if not home.is_absolute():
        raise Problem(f"{path}: projects.{name}.home must be an absolute path, not {str(home)!r}")
    return Project(
        name,
        _text(told.get("title", name), f"projects.{name}.title", path),
        frozenset(
            _groups(told.get("researchers", [f"project-{name}"]), f"projects.{name}.researchers", path)
        ),
        frozenset(_groups(told.get("analysts", []), f"projects.{name}.analysts", path)),
        home,
        _url(told.get("apps", f"http://127.0.0.1:{FIRST_PORT + number}"), f"projects.{name}.apps", path),
    )


def _text(value: Any, where: str, path: Path) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 1024:
        raise Problem(f"{path}: {where} must be one line of text")
    return value


def _groups(value: Any, where: str, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(g, str) and GROUP.fullmatch(g) for g in value):
        raise Problem(f"{path}: {where} must be a list of names of groups")
    return tuple(value)


def _url(value: Any, where: str, path: Path) -> str:
    try:
        parts = urlsplit(_text(value, where, path))
        fits = (
            parts.scheme in {"http", "https"} and parts.hostname and parts.port and not parts.path.strip("/")
        )
    except ValueError:
        fits = False
    if not fits:
        raise Problem(f"{path}: {where} must be an address like http://127.0.0.1:{FIRST_PORT}")
    return value.rstrip("/")


def _distinct(projects: Mapping[str, Project], path: Path) -> None:
    """Nothing is shared by two projects: neither a workspace nor an address."""
    for what in ("home", "apps"):
        seen: dict[Any, str] = {}
        for project in projects.values():
            value = getattr(project, what)
            if value in seen:
                raise Problem(f"{path}: projects {seen[value]} and {project.name} have the same {what}")
            seen[value] = project.name
