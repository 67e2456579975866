"""Secrets of the hub in a folder that nobody else may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from geolab_hub.problem import Problem


def folder(path: Path) -> Path:
    """The folder, made if need be, for its owner only. Raises Problem if it can't be kept so."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    except OSError as error:
        raise Problem(f"{path} can't be made private: {error.strerror}") from error
    return path


def secret(path: Path) -> str:
    """The secret in this file; 64 random hexadecimal digits are written when there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(path)
    with os.fdopen(descriptor, "w") as file:
        file.write(made := secrets.token_hex(32))
    return made


def _kept(path: Path) -> str:
    text = path.read_text().strip()
    if path.stat().st_mode & 0o077:
        raise Problem(f"{path} holds a secret and others may read it: chmod 600 {path}")
    if len(text) < 32:
        raise Problem(f"{path} holds no secret of at least 32 characters; remove it and one is made")
    return text
