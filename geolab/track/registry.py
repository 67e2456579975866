"""Models by name and version: copies of model folders that never change."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from geolab.errors import BadInput, NotFound
from geolab.settings import Settings
from geolab.track.client import NAME, checked, client, recorded, unless_exists
from geolab.track.recording import start

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

LATEST = "latest"  # not an alias of MLflow's, which reserves the word: always the newest version
_METRIC = re.compile(r"metric\.\S+ -?\d+(\.\d*)?(e[-+]?\d+)?")  # the tag of a score, and a number
_RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)


@dataclass(frozen=True)
class ModelRef:
    """One version of a registered model. created: seconds since 1970."""

    name: str
    version: int
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    created: float = 0.0

    @property
    def ref(self) -> str:
        """The name that means this version for ever: name/3."""
        return f"{self.name}/{self.version}"


def register(
    settings: Settings,
    name: str,
    folder: str | os.PathLike[str],
    *,
    run_id: str | None = None,
    metrics: Mapping[str, float] | None = None,
    alias: str = LATEST,
) -> ModelRef:
    """A new version of a model: a copy of the folder, kept with its run (or one made for it).

    alias: moved to this version; "latest" needs no moving. Raises BadInput, NotFound.
    """
    checked("model name", name)
    if alias != LATEST:
        _free_alias(alias)
    source = Path(folder)
    if not (source / "model.json").is_file():
        raise NotFound("model folder", str(source), remedy="geolab.change.model.save makes one")
    if run_id is None:
        with start(settings, "models", name) as made:
            return _register(settings, name, source, made.run_id, metrics or {}, alias)
    return _register(settings, name, source, run_id, metrics or {}, alias)


def _free_alias(alias: str) -> str:
    """The alias, if people may give it. Raises BadInput."""
    if _RESERVED_ALIAS.fullmatch(checked("alias", alias)):
        raise BadInput(
            "alias", found=alias, expected="another word: MLflow keeps 'latest' and 'v1', 'v2', ..."
        )
    return alias


def promote(settings: Settings, ref: str, alias: str) -> ModelRef:
    """The version after the alias was moved to it, from wherever it was. Raises BadInput, NotFound.

    ref: a registered model's version, such as "change/3"; see `model_folder`.
    """
    _free_alias(alias)
    version = _version(ref, settings)
    mlflow = client(settings)
    mlflow.set_registered_model_alias(version.name, alias, version.version)
    return _ref(mlflow.get_model_version(version.name, version.version))


def demote(settings: Settings, name: str, alias: str) -> None:
    """Take an alias off the version that bears it. Raises BadInput, NotFound where none does."""
    _free_alias(alias)
    version = _version(f"{checked('model name', name)}@{alias}", settings)
    client(settings).delete_registered_model_alias(version.name, alias)


def _register(
    settings: Settings, name: str, folder: Path, run_id: str, metrics: Mapping[str, float], alias: str
) -> ModelRef:
    mlflow = client(settings)
    kept = f"models/{_digest(folder)}"  # a run may register several; a version must never change
    mlflow.log_artifacts(run_id, str(folder), kept)
    unless_exists(lambda: mlflow.create_registered_model(name))
    source = f"{mlflow.get_run(run_id).info.artifact_uri}/{kept}"
    tags = {f"metric.{key}": repr(float(value)) for key, value in metrics.items()}
    version = mlflow.create_model_version(name, source, run_id, tags=tags)
    if alias != LATEST:
        mlflow.set_registered_model_alias(name, alias, version.version)
    return _ref(mlflow.get_model_version(name, version.version))


def models(settings: Settings) -> list[ModelRef]:
    """Every version of every registered model, by name, the newest first."""
    if not recorded(settings):
        return []
    mlflow = client(settings)
    found = [_ref(v) for name in _names(mlflow) for v in mlflow.search_model_versions(f"name='{name}'")]
    aliases = {name: _aliases(mlflow, name) for name in {ref.name for ref in found}}
    named = [replace(ref, aliases=tuple(aliases[ref.name].get(ref.version, ()))) for ref in found]
    return sorted(named, key=lambda ref: (ref.name, -ref.version))


def model_folder(ref: str, settings: Settings) -> Path:
    """The folder of a registered model: "name@alias", "name@latest", "name/3" or just "name".

    On a server it is downloaded below the workspace, once. Raises BadInput, NotFound.
    """
    version = _version(ref, settings)
    local = _local(version.source or "")
    if local is not None:
        if not (local / "model.json").is_file():
            raise NotFound("model", ref, remedy=f"its folder is gone: {local}")
        return local
    target = settings.home / "models" / version.name / str(version.version)
    return target if (target / "model.json").is_file() else _downloaded(version, target, settings)


def _downloaded(version: ModelVersion, target: Path, settings: Settings) -> Path:
    """The folder, fetched from a server whole or not at all."""
    from mlflow.artifacts import download_artifacts

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as scratch:
        download_artifacts(version.source, dst_path=scratch, tracking_uri=settings.tracking_uri)
        found = sorted(Path(scratch).rglob("model.json"))
        if not found:
            raise NotFound(
                "model", f"{version.name}/{version.version}", remedy="the server holds no model.json"
            )
        with contextlib.suppress(OSError):  # another process was first: the content is the same
            found[0].parent.rename(target)
    return target


def _version(ref: str, settings: Settings) -> ModelVersion:
    match = re.fullmatch(rf"({NAME.pattern})(?:@({NAME.pattern})|/(\d{{1,9}}))?", ref)
    if match is None:
        raise BadInput("model", found=repr(ref), expected="name@alias or name/version")
    name, alias, number = match[1], match[2] or LATEST, match[3]
    mlflow = client(settings)
    versions = {int(v.version): v for v in mlflow.search_model_versions(f"name='{name}'")}
    if not versions:
        known = [f"{other}@{LATEST}" for other in _names(mlflow)]
        raise NotFound("model", ref, known=known, remedy="geolab run 03_train_change makes one")
    if number is None and alias != LATEST:
        aliases = _aliases(mlflow, name)
        known = {a: version for version, some in aliases.items() for a in some}
        if alias not in known:
            raise NotFound("model", ref, known=[f"{name}@{a}" for a in (*known, LATEST)])
        return versions[known[alias]]
    wanted = int(number) if number else max(versions)
    if wanted not in versions:
        raise NotFound("model", ref, known=[f"{name}/{v}" for v in versions])
    return versions[wanted]


def _names(mlflow: MlflowClient) -> list[str]:
    """Names of the registered models; those that geolab would not give are left out."""
    found, token = [], None
    while True:
        page = mlflow.search_registered_models(page_token=token)
        found += [m.name for m in page]
        token = page.token
        if not token:
            return [name for name in found if NAME.fullmatch(name)]


def _aliases(mlflow: MlflowClient, name: str) -> dict[int, list[str]]:
    """The aliases of each version."""
    found: dict[int, list[str]] = {}
    for alias, version in sorted(mlflow.get_registered_model(name).aliases.items()):
        found.setdefault(int(version), []).append(alias)
    return found


def _ref(version: ModelVersion) -> ModelRef:
    tags = version.tags or {}
    metrics = {k.removeprefix("metric."): float(v) for k, v in tags.items() if _METRIC.fullmatch(f"{k} {v}")}
    aliases, created = tuple(sorted(version.aliases or ())), (version.creation_timestamp or 0) / 1000
    return ModelRef(version.name, int(version.version), aliases, version.run_id or "", metrics, created)


def _digest(folder: Path) -> str:
    """The first 16 hex digits of the hash of names and contents."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(uri)
