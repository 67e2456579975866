"""Whole runs, warm and cold: the same outputs of cells and the same products, byte for byte."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geolab import jobs, settings
from geolab.jobs import warm, worker

pytestmark = pytest.mark.slow

RUNS: list[tuple[str, dict[str, Any]]] = [
    ("01_ingest", {"town_px": 128}),
    ("02_explore", {}),
    ("04_detect_change", {"tile_px": 64}),
    ("04_detect_change", {"method": "pca_kmeans", "tile_px": 96}),
]

_TIMES = re.compile(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_IDS = re.compile(rb"[0-9a-f]{32}")  # of widgets, drawn at random
_SECONDS = re.compile(rb'"(time|seconds|duration)": [0-9.e+-]+')
_PLACES = ("notebook.ipynb", "report.json", "events.jsonl", "log.txt")  # compared without times and pids


def _run_all(home: Path, template: warm.Template | None) -> list[Path]:
    """The published folders of the runs, one after another in this process."""
    mine = replace(settings.load(home), warm=int(template is not None))
    folders = []
    for notebook, parameters in RUNS:
        queued = jobs.enqueue(notebook, parameters, settings=mine)
        state = worker.perform(queued.run_id, settings=mine, template=template)
        assert state == "succeeded", jobs.show(queued.run_id, settings=mine).error
        folders.append(Path(jobs.show(queued.run_id, settings=mine).folder))
    return folders


def _shown(folder: Path) -> list[Any]:
    """The outputs of the executed notebook's cells, without the widgets' ids and the workspace's name."""
    text = _plain((folder / "notebook.ipynb").read_bytes(), folder)
    return [cell.get("outputs") for cell in json.loads(text)["cells"]]


def _plain(data: bytes, folder: Path) -> bytes:
    home = str(folder.parents[2]).encode()
    data = data.replace(rb"\/", b"/").replace(home, b"HOME")  # pandas writes slashes so in JSON
    return _IDS.sub(b"ID", _SECONDS.sub(rb'"\1": 0', _TIMES.sub(b"TIME", data)))


def _products(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in _PLACES]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_real_notebooks_give_the_same_warm_and_cold(tmp_path: Path) -> None:
    cold = _run_all(tmp_path / "cold", None)
    with warm.start(settings.load(tmp_path / "warm")) as template:
        forked = _run_all(tmp_path / "warm", template)
    for one, other in zip(cold, forked, strict=True):
        assert '"start": "cold: ' in (one / "events.jsonl").read_text()
        assert '"start": "warm"' in (other / "events.jsonl").read_text()
        assert _shown(other) == _shown(one)
        assert _products(other).keys() == _products(one).keys()
        for name, data in _products(one).items():
            assert _plain(_products(other)[name], other) == _plain(data, one), name
        results = [json.loads(_plain((f / "report.json").read_bytes(), f))["results"] for f in (one, other)]
        assert results[0] == results[1]
