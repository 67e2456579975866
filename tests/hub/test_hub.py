"""Two researchers of different projects and an analyst at one hub: what each sees, does, and may not."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import rasterio
from PIL import Image

pytest.importorskip("jupyterhub", reason="the hub's packages are not installed: pip install 'geolab[hub]'")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PREFIXES = [
    ("ann", "/services/apps-alpha/", "alpha"),
    ("bob", "/services/apps-beta/", "beta"),
    ("cyd", "/services/apps-alpha/", "alpha"),
    ("ann", "/user/ann/", "alpha"),
    ("bob", "/user/bob/", "beta"),
]
SEEN = [("ann", "alpha", "beta"), ("bob", "beta", "alpha"), ("cyd", "alpha", "beta")]
OTHERS = [
    ("bob", "/services/apps-alpha/"),
    ("ann", "/services/apps-beta/"),
    ("cyd", "/services/apps-beta/"),
    ("bob", "/user/ann/"),
    ("cyd", "/user/ann/"),
]
SHUT = ["lab", "tree", "api/contents", "api/contents/home.ipynb", "files/home.ipynb", "api/kernels"]
SHUT += ["api/sessions", "api/terminals", "terminals/1", "api/kernelspecs", "api/config/notebook"]


def items_of(home: Path, project: str) -> list[dict]:
    """The items of a project, as its own workspace lists them."""
    from geolab import catalog, settings

    workspace = settings.load(home / "projects" / project, environ={})
    return catalog.open_catalog(workspace).search(catalog.Search(limit=100)).items


def image_of(home: Path, project: str) -> str:
    found = [i for i in items_of(home, project) if i["collection"] == project]
    images = [i["id"] for i in found if i["properties"].get("geolab:role", "image") == "image"]
    return f"{project}/{images[0]}"


def test_home_shows_each_what_is_theirs_and_a_lab_only_to_researchers(people):
    shown = {}
    for name, person in people.items():
        page = person.open("/hub/home")
        page.wait_for_selector("h1:has-text('Projects of')")
        rows = page.locator(".geolab-rows .what").all_inner_texts()
        shown[name] = ([r for r in rows if "valley" in r], any("Lab" in r for r in rows))
    alpha, beta = "Alpha <b>valley</b>", "Beta <b>valley</b>"
    assert shown == {
        "ann": ([alpha], True),
        "bob": ([beta], True),
        "cyd": ([alpha], False),
        "dee": ([alpha, beta], True),
    }


@pytest.mark.parametrize("name, prefix, project", PREFIXES)
def test_pictures_files_and_uploads_work_below_the_prefix(labs, hub, name, prefix, project):
    person, image = labs[name], image_of(hub.home, project)
    person.enter(prefix)
    preview = person.ask(f"{prefix}geolab/preview/{image}")
    assert preview.status == 200, preview.text()
    assert Image.open(io.BytesIO(preview.body())).size[0] > 100
    tile = person.ask(f"{prefix}geolab/tiles/{image}/data/0/0/0.png")
    assert tile.status == 200
    assert tile.headers["content-type"] == "image/png"
    file = person.ask(f"{prefix}geolab/assets/{image}/data")
    assert file.status == 200
    with rasterio.MemoryFile(file.body()) as memory, memory.open() as raster:
        assert raster.width == 512
    part = person.ask(f"{prefix}geolab/assets/{image}/data", headers={"Range": "bytes=0-3"})
    assert (part.status, part.body()) == (206, file.body()[:4])

    address = f"{prefix}geolab/upload?name=roof.tif"
    assert person.ask(address, "POST", data=file.body()).status == 403  # could be another site's page
    token = {"X-XSRFToken": person.xsrf(prefix), "Content-Type": "image/tiff"}
    sent = person.ask(address, "POST", data=file.body(), headers=token)
    assert sent.status in (200, 201), sent.text()
    assert sent.json()["size"] == len(file.body())


@pytest.mark.parametrize("name, prefix, project", PREFIXES[:-1])
def test_mlflow_works_below_the_prefix_and_holds_the_projects_experiments_only(labs, name, prefix, project):
    person = labs[name]
    person.enter(prefix)
    page = person.open(f"{prefix}mlflow/")
    page.wait_for_selector("#root", state="attached", timeout=120_000)
    answer = person.ask(
        f"{prefix}mlflow/ajax-api/2.0/mlflow/experiments/search",
        "POST",
        data=json.dumps({"max_results": 50}),
        headers={
            "Content-Type": "application/json",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "same-origin",
        },
    )
    assert answer.status == 200, answer.text()[:300]
    assert {e["name"] for e in answer.json()["experiments"]} - {"Default"} == {f"{project}-experiment"}


def test_pages_show_the_projects_items_and_runs_only(people, hub):
    for name, project, other in (
        ("ann", "alpha", "beta"),
        ("bob", "beta", "alpha"),
        ("cyd", "alpha", "beta"),
    ):
        person = people[name]
        with person.page.expect_response(lambda r: "geolab/status" in r.url, timeout=120_000) as header:
            page = person.open(f"/services/apps-{project}/voila/render/data.ipynb")
        assert header.value.status == 200
        page.get_by_text(f"Hills of {project}").first.wait_for(timeout=120_000)
        assert other not in page.inner_text("body").lower()
    assert people["cyd"].outside == []


TURN = """from geolab import catalog, settings, store, viewer
search = catalog.Search(collections=("results",))
[model] = catalog.open_catalog(settings.load()).search(search).items
path, title = store.local_path(model["assets"]["data"]["href"]), model["properties"]["title"]
viewer.show(path, height_px=300, title=title)"""


def test_the_viewer_opens_below_the_services_prefix(people):
    page = people["cyd"].open("/services/apps-alpha/voila/render/splats.ipynb")
    page.wait_for_selector(".gs-canvas", timeout=120_000)
    shown = page.inner_text("body")
    assert "Hills of alpha" in shown
    assert "beta" not in shown.lower()


def test_the_viewer_opens_in_a_page_of_ones_own_lab(labs):
    ann, cell = labs["ann"], {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}
    notebook = {"cells": [{**cell, "source": TURN}], **about}
    ann.enter("/user/ann/")
    headers = {"X-XSRFToken": ann.xsrf("/user/ann/"), "Content-Type": "application/json"}
    body = json.dumps({"type": "notebook", "content": notebook})
    assert ann.ask("/user/ann/api/contents/turn.ipynb", "PUT", data=body, headers=headers).status == 201
    page = ann.open("/user/ann/voila/render/turn.ipynb")
    page.wait_for_selector(".gs-canvas", timeout=120_000)
    assert "Hills of alpha" in page.inner_text("body")


def test_the_other_projects_addresses_answer_403_or_404(labs, hub):
    alpha, beta = image_of(hub.home, "alpha"), image_of(hub.home, "beta")
    places = ["", "mlflow/", "voila/render/home.ipynb", "api/contents", "api/kernels", "geolab/upload"]
    places += [f"geolab/preview/{alpha}", f"geolab/assets/{alpha}/data"]
    for name, prefix in OTHERS:
        for rest in places:
            answer = labs[name].ask(f"{prefix}{rest}")
            assert answer.status in (403, 404), (name, prefix, rest, answer.url)
    labs["ann"].enter("/services/apps-alpha/")
    labs["ann"].enter("/user/ann/")
    # through one's own door there is nothing of the other project either
    assert labs["ann"].ask(f"/services/apps-alpha/geolab/preview/{beta}").status == 404
    assert labs["ann"].ask(f"/user/ann/geolab/assets/{beta}/data").status == 404


def test_an_analyst_can_neither_spawn_nor_reach_more_than_pages(people):
    cyd = people["cyd"]
    cyd.open("/hub/home")
    token = {
        "X-XSRFToken": cyd.xsrf("/hub/"),
        "Content-Type": "application/json",
        "Referer": f"{cyd.hub}/hub/home",
    }
    assert cyd.ask("/hub/spawn").status == 403
    assert cyd.ask("/hub/spawn/cyd").status == 403
    assert cyd.ask(f"/hub/spawn?_xsrf={cyd.xsrf('/hub/')}", "POST", form={"project": "alpha"}).status == 403
    for path in ("cyd/server", "cyd/servers/extra", "ann/server"):
        answer = cyd.ask(f"/hub/api/users/{path}", "POST", data="{}", headers=token)
        assert answer.status in (403, 404), (path, answer.status)
    assert cyd.ask("/hub/api/users/cyd/tokens", "POST", data="{}", headers=token).status in (403, 404)
    assert cyd.ask("/hub/api/users", headers=token).status == 403
    assert cyd.ask("/user/cyd/lab").status in (403, 404, 424)

    service = "/services/apps-alpha/"
    cyd.enter(service)
    assert cyd.ask(f"{service}geolab/status").status == 200  # who they are is known here
    for path in SHUT:
        assert cyd.ask(f"{service}{path}").status in (403, 404), path
    sent = {"X-XSRFToken": cyd.xsrf(service), "Content-Type": "application/json"}
    for path in ("api/kernels", "api/sessions", "api/terminals", "api/contents", "api/shutdown"):
        assert cyd.ask(f"{service}{path}", "POST", data="{}", headers=sent).status in (403, 404), path


def test_a_forged_project_is_refused_however_it_is_sent(people):
    dee, eve = people["dee"], people["cyd"]
    page = dee.open("/hub/spawn")
    choices = page.locator("select[name=project] option")
    choices.first.wait_for(state="attached")
    assert choices.all_inner_texts() == ["Alpha <b>valley</b>", "Beta <b>valley</b>"]
    token = dee.xsrf("/hub/")
    for forged in ("gamma", "../alpha", "alpha/../../beta", "<script>", ""):
        answer = dee.ask(f"/hub/spawn?_xsrf={token}", "POST", form={"project": forged})
        assert answer.status == 403, forged
        assert "<script>" not in answer.text().replace("<script>\n", "") or forged != "<script>"
    headers = {"X-XSRFToken": token, "Content-Type": "application/json", "Referer": f"{dee.hub}/hub/home"}
    for forged in ("gamma", ["alpha"], {"a": 1}, 7, None):
        body = json.dumps({"project": forged})
        answer = dee.ask("/hub/api/users/dee/server", "POST", data=body, headers=headers)
        assert answer.status in (400, 403), (forged, answer.status)
    assert dee.ask("/hub/api/users/dee", headers=headers).json()["servers"] == {}
    assert eve.ask("/hub/api/users/dee").status in (403, 404)


def test_nobody_gets_in_without_a_group_or_with_a_token_that_is_not_the_providers(chromium, hub, provider):
    def refused(name: str) -> int:
        context = chromium.new_context()
        asks = context.request.get(f"{hub.url}/hub/oauth_login")
        status = context.request.get(f"{asks.url}&as={name}").status
        assert context.request.get(f"{hub.url}/hub/home").url.startswith(f"{hub.url}/hub/login")  # nobody
        context.close()
        return status

    assert refused("eve") == 403
    for spoil in (
        {"signed": "by another"},
        {"signed": "by nobody"},
        {"claims": {"aud": "another program"}},
        {"claims": {"iss": "https://elsewhere.example"}},
        {"claims": {"exp": 1_600_000_000}},
        {"identity token": "missing"},
        {"userinfo": {"sub": "id-somebody-else"}},
        {"userinfo": {"preferred_username": "../../etc"}},
    ):
        provider.spoil = spoil
        try:
            assert refused("ann") in (400, 403), spoil
        finally:
            provider.spoil = {}


def test_metrics_are_for_the_collector_and_not_for_people(people):
    ann = people["ann"]
    assert ann.ask("/hub/metrics").status == 403
    collector = ann.ask("/hub/metrics", headers={"Authorization": f"token {'0123456789' * 4}"})
    assert collector.status == 200
    assert "jupyterhub_running_servers" in collector.text()


def test_after_logout_every_door_asks_who_one_is(labs, hub):
    bob = labs["bob"]
    bob.open("/hub/logout").wait_for_load_state()
    for path in ("/hub/home", "/user/bob/lab", "/services/apps-beta/geolab/status"):
        answer = bob.ask(path, max_redirects=0)
        assert answer.status in (302, 401, 403), path
        if answer.status == 302:
            assert any(word in answer.headers["location"] for word in ("login", "oauth2/authorize")), path
    assert "valley" not in bob.ask("/hub/home").text()
