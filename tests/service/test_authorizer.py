"""A real server of the apps, asked for everything that an analyst has no use for."""

from __future__ import annotations

import json
import struct

import httpx
import pytest
from jupyter_server.base.handlers import JupyterHandler

from geolab.service.authorizer import PagesOnly

CLOSED = (
    "lab", "tree", "api/contents", "api/contents/plain.ipynb", "api/kernels", "api/kernelspecs",
    "api/sessions", "api/terminals", "api/config/notebook", "api/me", "api/spec.yaml", "metrics",
    "terminals/1", "files/plain.ipynb", "view/plain.ipynb", "edit/plain.ipynb", "jupyter/lab",
    "nbconvert/html/plain.ipynb", "proxy/22/", "server-proxy/servers-info", "voila", "voila/", "voila/tree",
    "voila/files/plain.ipynb", "voila/api/contents/", "voila/execution/1", "voila/render/",
    "voila/render/../apps_config.py", "voila/render/sub/plain.ipynb", "voila/render/plain.ipynb/x",
    "geolabs/", "%2e%2e/lab", "voila/static/../../lab", "voila/static/0/../../../../pyproject.toml",
)  # fmt: skip


def ask(server, method: str, path: str, **options) -> httpx.Response:
    headers = {"Authorization": f"token {server.token}"}
    return httpx.request(method, server.url + path, headers=headers, timeout=60, trust_env=False, **options)


def test_what_an_analyst_has_no_use_for_is_not_there(apps):
    found = {path: ask(apps, "GET", path).status_code for path in CLOSED}
    assert set(found.values()) == {404}, {path: code for path, code in found.items() if code != 404}
    answer = ask(apps, "GET", "lab")
    assert "There is no such page" in answer.text
    assert "geolab-rail" in answer.text


def test_nothing_is_started_written_or_ended_by_rest(apps, opening):
    kernel = opening.kernel_of(opening.page(apps).text)
    before = opening.kernels(apps)
    body = {"name": "python3", "path": "x", "type": "notebook", "content": None}
    for method, path in (
        ("POST", "api/kernels"), ("POST", "api/sessions"), ("POST", "api/terminals"),
        ("POST", "api/contents"), ("PUT", "api/contents/x.ipynb"), ("POST", "api/shutdown"),
        ("PATCH", "api/contents/plain.ipynb"),
        ("DELETE", "api/contents/plain.ipynb"), ("POST", f"api/kernels/{kernel}/interrupt"),
        ("POST", f"api/kernels/{kernel}/restart"), ("DELETE", f"api/kernels/{kernel}"),
        ("POST", "nbconvert/html"), ("POST", "voila/render/plain.ipynb"), ("PUT", "api/config/x"),
    ):  # fmt: skip
        assert ask(apps, method, path, json=body).status_code in (403, 404, 405), (method, path)
    assert opening.kernels(apps) == before
    assert ask(apps, "GET", f"api/kernels/{kernel}").status_code == 200
    assert opening.shut(apps, kernel) == 204


def test_nobody_gets_in_without_the_token(apps):
    for path in (
        "voila/render/plain.ipynb",
        "geolab/status",
        "api/status",
        "mlflow/",
        "lab",
        "voila/static/x.js",
    ):
        answer = apps.get(path, token=False, follow_redirects=False)
        assert answer.status_code in (302, 403, 404), path
        assert "login" in answer.headers.get("location", "login"), path


@pytest.mark.parametrize("protocol", ["", "v1.kernel.websocket.jupyter.org"])
def test_a_page_speaks_of_widgets_and_runs_no_code(apps, opening, tmp_path, protocol):
    kernel = opening.kernel_of(opening.page(apps).text)
    mark = tmp_path / "ran"
    code = {"code": f"open({str(mark)!r}, 'w')", "silent": False, "store_history": False}
    forbidden = [
        opening.message("execute_request", code),
        opening.message("execute_request", code, channel="control"),
        opening.message("inspect_request", {"code": "os", "cursor_pos": 1}),
        opening.message("complete_request", {"code": "os", "cursor_pos": 1}),
        opening.message("debug_request", {"command": "evaluate"}, channel="control"),
        opening.message("shutdown_request", {"restart": False}, channel="control"),
    ]
    with opening.spoken(apps, kernel, protocol=protocol) as line:
        for told in forbidden:
            send(line, told, protocol)
    with opening.spoken(apps, kernel) as line:
        line.send(
            json.dumps(asked := opening.message("comm_info_request", {"target_name": "jupyter.widget"}))
        )
        assert opening.answer(line, asked)["content"]["comms"]  # after all that: it lives, and has its widget
    assert not mark.exists()
    assert opening.shut(apps, kernel) == 204


def send(line, told, protocol: str) -> None:
    if not protocol:
        line.send(json.dumps(told))
        return
    parts = [told["channel"].encode()]
    parts += [json.dumps(told[part]).encode() for part in ("header", "parent_header", "metadata", "content")]
    starts = [8 * (len(parts) + 2)]
    for part in parts:
        starts.append(starts[-1] + len(part))
    line.send_binary(struct.pack(f"<{len(starts) + 1}Q", len(starts), *starts) + b"".join(parts))


def test_the_authorizer_alone_would_refuse_it_too():
    door = PagesOnly()
    handler = object.__new__(JupyterHandler)
    for action, resource in (
        ("read", "contents"), ("write", "contents"), ("write", "kernels"), ("execute", "kernels"),
        ("execute", "terminals"), ("write", "sessions"), ("execute", "nbconvert"), ("read", "config"),
    ):  # fmt: skip
        assert not door.is_authorized(handler, None, action, resource), (action, resource)
    assert door.is_authorized(handler, None, "read", "kernels")
