from pathlib import Path

import pytest

from geolab import settings
from geolab.errors import SettingsError


def test_defaults_lie_in_the_workspace_and_nothing_is_created(tmp_path: Path):
    home = tmp_path / "new"
    found = settings.load(home, environ={})
    assert found.catalog_path == home / "catalog.db"
    assert found.data == (home / "data").as_uri()
    assert not home.exists()


def test_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path):
    (tmp_path / "geolab.toml").write_text("workers = 3\nlease_s = 60\n")
    found = settings.load(tmp_path, environ={"GEOLAB_WORKERS": "5"})
    assert (found.workers, found.lease_s) == (5, 60.0)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("worker = 3", ["worker", "workers"]),
        ("workers = 'many'", ["workers", "many", "int"]),
        ("workers = -1", ["workers", "at least 0"]),
        ("workers = [", ["TOML"]),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str, names: list[str]):
    (tmp_path / "geolab.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load(tmp_path, environ={})
    assert all(name in str(caught.value) for name in [*names, "geolab.toml"])


def test_an_unknown_variable_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="GEOLAB_WORKER: worker is '3'"):
        settings.load(tmp_path, environ={"GEOLAB_WORKER": "3"})


def test_a_server_catalogue_is_refused_until_there_is_a_back_end(tmp_path: Path):
    found = settings.load(tmp_path, environ={"GEOLAB_CATALOG_URL": "postgresql://x"})
    with pytest.raises(SettingsError, match="sqlite:///"):
        _ = found.catalog_path


def test_the_folder_of_runs_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert settings.load(tmp_path, environ={}).runs == tmp_path / "runs"
    assert settings.load(tmp_path, environ={"GEOLAB_RUNS_FOLDER": "/shared/runs"}).runs == Path(
        "/shared/runs"
    )
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "geolab.toml").write_text("runs_folder = '~/runs'\nhost = 'gpu-1'\nwarm = 0\n")
    found = settings.load(tmp_path, environ={})
    assert (found.runs, found.host, found.warm) == (Path("/home/me/runs"), "gpu-1", 0)
    (tmp_path / "geolab.toml").write_text("runs_folder = '../runs'\n")
    found = settings.load(tmp_path, environ={})
    monkeypatch.chdir("/")  # a run works in a folder of its own
    assert found.runs == tmp_path / "../runs"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://me:secret@host:5432/db?sslmode=require",
            "postgresql://me:***@host:5432/db?sslmode=require",
        ),
        ("postgresql://me:se/c@r:e?t@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("https://me:secret@mlflow/", "https://me:***@mlflow/"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////a:b@c/ledger.db", "sqlite:////a:b@c/ledger.db"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str):
    assert settings.redacted(url) == shown


def test_settings_show_no_password(tmp_path: Path):
    found = settings.load(tmp_path, environ={"GEOLAB_LEDGER_URL": "postgresql://me:secret@host/db"})
    assert "secret" not in repr(found)
    with pytest.raises(SettingsError, match=r"me:\*\*\*@host") as caught:
        _ = found.ledger_path
    assert "secret" not in str(caught.value)
