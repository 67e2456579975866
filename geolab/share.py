"""Share links: one file for somebody without a login, until a day that the link itself carries.

A token is its text and a signature of it (HMAC-SHA256) with a key that lies in the workspace. Nothing
else is kept: a link ends when its time is over, or when the key is made anew, which ends all of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from geolab.errors import BadInput, NotFound, SettingsError
from geolab.settings import Settings

LONGEST = timedelta(days=7)
KINDS = {"asset": 3, "run": 2}  # names: collection, item, asset; or run, file
KEY_BYTES = 32
_LONGEST_TOKEN = 8000  # characters
_LONGEST_NAME = 1024


@dataclass(frozen=True)
class Shared:
    """What a link gives: an asset (collection, item, asset) or a file of a run (run, name)."""

    kind: str
    names: tuple[str, ...]
    expires: int  # seconds since 1970


class Expired(BadInput):
    """A link whose time is over."""


def token(settings: Settings, kind: str, names: Sequence[str], expires: timedelta) -> str:
    """The token of a link to one file, valid from now until `expires` from now, at most 7 days.

    Anyone who has it can fetch the file. Raises BadInput.
    """
    if kind not in KINDS or len(names) != KINDS[kind]:
        raise BadInput("share link", found=f"{kind} of {len(names)} names", expected=f"one of {KINDS}")
    if not all(0 < len(name) <= _LONGEST_NAME for name in names):
        raise BadInput("share link", found="an empty or endless name", expected="1 to 1024 characters")
    if not timedelta(0) < expires <= LONGEST:
        raise BadInput("share link", found=f"an expiry of {expires}", expected="above 0, at most 7 days")
    said = [kind, *names, int(time.time() + expires.total_seconds())]
    text = _base64(json.dumps(said, separators=(",", ":")).encode())
    return f"{text}.{_signature(_key(settings), text)}"


def check(settings: Settings, given: str) -> Shared:
    """What a token gives. Raises NotFound for one that was not made here, Expired for an old one."""
    missing = NotFound("share link", given[:12] + "…", remedy="ask for a new one")
    text, dot, signature = given.partition(".")
    if not dot or len(given) > _LONGEST_TOKEN or not given.isascii():
        raise missing
    if not hmac.compare_digest(_signature(_key(settings), text), signature):
        raise missing
    kind, *names, expires = json.loads(_unbase64(text))  # ours: signed with the key
    if expires <= time.time():
        raise Expired(
            "share link", found="one whose time is over", expected="a valid one", remedy="ask again"
        )
    return Shared(kind, tuple(names), expires)


def rotate(settings: Settings) -> None:
    """End every link there is: the key is made anew."""
    made = _write_new(settings.home)
    made.replace(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.home / "share.key"


def _key(settings: Settings) -> bytes:
    path = _path(settings)
    if not path.exists():
        made = _write_new(settings.home)
        try:
            os.link(made, path)  # unlike a rename it gives way to whoever was first
        except FileExistsError:
            pass
        finally:
            made.unlink()
    key = path.read_bytes()
    if path.stat().st_mode & 0o077 or len(key) != KEY_BYTES:
        remedy = f"a file of {KEY_BYTES} bytes that only its owner reads; remove it, and links are made anew"
        raise SettingsError(str(path), "the key", found="changed or readable by others", expected=remedy)
    return key


def _write_new(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / f".tmp-share-{secrets.token_hex(8)}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    return path


def _signature(key: bytes, text: str) -> str:
    return _base64(hmac.new(key, b"geolab share 1\0" + text.encode(), hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unbase64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise NotFound("share link", text[:12]) from error
