"""Kernels of pages, on a real server: forked, counted, ended; the page around them."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import httpx
import psutil
import pytest

from geolab.service import bundles, kernels, preheat


@pytest.fixture(autouse=True)
def _none_left(request, opening):
    """Each test begins with a server without kernels."""
    yield
    if "apps" in request.fixturenames:
        opening.until(
            lambda: opening.kernels(request.getfixturevalue("apps")) == 0, "no kernel is left", seconds=10
        )


def test_a_page_is_forked_knows_its_query_and_nothing_secret(apps, opening):
    told = opening.page(apps, query=f"?text=roof%20%26%20more&token={apps.token}").text
    kernel = opening.kernel_of(told)
    assert "asked: text=roof+%26+more" in opening.outputs(told)
    names = [process.name() for process in opening.family(apps.pid)]
    assert names.count("geolab-template") == 1
    assert "geolab-kernel" in names
    assert "starts cold" not in apps.log.read_text()
    assert apps.get(f"geolab/status?kernel={kernel}").json()["kernel"] is True
    assert opening.shut(apps, kernel) == 204
    assert apps.get(f"geolab/status?kernel={kernel}").json()["kernel"] is False
    secret = opening.page(apps, "secret", f"?token={apps.token}").text
    assert "GEOLAB_HOME=" in secret
    assert apps.token not in secret
    opening.shut(apps, opening.kernel_of(secret))


def test_the_frame_comes_before_the_kernel_and_a_reader_who_leaves_takes_the_kernel_along(apps, opening):
    address = f"{apps.url}voila/render/slow.ipynb?token={apps.token}"
    with httpx.Client(trust_env=False, timeout=60) as client, client.stream("GET", address) as answer:
        text = ""
        for piece in answer.iter_text():
            text += piece
            if "kernelId" in text:
                break
        frame = text.partition("kernelId")[0]
        assert 'id="loading"' in frame
        assert frame.count("aria-current") == 0  # `slow` is none of the eight
        assert all(f"/user/ann/voila/render/{page}.ipynb" in frame for page in ("home", "data", "monitor"))
        assert opening.kernels(apps) == 1
    opening.until(lambda: opening.kernels(apps) == 0, "the kernel of a page that was left is ended")


def test_a_page_that_fails_says_one_sentence_and_no_traceback(apps, opening):
    told = opening.page(apps, "fails").text
    assert "This page could not be made." in told
    assert "Load it again" in told
    assert "nobody may see" not in told
    assert "ValueError" not in told
    opening.shut(apps, opening.kernel_of(told))


def test_when_all_places_are_taken_the_next_reader_is_told_so(apps, opening):
    taken = [opening.kernel_of(opening.page(apps).text) for _ in range(3)]
    refused = opening.page(apps)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "60"
    assert "try again in a minute" in refused.text
    assert "geolab-rail" in refused.text
    opening.shut(apps, taken.pop())
    again = opening.page(apps)
    assert again.status_code == 200
    for kernel in [*taken, opening.kernel_of(again.text)]:
        opening.shut(apps, kernel)


def test_a_kernel_that_dies_is_not_started_again(apps, opening):
    kernel = opening.kernel_of(opening.page(apps).text)
    (process,) = [one for one in opening.family(apps.pid) if one.name() == "geolab-kernel"]
    process.kill()
    opening.until(lambda: opening.kernels(apps) == 0, "the server notices that a kernel died")
    assert apps.get(f"geolab/status?kernel={kernel}").json()["kernel"] is False


def test_scripts_are_packed_and_kept_for_good(apps):
    script = f"voila/static/{bundles.VERSION}/voila.js"
    found = apps.get(script, headers={"Accept-Encoding": "gzip"})
    assert found.headers["Content-Encoding"] == "gzip"
    assert "immutable" in found.headers["Cache-Control"]
    assert len(found.text) > 10_000
    plain = apps.get(script, headers={"Accept-Encoding": "identity"})
    assert plain.text == found.text
    assert apps.get(script.replace("voila.js", "none.js")).status_code == 404


def test_without_forks_pages_start_cold_and_what_nobody_looks_at_is_culled(opening, serving_of, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "geolab.toml").write_text("warm = 0\n")
    options = ("--PageKernels.cull_idle_timeout=8", "--PageKernels.cull_interval=1")
    with serving_of(home, options) as server:
        told = opening.page(server, query="?a=1").text
        assert "asked: a=1" in opening.outputs(told)
        assert "a page starts cold: switched off by the setting warm" in server.log.read_text()
        opening.until(lambda: opening.kernels(server) == 0, "a page that never spoke is culled")


def test_nothing_outlives_a_server_that_is_killed(opening, serving_of, tmp_path):
    with serving_of(tmp_path / "home", ()) as server:
        opening.page(server)
        family = opening.family(server.pid)
        assert {"geolab-template", "geolab-kernel"} <= {process.name() for process in family}
        psutil.Process(server.pid).kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []


def test_a_template_that_is_out_of_date_lives_until_its_pages_are_closed(workspace, tmp_path):
    template = kernels.PageTemplate(workspace)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "QUERY_STRING": "a=1"}
    output = os.open(tmp_path / "output", os.O_CREAT | os.O_WRONLY)

    def fork(number: int, **more: str):
        argv = [*kernels.OWN, "-f", str(tmp_path / f"{number}.json"), "--transport=ipc"]
        return template.fork(argv, environ | more, str(tmp_path), output)

    try:
        first, old = fork(1), template.pid
        second = fork(2, QUERY_STRING="b=2", VOILA_X="1")
        assert template.pid == old
        third = fork(3, LANG="de_DE.UTF-8")
        assert template.pid != old
        assert first.poll() is None
        for kernel in (first, second):
            kernel.kill()
            kernel.wait(10)
        fourth = fork(4, LANG="de_DE.UTF-8")
        assert not psutil.pid_exists(old)
        assert third.poll() is None
        template.end()
        assert third.wait(10) == fourth.wait(10) == -9
    finally:
        template.end()
        os.close(output)


def test_a_page_never_opens_the_gpu(monkeypatch):
    torch = SimpleNamespace(cuda=SimpleNamespace(_lazy_init=lambda: None))
    monkeypatch.setitem(sys.modules, "torch", torch)
    preheat.load_ipython_extension(SimpleNamespace())
    with pytest.raises(RuntimeError, match="a page leaves the GPU alone"):
        torch.cuda._lazy_init()


def test_what_a_kernel_is_told_holds_no_token():
    given = {
        "JUPYTER_TOKEN": "a",
        "QUERY_STRING": "x=1&token=a&y=",
        "VOILA_REQUEST_URL": "http://h/p?token=a&x=1",
    }
    kept = kernels.without_secrets(given)
    assert kept == {"QUERY_STRING": "x=1&y=", "VOILA_REQUEST_URL": "http://h/p?x=1"}


def test_a_user_has_a_share_of_the_places(monkeypatch):
    monkeypatch.setattr(
        kernels, "Forks", lambda: SimpleNamespace(template=SimpleNamespace(prepare=lambda: 0))
    )
    many = kernels.PageKernels(most=5, most_each=2)
    many._kernels = {"a": None, "b": None, "c": None}
    many._users = {"a": "ann", "b": "ann", "gone": "bob", "c": "bob"}
    assert many.full("ann")
    assert not many.full("bob")
    many._starting = ["cem", "cem"]
    assert many.full("dora")
