"""Forms: values in, values out, problems in the command line's words, runs asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geolab import catalog, jobs
from geolab.apps import asking, faults
from geolab.apps.form import Form
from geolab.apps.shell import Page
from geolab.catalog import items
from geolab.cli import main
from geolab.errors import BadInput, NotFound

HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e\n"
Make = Callable[..., Form]


@pytest.fixture
def page(workspace, monkeypatch) -> Page:
    made = Page("training", workspace, {})
    monkeypatch.setattr(faults, "handler", None)  # what a callback raises reaches the test
    return made


@pytest.fixture
def counting(make_notebook) -> Path:
    return make_notebook(
        'n: int = 3  # bytes to write {1..99}\nword: str = "a"  # what to print\nseed: int = 0  # chance',
        "from geolab import jobs",
        "jobs.report(n=n, word=word)",
        name="counting",
    )


def _say(form: Form, **said: Any) -> None:
    """What a browser does when someone fills in fields."""
    for name, held in said.items():
        sheet = form.filling.sheet_of(name)
        assert sheet is not None
        sheet.set_state({"said": {**sheet.said, name: held}})


def _problems(form: Form) -> dict[str, str]:
    """Those that are shown."""
    return {name: line for sheet in form.filling.sheets for name, line in sheet.problems.items()}


def test_every_notebook_gives_a_form_whose_values_are_its_defaults(page, workspace):
    for name, path in jobs.notebooks().items():
        form, contract = Form(page, name), jobs.contract(path)
        given = form.filling.given()
        assert list(given) == [f.name for s in form.filling.sheets for f in s.shown.values()]
        assert jobs.parse(contract, given) == jobs.parse(contract, {})
        assert _problems(form) == {}  # nobody has touched it yet
        parsed = {p.name for p in contract.parameters}
        assert set(form.problems) <= parsed


def test_values_put_in_come_out(page, counting):
    form = Form(page, counting, values={"n": "7"})
    assert form.values == {"n": 7, "word": "a", "seed": 0}
    form.put(word=HOSTILE, seed=5)
    assert form.values == {"n": 7, "word": HOSTILE, "seed": 5}
    assert form.command.startswith(f"geolab run {counting} -p n=7 -p $'word=<img")
    with pytest.raises(NotFound, match="no parameter of counting 'm'"):
        form.put(m=1)
    with pytest.raises(BadInput, match="n: found 'x', expected a whole number"):
        form.put(word="kept out", n="x")
    assert form.values["word"] == HOSTILE  # all or nothing


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.fixed_dictionaries(
        {}, optional={"n": st.integers(1, 99), "word": st.text(), "seed": st.integers(-9, 9)}
    )
)
def test_values_go_through_a_form_unchanged(page, counting, values):
    contract = jobs.contract(counting)
    assert Form(page, counting, values=values).values == jobs.parse(contract, values)


def test_a_problem_is_shown_in_the_command_lines_words_and_only_where_someone_was(page, counting, capsys):
    form = Form(page, counting)
    _say(form, n="1000")
    assert _problems(form) == {"n": "n: found 1000, expected a value in 1..99"}
    assert main(["run", str(counting), "-p", "n=1000"]) == 2
    assert capsys.readouterr().err.strip() == f"error: {_problems(form)['n']}"
    with pytest.raises(BadInput, match=r"n: found 1000"):
        _ = form.values
    with pytest.raises(BadInput, match=r"n: found 1000"):
        _ = form.command
    _say(form, n="99")
    assert _problems(form) == {}
    assert form.values["n"] == 99


def test_a_browser_that_sends_nonsense_changes_nothing(page, counting):
    form = Form(page, counting)
    before = form.values
    for nonsense in ({"n": 4}, {"n": None}, {"word": ["a"]}, {"zzz": "1"}, {"n": True}, {"word": {"a": 1}}):
        form.filling.sheets[0].set_state({"said": {**form.filling.sheets[0].said, **nonsense}})
        form.filling.sheets[0].set_state({"said": nonsense})
    for message in (
        {"kind": "find", "name": "word", "text": "x", "page": 0, "number": 1},
        {"kind": "ask"},
        [],
        3,
    ):
        form.filling.sheets[0]._hear(None, message, []) if not _is_find(message) else None
    assert form.values == before


def _is_find(message: Any) -> bool:
    return isinstance(message, dict) and message.get("kind") == "find"


def test_technical_parameters_are_folded_and_hidden_ones_kept(page, counting):
    form = Form(page, counting)
    assert [(s.folded, list(s.shown)) for s in form.filling.sheets] == [
        ("", ["n", "word"]), ("More options", ["seed"])
    ]  # fmt: skip
    form = Form(page, counting, hidden=("word",), advanced=("n",), values={"word": "kept"})
    assert [list(s.shown) for s in form.filling.sheets] == [["seed"], ["n"]]
    assert form.values == {"n": 3, "word": "kept", "seed": 0}
    with pytest.raises(NotFound):
        Form(page, counting, hidden=("zzz",))


def test_a_notebook_without_parameters_has_a_form_too(page, make_notebook):
    form = Form(page, make_notebook("", "from geolab import jobs\njobs.report(a=1)"))
    assert form.values == {}
    assert form.command.startswith("geolab run ")


def test_forms_load_neither_torch_nor_mlflow_nor_matplotlib():
    program = (
        "import sys, geolab.apps.aoi, geolab.apps.form, geolab.apps.pickers, geolab.apps.training\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "mlflow", "matplotlib", "papermill"}


# ---------------------------------------------------------------- runs


def test_run_asks_for_the_run_once_and_finds_it_again(page, counting, workspace, monkeypatch):
    submitted: list[str] = []
    form = Form(page, counting, on_submitted=submitted.append)
    monkeypatch.setattr(jobs, "submit", jobs.enqueue)  # asked for, not started
    form.put(n=5)
    form._run.click()
    view = jobs.show(submitted[0], settings=workspace)
    assert (view.parameters, view.state) == ({"n": 5, "word": "a", "seed": 0}, "queued")
    assert view.key == jobs.key_of(counting, {"n": 5}, settings=workspace)[0]
    form._run.click()
    assert submitted == [view.run_id] * 2
    assert "is in progress" in _words(form)
    assert form.submit() == view.run_id


def test_a_finished_run_is_found_and_may_be_repeated(page, counting, workspace, monkeypatch):
    done = jobs.run(counting, {"n": 4}, settings=workspace)
    submitted: list[str] = []
    form = Form(page, counting, values={"n": 4}, on_submitted=submitted.append)
    form._run.click()
    assert submitted == [done.run_id]
    assert "was finished on 20" in _words(form)
    monkeypatch.setattr(asking.jobs, "submit", jobs.enqueue)
    again = next(b for b in _all(form._note) if getattr(b, "description", "") == "Run it again")
    again.click()
    assert submitted[1] != done.run_id
    assert jobs.show(submitted[1], settings=workspace).parameters["n"] == 4


def test_run_with_problems_asks_for_nothing_and_leads_to_the_first(page, counting, workspace):
    submitted: list[str] = []
    form = Form(page, counting, on_submitted=submitted.append)
    _say(form, n="0", seed="x")
    form._run.click()
    assert (submitted, jobs.runs(settings=workspace)) == ([], [])
    assert form.filling.sheets[0].looked == {"name": "n", "number": 1}
    assert "2 fields to mend before this can run." in _words(form)
    assert not form._run.disabled
    assert not form.filling.sheets[0].busy
    assert form._copy.layout.display == "none"


def test_a_notebook_that_vanishes_is_told_and_the_form_stays_usable(page, counting):
    form = Form(page, counting)
    counting.unlink()
    form._run.click()
    assert page.frame.notice["kind"] == "fail"
    assert "no notebook" in page.frame.notice["text"]
    assert not form._run.disabled


def test_the_same_run_as_command_and_notebook(page, counting, workspace, monkeypatch):
    form = Form(page, counting, values={"n": 8})
    assert form._copy.text == form.command == f"geolab run {counting} -p n=8"
    form._open.click()
    copy = workspace.home / "notebooks" / "counting-copy.ipynb"
    assert jobs.contract(copy).parameters[0].default == 8
    assert str(copy) in _words(form)
    assert "/lab/tree/" not in _words(form)
    monkeypatch.setenv("GEOLAB_LAB_ROOT", str(workspace.home))
    monkeypatch.setenv("GEOLAB_BASE_URL", "/user/ann/")
    form._open.click()
    assert 'href="/user/ann/lab/tree/notebooks/counting-copy.ipynb"' in _words(form)


def _all(widget: Any) -> list[Any]:
    return [widget, *(one for child in getattr(widget, "children", ()) for one in _all(child))]


def _words(form: Form) -> str:
    return " ".join(str(getattr(one, "value", "")) for one in _all(form._note))


def test_halves_of_characters_do_not_break_the_page(page, make_notebook):
    form = Form(page, make_notebook('word: str = "a\\ud800"  # half \\udfff a character'))
    sheet = form.filling.sheets[0]
    state = sheet.get_state()
    assert (state["said"], form.values) == ({"word": "a?"}, {"word": "a\ud800"})
    json.dumps({name: state[name] for name in ("said", "fields", "cards")}, ensure_ascii=False).encode()
    form.put(word="b\ud800")
    assert form._copy.layout.display == "none"  # no command line holds it
    assert form.values == {"word": "b\ud800"}


# ---------------------------------------------------------------- things that values name


@pytest.fixture
def hostile_item(workspace) -> dict[str, Any]:
    made = items.item(
        "bad",
        collection="c",
        geometry={"type": "Point", "coordinates": [11.5, 48.1]},
        datetime="2024-08-15T00:00:00Z",
        properties={"title": HOSTILE, "geolab:role": "image"},
        assets={"data": {"href": "file:///nowhere.tif", "roles": ["data"]}},
    )
    with catalog.open_catalog(workspace) as opened:
        opened.put([made])
    return made


def test_what_a_name_stands_for_is_shown_as_text(page, hostile_item, make_notebook):
    form = Form(page, make_notebook('image: str = ""  # which {item}'))
    assert form.filling.sheets[0].cards == {}
    _say(form, image="bad")
    card = form.filling.sheets[0].cards["image"]
    assert (card["value"], card["title"]) == ("bad", HOSTILE)
    assert card["thumb"] == "/geolab/preview/c/bad"
    _say(form, image="nosuch")
    assert form.filling.sheets[0].cards["image"]["missing"]
    assert _problems(form)["image"].startswith("no item 'nosuch'")


def test_a_search_is_answered_to_the_page(page, hostile_item, make_notebook, monkeypatch):
    form = Form(page, make_notebook('image: str = ""  # which {item}'))
    sent: list[Any] = []
    monkeypatch.setattr(form.filling.sheets[0], "send", sent.append)
    for text in ("img", "zzz"):
        message = {"kind": "find", "name": "image", "text": text, "page": 0, "number": 3}
        form.filling.sheets[0]._hear(None, message, [])
    assert [row["value"] for row in sent[0]["rows"]] == ["bad"]
    assert (sent[0]["number"], sent[0]["more"], sent[1]["rows"]) == (3, False, [])
    json.dumps(sent)


def test_an_uploaded_file_fills_its_field(page, make_notebook, tmp_path, monkeypatch):
    from geolab.apps.parts import Uploaded
    from geolab.ingest import uploads

    file = tmp_path / "points.txt"
    file.write_text("x")
    monkeypatch.setattr(uploads, "path", lambda settings, upload_id: file)
    form = Form(page, make_notebook('gcp: str = ""  # points {source}'))
    ask = {"kind": "ask", "name": "gcp", "what": "upload"}
    form.filling.sheets[0]._hear(None, ask, [])
    upload = next(one for one in _all(form) if type(one).__name__ == "Upload")
    upload.on_done([Uploaded("0" * 32, "points.txt", 1, "")])
    assert form.values == {"gcp": str(file)}
    assert not [one for one in _all(form) if type(one).__name__ == "Upload"]


def test_several_items_are_chosen_beside_their_field(page, hostile_item, make_notebook):
    form = Form(page, make_notebook("images: list = []  # which {item}"))
    sheet = form.filling.sheets[0]
    sheet._hear(None, {"kind": "ask", "name": "images", "what": "items"}, [])
    chosen = next(one for one in _all(form) if type(one).__name__ == "ManyItems")
    chosen._cards.selected = ["bad"]
    assert (sheet.said["images"], form.values) == ("bad", {"images": ["bad"]})
    _say(form, images="bad\nnosuch")
    assert _problems(form)["images"].startswith("no item 'nosuch'")
