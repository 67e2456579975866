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
