"""The panel of services: what is there, what is away, and in which words; looking makes nothing."""

from __future__ import annotations

import http.server
import sqlite3
import threading
from dataclasses import replace

import pytest

from geolab import jobs, settings, track
from geolab.jobs.ledger import Control, open_ledger
from geolab.jobs.panel import Service, Services
from geolab.jobs.processes import owner
from geolab.modelserver import process


def _lines(found: settings.Settings) -> dict[str, Service]:
    return {line.what: line for line in jobs.services(found).lines}


def test_looking_at_a_new_workspace_makes_nothing(workspace):
    lines = _lines(workspace)
    assert list(lines) == ["workspace", "disk", "ledger", "workers", "catalogue", "MLflow", "GPU"]
    assert {line.state for line in lines.values()} <= {"ok", "missing"}
    assert [lines[w].detail for w in ("ledger", "catalogue", "MLflow")] == ["made on first use"] * 3
    assert not workspace.home.exists()


def test_runs_workers_and_experiments_are_counted(workspace, counting):
    assert jobs.run(counting, settings=workspace).state == "succeeded"
    jobs.enqueue(counting, {"n": 4}, settings=workspace)
    with track.start(workspace, "trial", "one"):
        pass
    ledger = open_ledger(workspace)
    now = ledger.now()
    ledger.set_control(Control("sweep", state="paused", driver=owner(host=workspace.host), beat=now))
    lines = _lines(workspace)
    assert lines["ledger"].detail == "1 queued, 1 succeeded"
    assert lines["workers"].detail == f"pipeline sweep is paused, driven on {owner().name}"
    assert lines["MLflow"].detail == "1 run in mlflow.db"
    taken = ledger.claim_next(owner=owner(host=workspace.host), lease_s=60)
    assert taken is not None
    assert f"1 at work on {owner().name}" in _lines(workspace)["workers"].detail
    ledger.set_control(Control("sweep", state="active", driver=owner(host=workspace.host), beat=now - 1000))
    assert "sweep" not in _lines(workspace)["workers"].detail


def test_what_is_away_or_damaged_is_told_and_the_rest_goes_on(workspace):
    workspace.home.mkdir()
    for path in (workspace.ledger_path, workspace.catalog_path, workspace.home / "mlflow.db"):
        path.write_bytes(b"this is no database, and long enough to be taken for one" * 20)
    lines = _lines(workspace)
    assert {w for w, line in lines.items() if line.state == "broken"} == {
        "ledger",
        "workers",
        "catalogue",
        "MLflow",
    }
    assert lines["workspace"].state == "ok"
    assert all("\n" not in line.detail for line in lines.values())


def test_a_database_that_is_none_of_mlflows_is_told(workspace):
    workspace.home.mkdir()
    with sqlite3.connect(workspace.home / "mlflow.db") as db:
        db.execute("CREATE TABLE a (b)")
    db.close()
    assert "no such table: runs" in _lines(workspace)["MLflow"].detail


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/base/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_of_mlflow_is_asked_and_its_password_not_shown(workspace):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        good = _lines(replace(workspace, tracking_uri=f"{uri}/base/"))["MLflow"]
        assert (good.state, good.detail) == ("ok", f"{uri}/base/ answers")
        assert _lines(replace(workspace, tracking_uri=f"{uri}/other"))["MLflow"].state == "broken"
        server.shutdown()
    away = _lines(replace(workspace, tracking_uri=f"http://me:secret@127.0.0.1:{server.server_port}"))[
        "MLflow"
    ]
    assert away.state == "broken"
    assert "no answer from http://127.0.0.1" in away.detail
    assert "secret" not in away.detail


def test_a_ledger_that_is_away_is_told_without_its_password(workspace):
    away = replace(workspace, ledger_url="postgresql://me:secret@127.0.0.1:1/geolab")
    line = _lines(away)["ledger"]
    assert line.state == "broken"
    assert "secret" not in line.detail


def test_the_panel_is_text_and_a_table_that_runs_nothing():
    shown = Services((Service("ledger", "broken", "<script>x</script>", "a & b"), Service("GPU", "ok", "1")))
    assert repr(shown).splitlines() == ["ledger  broken   <script>x</script>: a & b", "GPU     ok       1"]
    page = shown._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;x&lt;/script&gt;: a &amp; b" in page


@pytest.mark.parametrize("name", ["services", "Services"])
def test_the_panel_is_part_of_jobs(name):
    assert name in dir(jobs)
    assert callable(getattr(jobs, name))


def test_the_model_server_of_pages_is_told_where_there_is_one(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOLAB_MODELSERVER", str(tmp_path / process.socket_name()))
    missing = _lines(workspace)["model server"]
    assert missing.state == "broken"
    assert "does not answer" in missing.detail
    with process.stay(tmp_path, grace_s=0.3):
        there = _lines(workspace)["model server"]
    assert (there.state, there.detail) == (
        "ok",
        "0 waiting, 0 models and 0 pairs held, draws with cpu",
    )
