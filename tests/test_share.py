"""Share links: what was signed here holds until its day, and nothing else does."""

from __future__ import annotations

import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geolab import settings as settings_module
from geolab import share
from geolab.errors import BadInput, GeolabError, NotFound, SettingsError
from geolab.settings import Settings

NAMES = ("town", "nord/3", "data")
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load(tmp_path / "workspace", environ={})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_module.load(tmp_path_factory.mktemp("workspace"), environ={})


def test_a_token_says_what_was_shared_until_when(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(share.time, "time", lambda: 1000.0)
    token = share.token(settings, "asset", NAMES, HOUR)
    assert share.check(settings, token) == share.Shared("asset", NAMES, 4600)
    monkeypatch.setattr(share.time, "time", lambda: 4599.9)
    assert share.check(settings, token).names == NAMES
    monkeypatch.setattr(share.time, "time", lambda: 4600.0)
    with pytest.raises(share.Expired, match="over"):
        share.check(settings, token)


def test_the_key_is_for_its_owner_alone_and_made_once(settings: Settings):
    made: list[str] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        made.append(share.token(settings, "run", ("r", "a.png"), HOUR))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [share.check(settings, token).kind for token in made] == ["run"] * 8
    (key,) = settings.home.iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="remove it"):
        share.check(settings, made[0])


def test_a_new_key_ends_every_link(settings: Settings):
    token = share.token(settings, "asset", NAMES, HOUR)
    share.rotate(settings)
    with pytest.raises(NotFound, match="ask for a new one"):
        share.check(settings, token)
    assert share.check(settings, share.token(settings, "asset", NAMES, HOUR)).names == NAMES
    assert [p.name for p in settings.home.iterdir()] == ["share.key"]


def test_another_workspace_signs_otherwise(settings: Settings, kept: Settings):
    with pytest.raises(NotFound):
        share.check(kept, share.token(settings, "asset", NAMES, HOUR))


@pytest.mark.parametrize(
    "kind, names, expires",
    [
        ("asset", NAMES, timedelta(days=7, seconds=1)),
        ("asset", NAMES, timedelta(0)),
        ("asset", NAMES, timedelta(seconds=-1)),
        ("asset", ("a", "b"), HOUR),
        ("file", NAMES, HOUR),
        ("run", ("r", ""), HOUR),
        ("run", ("r", "x" * 1025), HOUR),
    ],
)
def test_only_sensible_links_are_made(
    settings: Settings, kind: str, names: tuple[str, ...], expires: timedelta
):
    with pytest.raises(BadInput):
        share.token(settings, kind, names, expires)


@given(st.integers(0, 10_000), st.characters())
def test_a_token_with_one_other_character_is_none(kept: Settings, at: int, other: str):
    token = share.token(kept, "asset", NAMES, HOUR)
    at %= len(token)
    if token[at] == other:
        return
    with pytest.raises(NotFound):
        share.check(kept, token[:at] + other + token[at + 1 :])


@given(st.text(max_size=200))
def test_any_text_is_refused_in_one_line(kept: Settings, text: str):
    with pytest.raises(GeolabError) as refused:
        share.check(kept, text)
    assert "\n" not in str(refused.value)


@given(st.lists(st.text(min_size=1, max_size=50), min_size=3, max_size=3))
def test_names_of_any_letters_come_back(kept: Settings, names: list[str]):
    assert share.check(kept, share.token(kept, "asset", names, HOUR)).names == tuple(names)
