"""Inputs from the catalogue, rasters back into it, notebooks attached to experiments."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import geolab
from geolab import catalog, ingest, jobs, store
from geolab.errors import FileRejected, NotFound
from geolab.jobs import outputs
from geolab.jobs.references import Input, inputs, resolve
from geolab.jobs.values import Parameter


def _write_image(path: Path, *, date: str, value: int) -> Path:
    grid = {"width": 40, "height": 30, "crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 0.5, 0.5)}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint8", **grid) as target:
        target.write(np.full((1, 30, 40), value, dtype="uint8"))
        target.update_tags(TIFFTAG_DATETIME=f"{date} 10:00:00")
    return path


@pytest.fixture
def two_dates(workspace, tmp_path) -> list[str]:
    """Ids of two catalogued images, of 2021 and 2024."""
    folder = tmp_path / "images"
    folder.mkdir()
    _write_image(folder / "before.tif", date="2021:06:12", value=10)
    _write_image(folder / "after.tif", date="2024:08:15", value=20)
    found = {
        Path(o.href).stem: o.id for o in ingest.ingest([folder], collection="images", settings=workspace)
    }
    return [found["before"], found["after"]]


def test_rasters_of_a_run_become_items_derived_from_its_inputs(workspace, two_dates, make_notebook):
    path = make_notebook(
        'before: str = ""  # image {item}\nafter: str = ""  # image {item}',
        "import shutil\nfrom geolab import catalog, jobs, store\nrun = jobs.context()",
        "source = catalog.locate(before, run.settings)",
        "mask = run.path('mask.tif')\nshutil.copy(store.local_path(source), mask)",
        "jobs.report(mask=mask, again=[mask], changed_m2=3.5)",
        name="detects",
    )
    outcome = jobs.run(path, {"before": "before", "after": two_dates[1]}, settings=workspace)
    assert outcome.error == ""
    page = catalog.open_catalog(workspace).search(catalog.Search(collections=["results"]))
    items = {item["id"]: item for item in page.items}
    assert set(items) == {f"{outcome.key[:16]}-mask", f"{outcome.key[:16]}-again-0"}
    mask = items[f"{outcome.key[:16]}-mask"]
    assert mask["assets"]["data"]["href"] == (outcome.folder / "mask.tif").as_uri() == outcome.results["mask"]
    assert mask["properties"]["start_datetime"].startswith("2021-06-12")
    assert mask["properties"]["end_datetime"].startswith("2024-08-15")
    assert mask["properties"]["geolab:run"] == outcome.run_id
    assert [link["title"] for link in mask["links"] if link["rel"] == "derived_from"] == two_dates
    report = json.loads((outcome.folder / "report.json").read_text())
    assert [one["item_id"] for one in report["inputs"]] == two_dates
    assert report["geolab"] == geolab.__version__
    # a result is an item like any other: it can be the input of the next run
    assert jobs.run(path, {"before": mask["id"], "after": "after"}, settings=workspace).state == "succeeded"


def test_a_raster_that_lies_nowhere_is_a_result_but_no_item(workspace, make_notebook):
    path = make_notebook(
        "",
        "import numpy as np, rasterio, warnings\nfrom geolab import jobs\nrun = jobs.context()",
        "warnings.simplefilter('ignore')\nshape = {'count': 1, 'width': 3, 'height': 2, 'dtype': 'uint8'}",
        "with rasterio.open(run.path('a.tif'), 'w', driver='GTiff', **shape) as t:\n"
        "    t.write(np.ones((1, 2, 3), 'uint8'))",
        "jobs.report(mask=run.path('a.tif'))",
    )
    outcome = jobs.run(path, settings=workspace)
    assert outcome.state == "succeeded"
    assert outcome.results["mask"].endswith("a.tif")
    assert "does not go into the catalogue" in (outcome.folder / "log.txt").read_text()


def test_a_reported_raster_that_is_not_there_fails_the_run(workspace, make_notebook):
    path = make_notebook(
        "", "from geolab import jobs\nrun = jobs.context()", "jobs.report(mask=run.path('a.tif'))"
    )
    outcome = jobs.run(path, settings=workspace)
    assert outcome.state == "failed"
    assert "reported as the result 'mask' but not there" in outcome.error


def test_a_splat_model_of_a_run_becomes_an_item_by_its_content(workspace, make_notebook):
    path = make_notebook(
        "",
        "import torch\nfrom geolab import jobs\nfrom geolab.splats import frame, gaussians, io\n"
        "run = jobs.context()",
        "spread = torch.linspace(-9, 9, 50)\n"
        "means = torch.stack([spread, spread.sin() * 5, spread.cos()], 1)\n"
        "model = gaussians.Gaussians(means, torch.ones(50, 4), means * 0 - 2, spread, torch.zeros(50, 1, 3))",
        "place = frame.Frame(8.9, 49.1, 200.0, 'EGM96', '2024-05-01')\n"
        "facts = {'taken': ['2024-05-01T10:00:00Z', '2024-05-01T10:09:00Z'], 'items': ['photo-1']}\n"
        "made = io.write(run.path('model.ply'), model, place, meta=facts)\n"
        "nowhere = io.write(run.path('nowhere.ply'), model)",
        "jobs.report(splats=made, nowhere=nowhere)",
    )
    outcome = jobs.run(path, settings=workspace)
    assert outcome.error == ""
    (item,) = catalog.open_catalog(workspace).search(catalog.Search(collections=["results"])).items
    catalog.items.validate(item)
    digest = store.sha256(outcome.results["splats"])
    assert item["id"] == f"splats-{digest[:16]}"
    assert item["assets"]["data"]["href"] == outcome.results["splats"]
    assert item["assets"]["georeference"]["href"] == outcome.results["splats"] + ".geo.json"
    assert item["properties"]["start_datetime"] == "2024-05-01T10:00:00Z"
    assert item["properties"]["geolab:run"] == outcome.run_id
    assert item["properties"]["geolab:frame"]["vertical_datum"] == "EGM96"
    assert [link["title"] for link in item["links"] if link["rel"] == "derived_from"] == ["photo-1"]
    assert "does not say where on Earth it lies" in (outcome.folder / "log.txt").read_text()


def test_what_is_made_from_a_models_file_is_derived_from_its_item():
    by_file = Input("splats", "/runs/model.ply", "source", "0123456789abcdef" * 4)
    by_item = Input("photo", "p", "item", "0", "photo-1")
    assert outputs._sources([by_file, by_item, by_item]) == ["splats-0123456789abcdef", "photo-1"]


def test_a_product_shows_the_time_of_all_its_inputs():
    def one(start: str, end: str) -> Input:
        return Input("p", "r", "item", "0", "id", "c", start, end)

    early, late = "2021-06-12T10:00:00Z", "2024-08-15T10:00:00+02:00"
    assert outputs._dates([one(late, late), one(early, early)]) == {
        "start_datetime": early,
        "end_datetime": late,
    }
    assert outputs._dates([one(late, late)]) == {"datetime": late}
    assert outputs._dates([]) == {}  # the product's header tells, else the time of the run


def test_paths_below_the_private_folder_are_moved_and_others_are_not():
    private, final = Path("/w/runs/.private/1"), Path("/w/runs/tiny/ab")
    value = {
        "a": ["/w/runs/.private/1/x.tif", "file:///w/runs/.private/1"],
        "b": "/w/runs/.private/12/x",
        "c": 3,
    }
    assert outputs.moved(value, private, final) == {
        "a": ["/w/runs/tiny/ab/x.tif", "file:///w/runs/tiny/ab"],
        "b": "/w/runs/.private/12/x",
        "c": 3,
    }


def test_the_commit_is_the_checkouts():
    checkout = Path(geolab.__file__).parents[1]
    if not (checkout / ".git").exists():
        pytest.skip("geolab is installed from a wheel here: no commit to compare")
    head = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert (outputs.git_commit() or "").removesuffix("-dirty") == head.stdout.strip()


# ---------------------------------------------------------------- references


def _reference(kind: str, default: str = "x") -> tuple[Parameter]:
    return (Parameter("p", "str", default, references=tuple(kind.split("|"))),)


def test_items_are_found_by_id_title_or_file_and_hashed_by_content(workspace, two_dates, tmp_path):
    by_id, by_title = (
        inputs(_reference("item"), {"p": ref}, workspace)[0] for ref in (two_dates[0], "before")
    )
    assert by_id.sha256 == by_title.sha256
    pixels = catalog.locate("before", workspace)
    assert by_id.sha256 == store.sha256(pixels)
    assert inputs(_reference("item"), {"p": pixels}, workspace)[0].sha256 == by_id.sha256
    relative = os.path.relpath(tmp_path / "images" / "before.tif")
    assert resolve(_reference("item"), {"p": relative}, workspace) == {"p": str(Path(relative).absolute())}
    with pytest.raises(NotFound, match="did you mean 'before'"):
        resolve(_reference("item"), {"p": "befor"}, workspace)


def test_the_hash_of_a_collection_changes_with_its_items(workspace, two_dates, tmp_path):
    def hashed() -> str:
        return inputs(_reference("collection"), {"p": "images"}, workspace)[0].sha256

    first = hashed()
    assert hashed() == first
    third = _write_image(tmp_path / "third.tif", date="2025:01:01", value=30)
    list(ingest.ingest([third], collection="images", settings=workspace))
    assert hashed() != first
    folder = resolve(_reference("collection"), {"p": str(tmp_path / "images")}, workspace)
    assert folder == {"p": str(tmp_path / "images")}
    with pytest.raises(NotFound, match="no collection or folder 'image'; did you mean 'images'"):
        resolve(_reference("collection"), {"p": "image"}, workspace)


def test_the_hash_of_a_folder_is_of_its_names_and_bytes(workspace, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()

    def hashed() -> str:
        return inputs(_reference("source"), {"p": str(folder)}, workspace)[0].sha256

    (folder / "a").write_text("1")
    first = hashed()
    (folder / "a").rename(folder / "b")
    renamed = hashed()
    (folder / "b").write_text("2")
    changed = hashed()
    moved = folder.rename(tmp_path / "elsewhere")
    assert len({first, renamed, changed}) == 3
    assert inputs(_reference("source"), {"p": str(moved)}, workspace)[0].sha256 == changed
    assert inputs(_reference("source"), {"p": str(moved / "*")}, workspace)
    for missing in (str(tmp_path / "no"), str(tmp_path / "*.nosuch")):
        with pytest.raises(NotFound):
            resolve(_reference("source"), {"p": missing}, workspace)


def test_lists_are_resolved_one_by_one(workspace, two_dates):
    parameter = Parameter("p", "list", [], references=("item",))
    assert len(inputs((parameter,), {"p": ["before", "after"]}, workspace)) == 2
    with pytest.raises(NotFound):
        resolve((parameter,), {"p": ["before", "nosuchitem"]}, workspace)


@pytest.mark.slow
def test_the_executed_notebook_is_attached_to_its_experiment(workspace, make_notebook):
    from geolab import track

    path = make_notebook(
        "",
        "from geolab import jobs, track\nrun = jobs.context()",
        "with track.start(run.settings, 'tests', 'tiny', parameters={}, tags={}) as tracked:\n"
        "    run.track(tracked.run_id)",
        "jobs.report(mlflow_run=tracked.run_id)",
    )
    outcome = jobs.run(path, settings=workspace)
    assert outcome.error == ""
    assert "did not work" not in (outcome.folder / "log.txt").read_text()
    with pytest.raises(NotFound):
        resolve(_reference("model"), {"p": "nosuch@latest"}, workspace)
    assert resolve(_reference("model"), {"p": ""}, workspace) == {"p": ""}
    assert track.attach(workspace, outcome.results["mlflow_run"]).run_id == outcome.results["mlflow_run"]
    names = {p.name for p in workspace.home.rglob("notebook.ipynb") if "runs" not in p.parts}
    assert names == {"notebook.ipynb"}


def test_a_missing_raster_is_refused_by_name(tmp_path):
    with pytest.raises(FileRejected, match="result 'mask'"):
        list(outputs._files({"mask": (tmp_path / "x.tif").as_uri()}, tmp_path))


@pytest.mark.slow
def test_an_experiment_that_a_killed_notebook_left_running_is_ended(workspace, tmp_path):
    from geolab import track
    from geolab.jobs import events

    left = track.start(workspace, "change", "killed")
    ended = track.start(workspace, "change", "ended")
    ended.end("FAILED")
    for one in (left, ended):
        events.append(tmp_path, "tracked", run_id=one.run_id)
    outputs.announce(workspace, tmp_path)
    status = [track.client.client(workspace).get_run(one.run_id).info.status for one in (left, ended)]
    assert status == ["KILLED", "FAILED"]
