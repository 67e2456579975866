"""Projects from a file that somebody typed, and options from a form that anybody may forge."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("jupyterhub", reason="the hub's packages are not installed: pip install 'geolab[hub]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "jupyter_config" / "hub"))

from geolab_hub import access, apps, private, projects, spawning, surroundings
from geolab_hub.problem import Problem
from tornado.web import HTTPError

TWO = """
[projects.alpha]
analysts = ["readers"]
[projects.beta]
title = 'Beta "coast" <i>'
researchers = ["coast", "project-beta"]
apps = "http://10.0.0.7:9000/"
[people]
ann = ["project-alpha"]
"""


def written(folder: Path, text: str) -> projects.Projects:
    path = folder / "projects.toml"
    path.write_text(text)
    return projects.read(path, folder / "homes")


def user(*groups: str, name: str = "ann") -> SimpleNamespace:
    found = SimpleNamespace(name=name, groups=[SimpleNamespace(name=g) for g in groups])
    return SimpleNamespace(user=found, user_options={}, environment={}, volumes=[], volume_mounts=[])


def test_projects_have_a_workspace_an_address_and_groups_each(tmp_path):
    found = written(tmp_path, TWO)
    alpha, beta = found
    assert (alpha.title, alpha.home, alpha.apps) == (
        "alpha",
        tmp_path / "homes/alpha",
        "http://127.0.0.1:8871",
    )
    assert (alpha.researchers, alpha.analysts) == ({"project-alpha"}, {"readers"})
    assert (beta.apps, beta.researchers, beta.analysts) == (
        "http://10.0.0.7:9000",
        {"coast", "project-beta"},
        set(),
    )
    assert (beta.service, beta.prefix) == ("apps-beta", "/services/apps-beta/")
    assert found.people == {"ann": ("project-alpha",)}
    assert set(found.of_researcher(["readers", "coast", "other"])) == {"beta"}


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "A", "-a", "a-", "a", ".", "a b", "é-e", "a" * 33, "a\\nb", ""]
)
def test_a_name_that_could_be_a_path_is_refused(tmp_path, name):
    with pytest.raises(Problem, match="can't be a project's name"):
        written(tmp_path, f'[projects."{name}"]\n')


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "lists no project"),
        ("projects = 3", "projects is not a table"),
        ("[projects]\nalpha = 1", "projects.alpha is not a table"),
        ("[project.alpha]", "'project' is neither"),
        ("[projects.alpha]\nhomes = 'x'", "no setting 'homes'"),
        ("[projects.alpha]\nhome = 'here'", "must be an absolute path"),
        ('[projects.alpha]\ntitle = "a\\u0007"', "can't be read as TOML|one line of text"),
        ("[projects.alpha]\nresearchers = 'ann'", "must be a list of names of groups"),
        ("[projects.alpha]\nanalysts = ['<b>']", "must be a list of names of groups"),
        ("[projects.alpha]\napps = 'http://host'", "must be an address like"),
        ("[projects.alpha]\napps = 'file:///etc'", "must be an address like"),
        ("[projects.alpha]\napps = 'http://host:port'", "must be an address like"),
        ("[projects.alpha]\nhome='/a'\n[projects.beta]\nhome='/a'", "alpha and beta have the same home"),
        (
            "[projects.alpha]\n[projects.beta]\napps='http://127.0.0.1:8871'",
            "alpha and beta have the same apps",
        ),
        ("[projects.alpha", "can't be read as TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path, text, said):
    with pytest.raises(Problem, match=said) as raised:
        written(tmp_path, text)
    assert "\n" not in str(raised.value).strip()


def test_a_lab_is_for_the_projects_of_ones_groups_only(tmp_path):
    found = written(tmp_path, TWO)
    both = user("project-alpha", "coast")
    assert spawning.chosen(found, both, {"project": "beta"}).name == "beta"
    assert spawning.chosen(found, user("coast"), {}).name == "beta"
    for who, asked in [
        (user("project-alpha"), "beta"),
        (user("readers"), "alpha"),
        (user(), ""),
        (both, ""),
        (both, "../alpha"),
        (both, ["alpha"]),
        (both, {"alpha": 1}),
        (both, None),
        (both, 7),
    ]:
        with pytest.raises(HTTPError) as raised:
            spawning.chosen(found, who, {"project": asked})
        assert raised.value.status_code == 403


def test_the_form_asks_only_what_there_is_to_choose_and_escapes_it(tmp_path):
    found = written(tmp_path, TWO)
    assert spawning.form(found, user("coast")).count("<option") == (2 if spawning.gpus() else 0)
    shown = spawning.form(found, user("project-alpha", "coast"))
    assert "Beta &quot;coast&quot; &lt;i&gt;" in shown
    assert "<i>" not in shown
    told = {"project": ["alpha"], "other": ["x"], "GEOLAB_HOME": ["/etc"]}
    assert spawning.from_form(found, user("project-alpha"), told) == {"project": "alpha"}


def test_a_gpu_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(spawning, "gpus", lambda: 0)
    for asked in ("gpu", "tpu", ["cpu"], {}):
        if asked:
            with pytest.raises(HTTPError):
                spawning.machine({"machine": asked})
    monkeypatch.setattr(spawning, "gpus", lambda: 2)
    assert spawning.machine({"machine": "gpu"}) == "gpu"


def test_a_lab_gets_its_projects_workspace_and_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(spawning, "gpus", lambda: 0)
    listed = written(tmp_path, TWO)
    around = surroundings.Surroundings({}, tmp_path, listed, "simple")
    spawner = user("coast", name="bob")
    spawner.notebook_dir = ""
    spawning.apply(around, spawner, {})
    assert spawner.environment == {"GEOLAB_HOME": str(tmp_path / "homes/beta"), "CUDA_VISIBLE_DEVICES": ""}
    assert spawner.notebook_dir == str(tmp_path / "people/bob/beta")
    with pytest.raises(HTTPError):
        spawning.apply(around, spawner, {"project": "alpha"})


def test_a_pod_is_offered_and_given_only_what_is_its_users(tmp_path):
    around = surroundings.Surroundings({}, tmp_path, written(tmp_path, TWO), "kubernetes")
    spawner = user("coast")
    offered = spawning.profiles(around, spawner)
    assert [p["slug"] for p in offered] == ["beta-cpu", "beta-gpu"]
    assert offered[1]["kubespawner_override"]["extra_resource_limits"] == {"nvidia.com/gpu": "1"}
    assert offered[0]["display_name"].startswith("Beta &quot;coast&quot; &lt;i&gt;")
    spawner.user_options = {"profile": "beta-gpu"}
    for _ in range(2):  # a second start adds nothing
        spawning.mount(around, spawner)
    assert [m["subPath"] for m in spawner.volume_mounts] == ["beta"]
    assert len(spawner.volumes) == 1
    for forged in ("alpha-cpu", "../beta-cpu", ["beta-cpu"], 3):
        spawner.user_options = {"profile": forged}
        with pytest.raises(HTTPError):
            spawning.mount(around, spawner)
    assert spawning.profiles(around, user("readers")) == []
    with pytest.raises(HTTPError):
        spawning.mount(around, user("readers"))


def test_roles_give_analysts_the_apps_and_nobody_more_by_default(tmp_path):
    found = {role["name"]: role for role in access.roles(written(tmp_path, TWO))}
    assert found["user"]["scopes"] == ["read:users:name!user", "read:users:groups!user"]
    assert found["researcher"]["groups"] == ["coast", "project-alpha", "project-beta"]
    assert found["project-alpha"]["scopes"] == ["access:services!service=apps-alpha"]
    assert found["project-alpha"]["groups"] == ["project-alpha", "readers"]


def test_the_apps_get_their_workspace_and_none_of_the_hubs_secrets(tmp_path):
    env = {"HUB_PASSWORD": "x", "OIDC_CLIENT_SECRET": "x", "PATH": "/bin", "GEOLAB_DATA": "s3://other"}
    private.folder(tmp_path / "private")
    around = surroundings.Surroundings(env, tmp_path, written(tmp_path, TWO), "simple")
    alpha, beta = (apps.environment(around, p) for p in around.projects)
    assert alpha["GEOLAB_HOME"] == str(tmp_path / "homes/alpha")
    assert alpha["PATH"] == "/bin"
    assert not {"HUB_PASSWORD", "OIDC_CLIENT_SECRET", "GEOLAB_DATA"} & set(alpha)
    assert alpha["JUPYTERHUB_API_TOKEN"] != beta["JUPYTERHUB_API_TOKEN"]
    assert alpha["JUPYTERHUB_OAUTH_ACCESS_SCOPES"] == '["access:services!service=apps-alpha"]'
    assert around.token(around.projects.by_name["alpha"]) == alpha["JUPYTERHUB_API_TOKEN"]


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    kept = private.folder(tmp_path / "kept") / "token"
    made = private.secret(kept)
    assert private.secret(kept) == made
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    kept.chmod(0o644)
    with pytest.raises(Problem, match="others may read it"):
        private.secret(kept)
    short = tmp_path / "kept" / "short"
    short.write_text("123")
    short.chmod(0o600)
    with pytest.raises(Problem, match="at least 32 characters"):
        private.secret(short)
