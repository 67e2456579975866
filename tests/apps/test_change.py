"""The Change page on real runs: what it offers, what it shows, what it says at any threshold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pytest
import rasterio
from ipywidgets import Widget

from geolab import catalog, ingest, jobs, settings, town
from geolab.apps import parts, shell
from geolab.apps.change import Change, ask, compare, detection, files, layers, truth, words
from geolab.apps.change.result import Result
from geolab.change import metrics, threshold
from geolab.ingest import uploads
from geolab.maps import origin
from geolab.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
ASKED = {"before": "", "after": "", "run": "", "method": "cva", "model": "", "threshold": None}


class Heard(shell.Page):
    """A page that keeps what went wrong."""

    def __init__(self, home: Settings, **asked: Any):
        self.faults: list[BaseException] = []
        super().__init__("change", home, {**ASKED, **asked})

    def fault(self, error: BaseException) -> None:
        self.faults.append(error)

    @property
    def said(self) -> str:
        return str(self.frame.notice.get("text", ""))


@pytest.fixture
def opened() -> Iterator[Callable[..., tuple[Heard, Change]]]:
    """A function that opens the page; in the end nothing that was not foreseen has failed on it."""
    pages: list[Heard] = []

    def make(home: Settings, **asked: Any) -> tuple[Heard, Change]:
        pages.append(page := Heard(home, **asked))
        return page, Change(page)

    yield make
    assert [error for page in pages for error in page.faults] == []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A town of two dates and its truth, with hostile titles, and two detections of it."""
    workspace = settings.load(tmp_path_factory.mktemp("change") / "home", environ={})
    made = town.write(tmp_path_factory.mktemp("town"), seed=2, size_px=192, photos=0)
    outcomes = list(ingest.ingest([made.folder], collection="town", settings=workspace))
    assert {o.status for o in outcomes} == {"added"}
    opened = catalog.open_catalog(workspace)
    for item in opened.search(catalog.Search(collections=("town",))).items:
        item["properties"]["title"] = f"{HOSTILE} {item['properties']['title']}"
        opened.put([item])
    for method in ("cva", "irmad"):
        done = jobs.run("04_detect_change", {**pair(workspace), "method": method}, settings=workspace)
        assert done.state == "succeeded", done.error
    return workspace


def items(home: Settings, role: str) -> list[dict[str, Any]]:
    search = catalog.Search(filter=f"\"geolab:role\" = '{role}'", sortby=("+datetime",))
    return catalog.open_catalog(home).search(search).items


def pair(home: Settings) -> dict[str, str]:
    first, *_, last = items(home, "image")
    return {"before": first["id"], "after": last["id"]}


def days(home: Settings) -> tuple[str, str]:
    first, *_, last = items(home, "image")
    return origin.day(first), origin.day(last)


def run_of(home: Settings, method: str) -> jobs.View:
    found = jobs.runs("succeeded", notebook="04_detect_change", settings=home)
    return jobs.show(next(v.run_id for v in found if v.parameters["method"] == method), settings=home)


def inside(widget: Widget) -> Iterator[Widget]:
    """The widget and all that it shows."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


def one(widget: Widget, kind: type) -> Any:
    return next(each for each in inside(widget) if isinstance(each, kind))


def markup(widget: Widget) -> str:
    return "\n".join(each.value for each in inside(widget) if isinstance(each, widgets.HTML))


def button(widget: Widget, words: str) -> widgets.Button:
    found = [each for each in inside(widget) if isinstance(each, widgets.Button)]
    return next(each for each in found if each.description.startswith(words))


def read(uri: str) -> np.ndarray:
    with rasterio.open(uri) as dataset:
        return dataset.read(1)


# ---------------------------------------------------------------- the question


def test_an_empty_workspace_says_what_to_do(workspace, opened):
    _, page = opened(workspace)
    assert "There are no two images of one place yet" in markup(page)
    button(page, "Upload a pair").click()
    assert one(page, parts.Upload)


def test_a_suggested_pair_is_checked_and_titles_stay_text(home, opened):
    page, body = opened(home)
    question = one(body, ask.Ask)
    cards = question.pair.cards
    assert [row["title"] for row in cards.rows] == ["{} to {}".format(*days(home))]
    assert cards.rows[0]["thumb"].startswith("/geolab/preview/town/")
    cards.selected = ["0"]
    found = markup(question.pair.checks)
    assert "in order: {} and {}".format(*days(home)) in found
    assert "4 at both dates: red, green, blue, nir" in found
    assert "the same at both dates (EPSG:32632" in found
    assert "Shift" in found
    assert HOSTILE not in markup(body)
    assert {k: page.frame.address[k] for k in ("before", "after")} == pair(home)
    assert question.how.form.values == {
        **pair(home), "method": "cva", "model": "", "threshold": None,
        "tile_px": 512, "align": True, "normalise": False,
    }  # fmt: skip


def test_a_pair_the_wrong_way_round_is_told_and_swapped(home, opened):
    wrong = {"before": pair(home)["after"], "after": pair(home)["before"]}
    _, body = opened(home, **wrong)
    question = one(body, ask.Ask)
    assert "before is later than after" in markup(question.pair.checks)
    button(body, "Swap").click()
    assert "in order" in markup(question.pair.checks)
    assert question.how.form.values["before"] == pair(home)["before"]


def test_a_pair_that_can_not_be_run_has_no_run_button(home, opened):
    label = items(home, "label")[0]["id"]
    _, body = opened(home, before=pair(home)["before"], after=label)
    assert "found 4 and 1 bands, expected the same bands" in markup(body)
    assert "can&#x27;t be run" in markup(body)
    assert not [w for w in inside(body) if isinstance(w, widgets.Button) and w.description == "Run"]


def test_it_is_a_classic_method_or_a_model_and_never_both(home, opened):
    _, body = opened(home, **pair(home))
    how = one(body, ask.Ask).how
    how.classic.value = "irmad"
    assert (how.form.values["method"], how.form.values["model"]) == ("irmad", "")
    how.kind.value = "Trained model"
    assert "Choose a model to go on." in markup(how.place)
    assert how.form not in how.place.children
    how.model.value = "town@latest"
    assert how.form in how.place.children
    assert (how.method, how.model_name) == ("model", "town@latest")
    assert "town@latest" in how.form.problems["model"]  # there is none of that name, and it is said
    how.kind.value = "Classic method"
    assert (how.form.values["method"], how.form.values["model"]) == ("irmad", "")


def test_a_run_that_was_done_before_is_found_and_remembered(home, opened):
    page, body = opened(home, **pair(home))
    one(body, ask.Ask).how.form.submit()
    assert page.frame.address["run"] == run_of(home, "cva").run_id
    assert one(body, Result).mine.method == "cva"


# ---------------------------------------------------------------- the answer


@pytest.fixture
def shown(home, opened) -> tuple[Heard, Result]:
    page, body = opened(home, run=run_of(home, "cva").run_id)
    return page, one(body, Result)


def test_the_area_is_the_runs_own_and_moves_with_the_slider(home, shown):
    page, result = shown
    live, scene = result.live, result.scene
    own = run_of(home, "cva").report["results"]
    assert live.counted.changed(own["threshold"]) == pytest.approx(own["changed_m2"])
    assert words.amount(own["changed_m2"], located=True) in markup(live)
    before = {layer["key"]: layer["url"] for layer in scene.chart.layers}
    assert list(before) == ["before", "after", "change"]
    assert before["before"].split("?")[1] == before["after"].split("?")[1] != ""  # one stretch for both
    assert scene.chart.swipe == {"left": "before", "right": "after", "names": list(days(home))}
    live.slider.value = 0.7
    after = {layer["key"]: layer["url"] for layer in scene.chart.layers}
    assert after["change"] != before["change"]
    assert after["before"] == before["before"]
    level = read(own["probability"])
    area = np.count_nonzero((level / 254 >= 0.7) & (level != 255)) * 0.25  # pixels of 0.5 m
    assert words.amount(area, located=True) in markup(live)
    assert live.curve.marks == {"the run's": 0.5, " ": 0.7}
    assert page.frame.address["threshold"] == "0.7"
    button(live, "The run's own").click()
    assert live.threshold == 0.5
    assert {layer["key"]: layer["url"] for layer in scene.chart.layers} == before


def test_doubt_is_shaded_as_it_is_counted(home, shown):
    _, result = shown
    result.live.margin.value = 0.1
    urls = {layer["key"]: layer["url"] for layer in result.scene.chart.layers}
    shown_at = [float(urls[key].rpartition("threshold=")[2]) for key in ("near", "change")]
    level = read(run_of(home, "cva").report["results"]["probability"])
    known = level != 255
    for at, told in zip(shown_at, (0.4, 0.6), strict=True):
        assert ((level / 254 >= at) & known == (level / 254 >= told) & known).all()
    split = result.live.counted.doubt(0.5, 0.1)
    assert f"{words.amount(split.certain, located=True)} certain" in markup(result.live)
    assert f"{words.amount(split.doubtful, located=True)} doubtful" in markup(result.live)
    assert result.scene.chart.legends[-1]["high"] == "certain"


@pytest.mark.parametrize("at", [0.0, 1 / 254, 0.5, 127 / 254, 131 / 254, 0.995, 1.0])
def test_a_tile_is_drawn_at_the_levels_that_the_threshold_means(at: float):
    told = float(f"{layers.drawn(at):.4g}")  # as the address says it
    levels = np.arange(255) / 254
    assert ((levels >= told) == (levels >= at)).all()


def test_a_polygon_of_the_table_is_shown_on_the_map(home, shown):
    _, result = shown
    rows = result.shapes.table.rows
    assert len(rows) == min(200, run_of(home, "cva").report["results"]["polygon_count"])
    assert rows[0]["area"] == max(row["area"] for row in rows)
    result.shapes.show(rows[0]["id"])
    (south, west), (north, east) = result.scene.chart.aim["bounds"]
    box = result.mine.item["bbox"]
    assert box[0] - 0.01 < west < east < box[2] + 0.01
    assert box[1] - 0.01 < south < north < box[3] + 0.01
    assert len(result.scene.chart.shapes["chosen"]["data"]["features"]) == 1
    assert "polygons" not in result.scene.chart.shapes
    switch = next(
        w for w in inside(result) if isinstance(w, widgets.Checkbox) and w.description == "Polygons"
    )
    switch.value = True
    assert len(result.scene.chart.shapes["polygons"]["data"]["features"]) == len(rows)


def test_the_mask_at_the_sliders_threshold_is_made_by_a_job_and_equals_the_probability(home, shown):
    page, result = shown
    made: files.Files = result.files
    assert made.make.disabled  # the run's own mask is there already
    for name in ("mask", "probability", "polygons", "geojson"):
        assert result.mine.file(name) in markup(made)
    result.live.slider.value = 0.655
    assert made.make.description == "Make mask and polygons at 0.655"
    made.ask()
    (run_id,) = made.waiting
    jobs.wait(run_id, settings=home)
    page.clock.beat()
    assert made.waiting == set()
    done = jobs.show(run_id, settings=home).report["results"]
    address = origin.run_file_url(run_id, "change/mask-0.655.tif")
    assert f'href="{address}"' in markup(made)
    level, mask = read(result.mine.probability), read(done["mask"])
    assert (mask == np.where(level == 255, 255, level / 254 >= 0.655)).all()
    assert "At 0.655" in markup(result.shapes)
    assert len(result.shapes.table.rows) == min(200, done["polygon_count"])


def test_scores_against_the_truth_are_those_of_the_mask(home, shown):
    _, result = shown
    result.tabs.chosen = "Against a truth"
    part: truth.Truth = result.truth
    label = items(home, "label")[0]
    assert HOSTILE in part.choice.value  # the label of exactly these dates; a list shows its names as text
    known, level = read(catalog.locate(label["id"], home)), read(result.mine.probability)
    for at in (0.5, 0.65):
        result.live.slider.value = at
        mask = np.where(level == 255, 255, level / 254 >= at).astype("uint8")
        scores = metrics.confusion(mask, known, ignore=255)
        assert f"F1 {scores.f1:.3f}" in markup(part)
        assert f"{scores.precision:.3f} of what is marked" in markup(part)
    button(part, "Best here").click()
    assert result.live.threshold == pytest.approx(metrics.best_threshold(part.curve), abs=1e-9)
    assert HOSTILE not in markup(part)


def test_another_method_lies_beside_this_one(home, shown):
    _, result = shown
    result.tabs.chosen = "Compare"
    part: compare.Compare = result.compare
    part.choice.value = next(name for name in part.runs if "IR-MAD" in name)
    other = run_of(home, "irmad").report["results"]
    swipe = result.scene.chart.swipe
    assert (swipe["left"], swipe["right"], swipe["names"]) == ("change", "other", ["CVA", "IR-MAD"])
    a, b = (read(uri) for uri in (result.mine.probability, other["probability"]))
    both = np.count_nonzero((a / 254 >= 0.5) & (b / 254 >= 0.5) & (a != 255) & (b != 255)) * 0.25
    assert words.amount(both, located=True) in markup(part)
    part.choice.value = compare.NONE
    assert result.scene.chart.swipe["left"] == "before"


def test_what_the_numbers_mean_is_said_for_scores_and_for_models(shown):
    _, result = shown
    assert "a score, not a probability" in " ".join(words.about(result.mine))
    told = {**vars(result.mine), "parameters": {"method": "model", "model": "town@latest", "threshold": None}}
    trained = detection.Detection(**told)
    assert "has not been calibrated" in " ".join(words.about(trained))


def test_a_reload_finds_run_and_threshold(home, opened):
    _, body = opened(home, run=run_of(home, "irmad").run_id, threshold=0.3)
    result = one(body, Result)
    assert (result.mine.method, result.live.threshold) == ("irmad", 0.3)
    assert result.files.make.description.endswith("0.3")


def test_a_run_that_is_none_or_of_another_notebook_is_told(home, opened):
    _, body = opened(home, run="zzzzzzzz")
    assert "no run" in markup(body)
    other = jobs.enqueue("01_ingest", {"dry_run": True}, settings=home)
    _, body = opened(home, run=other.run_id)
    assert "expected one of 04_detect_change" in markup(body)
    jobs.cancel(other.run_id, settings=home)


def test_a_run_that_waits_is_watched_and_one_that_was_cancelled_says_so(home, opened):
    waits = jobs.enqueue("04_detect_change", {**pair(home), "method": "pca_kmeans"}, settings=home)
    page, body = opened(home, run=waits.run_id)
    page.clock.beat()
    assert "queued" in markup(body)
    button(body, "Cancel").click()
    page.clock.beat()
    assert "cancelled" in markup(body)
    assert jobs.show(waits.run_id, settings=home).state == "cancelled"


# ---------------------------------------------------------------- a pair that is sent


def sent(home: Settings, name: str, data: bytes) -> parts.Uploaded:
    receiving = uploads.create(home, name)
    receiving.write(data)
    done = receiving.commit()
    return parts.Uploaded(done.id, done.name, done.size, done.sha256)


def test_an_uploaded_pair_is_ingested_and_each_file_told(workspace, tmp_path, opened):
    made = town.write(tmp_path / "town", seed=3, size_px=128, photos=0)
    nothing = tmp_path / "nothing.tif"
    with rasterio.open(made.before) as source:
        profile = source.profile | {"nodata": 0}
        with rasterio.open(nothing, "w", **profile) as target:
            target.write(np.zeros((source.count, *source.shape), source.dtypes[0]))
    page, body = opened(workspace)
    question = one(body, ask.Ask)
    given = [sent(workspace, p.name, p.read_bytes()) for p in (made.after, made.before, nothing)]
    part = question.pair.sent
    part._arrived(given)
    (run_id,) = [v.run_id for v in jobs.runs(notebook="01_ingest", settings=workspace)]
    jobs.wait(run_id, settings=workspace)
    page.clock.beat()
    told = markup(part)
    assert "every pixel is nodata" in told
    assert told.count("added") == 2
    assert origin.day(question.pair.before) in made.before.name  # by date, not in the order of sending
    assert origin.day(question.pair.after) in made.after.name
    assert "in order" in markup(question.pair.checks)


# ---------------------------------------------------------------- small things


@pytest.mark.parametrize(
    "value, located, text",
    [(0, True, "0 m²"), (999.4, True, "999 m²"), (1234, True, "0.12 ha"), (123_400, True, "12.3 ha"),
     (9_994_000, True, "999 ha"), (12_345_678, True, "12.3 km²"), (12_345, False, "12,345 px")],
)  # fmt: skip
def test_amounts_are_said_in_the_unit_that_fits(value: float, located: bool, text: str):
    assert words.amount(value, located=located) == text


def test_only_files_of_the_runs_folder_have_an_address(tmp_path: Path):
    inside_, outside = tmp_path / "run" / "change" / "mask.tif", tmp_path / "other.tif"
    assert detection.file_url("r1", tmp_path / "run", str(inside_)).endswith("runs/r1/change/mask.tif")
    assert detection.file_url("r1", tmp_path / "run", str(outside)) == ""
    assert detection.file_url("r1", tmp_path / "run", None) == ""


def test_the_distribution_of_a_run_agrees_with_its_report(home):
    report = run_of(home, "irmad").report["results"]
    found = threshold.distribution(report["probability"])
    assert found.share(report["threshold"]) == pytest.approx(report["changed_share"])
    assert json.dumps(found.curve())  # plain numbers: they travel to the page
