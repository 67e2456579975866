"""MLflow's and Dask's own pages behind the login: read by analysts, started at need, never left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import psutil
import pytest

from geolab import settings, track
from geolab.service import companions


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of something that answers as a scheduler's dashboard would."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"dashboard {self.path}".encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def companion(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if companions.__name__ in p.cmdline()]


def test_mlflow_is_read_behind_the_login_and_ends_with_a_killed_server(
    opening, serving_of, scheduler, tmp_path, monkeypatch
):
    monkeypatch.setenv("DASK_DASHBOARD_ADDRESS", scheduler)
    workspace = settings.load(tmp_path / "home", environ={})
    with track.start(workspace, "change", "first", parameters={"epochs": 1}) as run:
        run.metrics({"iou": 0.5}, 1)
    with serving_of(workspace.home, ()) as server:
        assert companion(server.pid) == []  # until somebody asks
        assert server.get("mlflow/", token=False, follow_redirects=False).status_code in (302, 403)
        assert companion(server.pid) == []
        assert "<title>MLflow</title>" in server.get("mlflow/").text
        assert server.get("mlflow", follow_redirects=False).headers["location"].endswith("/mlflow/")
        (process,) = companion(server.pid)
        assert process.net_connections() == []  # a socket in a private folder, no port
        assert process.environ()["MLFLOW_DISABLE_TELEMETRY"] == "true"
        found = server.get("mlflow/ajax-api/2.0/mlflow/experiments/search?max_results=9").json()[
            "experiments"
        ]
        assert "change" in [one["name"] for one in found]
        experiment = next(one["experiment_id"] for one in found if one["name"] == "change")
        searched = post(server, "mlflow/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": [experiment]})
        assert searched.json()["runs"][0]["data"]["metrics"][0]["value"] == 0.5
        for path in ("experiments/delete", "runs/delete", "registered-models/create", "runs/log-metric"):
            body = {"experiment_id": experiment, "run_id": run.run_id, "name": "x"}
            assert post(server, f"mlflow/ajax-api/2.0/mlflow/{path}", body).status_code == 403, path
        for path in ("ajax-api/3.0/mlflow/assistant/status", "ajax-api/3.0/jobs/search", "gateway/x", "mcp"):
            assert server.get(f"mlflow/{path}").status_code == 403, path
        assert asked_by_another_site(server, {"experiment_ids": [experiment]}) == 403
        assert server.get("dask/status?x=1").text == "dashboard /status?x=1"
        assert post(server, "dask/api/v1/retire_workers", {}).status_code in (405, 500, 501)
        psutil.Process(server.pid).kill()
        assert psutil.wait_procs([process], timeout=20)[1] == []


def post(server, path: str, body: dict) -> httpx.Response:
    given = {"Authorization": f"token {server.token}"}
    return httpx.post(server.url + path, json=body, headers=given, timeout=60, trust_env=False)


def asked_by_another_site(server, body: dict) -> int:
    """The status of what a page elsewhere would get, asking with this browser's cookie."""
    with httpx.Client(trust_env=False, timeout=60, follow_redirects=True) as browser:
        assert browser.get(f"{server.url}geolab/status?token={server.token}").status_code == 200
        address = f"{server.url}mlflow/ajax-api/2.0/mlflow/runs/search"
        assert browser.post(address, json=body).status_code == 200
        return browser.post(address, json=body, headers={"Origin": "https://elsewhere.example"}).status_code


def test_a_dashboard_is_where_its_scheduler_is_configured():
    assert companions.dashboard({}) is None
    assert companions.dashboard({"DASK_SCHEDULER_ADDRESS": "tcp://node7:8786"}) == ("node7", 8787)
    given = {"DASK_SCHEDULER_ADDRESS": "tcp://node7:8786", "DASK_DASHBOARD_ADDRESS": "http://node8:9000"}
    assert companions.dashboard(given) == ("node8", 9000)


def test_mlflow_ends_when_nobody_asked_for_long(tmp_path, monkeypatch):
    ended = []
    mlflow = companions.Mlflow(settings.load(tmp_path, environ={}))
    monkeypatch.setattr(mlflow, "end", lambda: ended.append(True))
    mlflow.end_if_idle()
    assert not ended
    mlflow._used -= companions.IDLE_S + 1
    mlflow.end_if_idle()
    assert ended
    assert (mlflow.folder.stat().st_mode & 0o777) == 0o700
    mlflow.close()
    assert not mlflow.folder.exists()
