"""The page Data on real catalogues: what is asked, what is shown, and hostile texts that stay texts."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geolab import catalog, ingest, jobs, share
from geolab.apps import data, query
from geolab.apps.data import about, adding, facts, give, lineage, markdown, question, storage
from geolab.apps.data.question import Question
from geolab.apps.shell import Page
from geolab.catalog import items
from geolab.errors import BadInput, NotFound
from geolab.ingest import uploads
from geolab.ingest.together import forget, together
from geolab.settings import Settings

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
HOSTILE = f'{SCRIPT}" onmouseover="alert(3)" x="javascript:alert(4)'


# ---------------------------------------------------------------- helpers


def put(settings: Settings, item_id: str, **more: Any) -> dict[str, Any]:
    """An item in the catalogue; more: properties, or collection, assets, links, place."""
    place = more.pop("place", [11.5, 48.1])
    made = items.item(
        item_id,
        collection=more.pop("collection", "c"),
        geometry={"type": "Point", "coordinates": place},
        datetime=more.pop("datetime", "2024-08-15T10:00:00Z"),
        assets=more.pop("assets", {}),
        links=more.pop("links", ()),
        properties=more,
    )
    catalog.open_catalog(settings).put([made])
    return made


def open_data(settings: Settings, **asked: Any) -> tuple[Page, data.Data]:
    values = jobs.parse(jobs.contract(query.notebook_of("data")), asked)
    page = Page("data", settings, values)
    return page, data.Data(page)


def widgets_of(widget: Any) -> list[Any]:
    """A widget and everything in it."""
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in widgets_of(child))]


def markup_of(widget: Any) -> str:
    """All HTML that a widget shows."""
    return "".join(w.value for w in widgets_of(widget) if type(w).__name__ == "HTML")


class Tags(html.parser.HTMLParser):
    """Every tag of some HTML with its attributes."""

    def __init__(self, markup: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def assert_harmless(markup: str, *, words: str = "") -> None:
    """No tag runs anything, no attribute hears anything, no address leads into a script."""
    tags = Tags(markup)
    for tag, attributes in tags.found:
        assert tag not in ("script", "iframe", "object", "embed", "style", "link", "base", "form", "svg")
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")]
        for name in ("href", "src", "action", "formaction"):
            address = (attributes.get(name) or "").strip().lower()
            assert not address or address.startswith(("/", "http://", "https://", "mailto:")), address
        if tag == "img":
            assert (attributes.get("src") or "").startswith("/")
    assert words in tags.words


# ---------------------------------------------------------------- what is asked


def found(settings: Settings, asked: Question) -> set[str]:
    search = question.search(asked, limit=50)
    return {item["id"] for item in catalog.open_catalog(settings).search(search).items}


def test_words_are_looked_for_in_titles_ids_and_descriptions_in_any_case(workspace: Settings) -> None:
    put(workspace, "one", title="North Field 07", description="wheat")
    put(workspace, "two", title="south field", **{"geolab:notebook": "04_detect_change"})
    put(workspace, "three_%", title="100 % cloud", platform="Landsat-8")
    assert found(workspace, Question(text="FIELD")) == {"one", "two"}
    assert found(workspace, Question(text="field wheat")) == {"one"}
    assert found(workspace, Question(text="detect")) == {"two"}
    assert found(workspace, Question(text="landsat")) == {"three_%"}
    assert found(workspace, Question(text="%")) == {"three_%"}, "a per cent sign is one, not anything"
    assert found(workspace, Question(text="three_")) == {"three_%"}
    assert found(workspace, Question(text="t_o")) == set()
    assert found(workspace, Question(text="' OR 1=1 --")) == set()


def test_collection_role_place_days_and_cql2_restrict_together(workspace: Settings) -> None:
    put(workspace, "plain", gsd=0.5)
    put(workspace, "photo", **{"geolab:role": "photo"}, datetime="2024-08-15T23:59:00Z")
    put(workspace, "far", collection="d", place=[-70.0, -30.0], datetime="2021-01-01T00:00:00Z")
    assert found(workspace, Question(collection="d")) == {"far"}
    assert found(workspace, Question(role="image")) == {"plain", "far"}, "an image unless it says otherwise"
    assert found(workspace, Question(role="photo")) == {"photo"}
    assert found(workspace, Question(bbox="11,48,12,49")) == {"plain", "photo"}
    assert found(workspace, Question(start="2024-08-15", end="2024-08-15")) == {"plain", "photo"}
    assert found(workspace, Question(end="2023-12-31")) == {"far"}
    assert found(workspace, Question(filter="gsd < 1")) == {"plain"}
    assert found(workspace, Question(role="image", filter="gsd < 1 OR gsd > 5", text="far")) == set()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Question(bbox="1,2,3"), "bbox"),
        (Question(start="15.8.2024"), "expected a day such as 2024-08-15"),
        (Question(start="2024-09-01", end="2024-08-01"), "expected the first day first"),
        (Question(role="<b>"), "expected image or label or dsm or photo or product"),
        (Question(filter="gsd <"), "CQL2"),
        (Question(filter="(" * 5000), "levels of brackets"),
        (Question(sort="id; drop"), "order"),
        (Question(text="a " * 9), "expected at most 8"),
    ],
)
def test_what_can_not_be_understood_is_said_and_asks_nothing(asked: Question, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        question.search(asked)


@pytest.mark.parametrize(
    ("datetime", "start", "end"),
    [
        ("", "", ""),
        ("2024-08-15", "2024-08-15", "2024-08-15"),
        ("2021-01-01/2024-12-31", "2021-01-01", "2024-12-31"),
        ("../2024-12-31", "", "2024-12-31"),
        ("2021-01-01T00:00:00Z/..", "2021-01-01", ""),
    ],
)
def test_a_question_survives_its_way_through_the_address(datetime: str, start: str, end: str) -> None:
    asked = question.from_address({"datetime": datetime, "text": "a b", "role": "photo", "item": "x"})
    assert (asked.start, asked.end, asked.text, asked.role) == (start, end, "a b", "photo")
    assert question.from_address(question.to_address(asked)) == asked


# ---------------------------------------------------------------- the catalogue's page


def test_an_empty_workspace_says_what_to_do(workspace: Settings) -> None:
    page, shown = open_data(workspace)
    assert "Nothing is here yet." in markup_of(shown.widget)
    assert page.frame.notice == {}
    assert not workspace.home.exists() or not workspace.catalog_path.exists(), "a look makes no catalogue"
    add = next(w for w in widgets_of(shown.widget) if getattr(w, "description", "") == "Add data")
    add.click()
    assert page.asked["tab"] == "add"
    assert "Earlier" in markup_of(shown.widget)


def test_pages_are_turned_by_the_catalogues_tokens_there_and_back(workspace: Settings) -> None:
    many = [
        items.item(f"i{n:04d}", collection="c", geometry=None, datetime=f"2024-01-01T00:{n:02d}:00Z")
        for n in range(60)
    ]  # fmt: skip
    catalog.open_catalog(workspace).put(many)
    _, shown = open_data(workspace, sort="oldest")
    browser = shown.browser
    assert browser is not None
    seen = []
    for page_number in range(3):
        seen.append([row["id"] for row in browser.cards.rows])
        if page_number < 2:
            browser.after.click()
    assert [id_ for page in seen for id_ in page] == [f"c/i{number:04d}" for number in range(60)]
    assert browser.after.disabled
    assert "49 to 60 of 60 items" in browser.count.value
    browser.before.click()
    assert [row["id"] for row in browser.cards.rows] == seen[1]
    browser.form.value = "Table"
    assert [row["id"] for row in browser.table.rows] == seen[1]
    browser.fields.text.value = "i0007"
    assert [row["id"] for row in browser.table.rows] == ["c/i0007"]
    assert browser.before.disabled


def test_the_address_holds_the_question_and_a_wrong_part_is_said(workspace: Settings) -> None:
    put(workspace, "one", title="North")
    put(workspace, "two", title="South", collection="d")
    page, shown = open_data(workspace, text="north", collection="c")
    browser = shown.browser
    assert browser is not None
    assert [row["id"] for row in browser.cards.rows] == ["c/one"]
    browser.fields.text.value = ""
    browser.fields.collection.value = "d"
    assert page.frame.address["collection"] == "d"
    assert page.frame.address["text"] == ""
    browser.fields.bbox.value = "1,2"
    assert page.frame.notice["kind"] == "fail"
    assert [row["id"] for row in browser.cards.rows] == ["d/two"], "what was found stays"
    browser.fields.bbox.value = ""
    assert page.frame.notice == {}


def test_an_unknown_item_is_said_beside_the_catalogue(workspace: Settings) -> None:
    put(workspace, "one", title="North")
    page, shown = open_data(workspace, item=SCRIPT)
    assert "no item" in page.frame.notice["text"]
    assert shown.browser is not None
    assert shown.browser.cards.rows[0]["title"] == "North"
    page, shown = open_data(workspace, item="North", collection="c")
    assert page.frame.notice == {}
    assert page.asked["item"] == "one"
    back = next(w for w in widgets_of(shown.widget) if getattr(w, "description", "") == "All data")
    back.click()
    assert page.asked["item"] == ""
    assert shown.widget.children[0] is shown.tabs


# ---------------------------------------------------------------- hostile texts


@pytest.fixture
def hostile(workspace: Settings) -> dict[str, Any]:
    """An item whose every text attacks, in a collection that does too."""
    asset = {
        "href": "javascript:alert(1)",
        "title": HOSTILE,
        "type": f"image/tiff{HOSTILE}",
        "roles": [HOSTILE],
    }
    asset |= {"bands": [{"name": HOSTILE, "data_type": HOSTILE, "nodata": HOSTILE, "unit": HOSTILE}]}
    asset |= {"file:checksum": HOSTILE, "file:size": 10**30}
    item = put(
        workspace,
        HOSTILE,
        collection=HOSTILE,
        title=HOSTILE,
        description=HOSTILE,
        assets={HOSTILE: asset, "javascript:alert(1)": {"href": "file:///etc/passwd", "roles": ["data"]}},
        links=[
            {"rel": "derived_from", "href": f"#items/{HOSTILE}", "title": HOSTILE},
            {"rel": "derived_from", "href": "javascript:alert(1)", "title": HOSTILE},
        ],
        **{"geolab:run": HOSTILE, "geolab:sources": [HOSTILE], "proj:code": HOSTILE, "gsd": HOSTILE}
        | {"geolab:role": HOSTILE, HOSTILE: HOSTILE, "nested": {"a": HOSTILE}, "proj:shape": [HOSTILE, 1]},
    )  # fmt: skip
    catalog.open_catalog(workspace).put_collection(
        {
            "id": HOSTILE,
            "title": HOSTILE,
            "description": f"# {HOSTILE}\n\n[click](javascript:alert(1)) ![x](javascript:alert(2)) {HOSTILE}",
            "license": HOSTILE,
            "keywords": [HOSTILE],
            "contacts": [{"name": HOSTILE, "emails": [{"value": HOSTILE}], "roles": [HOSTILE]}],
            "providers": [{"name": HOSTILE, "url": "javascript:alert(5)"}, "text"],
            "links": [{"rel": "license", "href": "javascript:alert(6)"}],
            "sci:doi": HOSTILE,
            "sci:citation": HOSTILE,
        }
    )
    return item


def test_every_hostile_text_is_shown_as_text(workspace: Settings, hostile: dict[str, Any]) -> None:
    page, shown = open_data(workspace, collection=HOSTILE)
    assert shown.browser is not None
    assert shown.browser.cards.rows[0]["thumb"].startswith("/geolab/preview/%3Cscript")
    for fold in [w for w in widgets_of(shown.widget) if hasattr(w, "opened")]:
        fold.opened = True
    assert_harmless(markup_of(shown.widget), words="<script>alert(1)")
    shown.show_item(hostile)
    for fold in [w for w in widgets_of(shown.widget) if hasattr(w, "opened")]:
        fold.opened = True
    markup = markup_of(shown.widget)
    assert_harmless(markup, words="<script>alert(1)")
    assert "javascript:alert(6)" not in markup, "an address that runs is not even shown"
    rows = [row for w in widgets_of(shown.widget) for row in getattr(w, "rows", ()) if isinstance(row, dict)]
    hrefs = [v["href"] for row in rows for v in row.values() if isinstance(v, dict) and "href" in v]
    assert hrefs
    assert all(href.startswith("/geolab/") for href in hrefs), hrefs
    assert page.frame.notice.get("details", "") == ""


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT,
        f"# {SCRIPT}\n\n> {SCRIPT}\n\n- {SCRIPT}\n\n```\n{SCRIPT}\n```\n\n`{SCRIPT}`",
        "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](\tjavascript:alert(1))",
        "[a](data:text/html,<script>alert(1)</script>) [b](vbscript:x) [c](file:///etc/passwd)",
        "[a](https://ok.example 'x\" onmouseover=\"alert(1)') <https://ok.example/\"onclick=alert(1)>",
        "![x](https://ok.example/track.gif) ![y](/geolab/runs/x/y.png)",
        "[a]: javascript:alert(1)\n\n[a]",
        "<a href='javascript:alert(1)'>x</a> <svg/onload=alert(1)> <iframe src=//evil.example></iframe>",
        "| a | b |\n|---|---|\n| <script>x</script> | [l](javascript:x) |",
        "&lt;script&gt;alert(1)&lt;/script&gt; &#106;avascript:alert(1)",
        "[" * 3000 + "](javascript:x)" * 3000,
        "> " * 500 + "deep",
        "*" * 5000,
    ],
)  # fmt: skip
def test_markdown_of_strangers_runs_nothing_and_asks_nothing_elsewhere(text: str) -> None:
    assert_harmless(markdown.render(text))
    assert "<img" not in markdown.render(text)


def test_markdown_is_laid_out(workspace: Settings) -> None:
    text = "# Title\n\nSome *soft* **loud** `code` [web](https://a.example/x?y=1&z=2) <me@a.example>\n\n"
    text += "1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n```\nx < 1\n```\n"
    made = markdown.render(text)
    for part in ("<h3>Title</h3>", "<em>soft</em>", "<strong>loud</strong>", "<ol>", "<table>", "<hr>"):
        assert part in made
    assert "x &lt; 1" in made
    assert 'href="https://a.example/x?y=1&amp;z=2"' in made
    assert 'href="mailto:me@a.example"' in made
    assert "more" in markdown.render("x" * (markdown.LONGEST + 5))


# ---------------------------------------------------------------- facts


def test_facts_have_units_and_sensible_digits(workspace: Settings) -> None:
    red = {"name": "red", "data_type": "uint8"}
    item = put(
        workspace,
        "one",
        gsd=0.5,
        assets={"data": {"href": "x.tif", "file:size": 3_713_338, "bands": [red]}},
        **{"proj:code": "EPSG:32632", "proj:shape": [1024, 2048], "geolab:relative_altitude_m": 72.0001}
        | {"geolab:vertical_datum": "EGM2008", "eo:cloud_cover": 12.5, "view:sun_elevation": 41.25},
    )  # fmt: skip
    told = facts.main(item)
    assert told["Time"] == "2024-08-15 10:00 UTC"
    assert told["Place"] == "48.10000° N, 11.50000° E"
    assert told["Coordinates"] == "EPSG:32632, heights: EGM2008"
    assert told["Size"] == "2,048 × 1,024 px"
    assert told["Resolution"] == "0.5 m"
    others = facts.others(item)
    assert others["Relative altitude"] == "72.0001 m"
    assert others["Cloud cover"] == "12.5 %"
    assert others["Sun elevation"] == "41.25°"
    assert facts.assets(item)[0]["size"] == "3.71 MB"
    assert facts.bands(item)[0] | {"id": ""} == {
        "id": "", "asset": "data", "band": "1", "name": "red", "wave": "", "type": "uint8",
        "nodata": "", "scale": "", "unit": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_500_000, "1.5 MB"), (2e12, "2 TB"), ("x", "")],
)
def test_sizes_in_words(count: object, words: str) -> None:
    assert facts.size(count) == words


def test_a_box_over_the_date_line_has_its_middle_there(workspace: Settings) -> None:
    item = {"id": "x", "properties": {}, "assets": {}, "bbox": [179.0, -1.0, -179.0, 1.0]}
    assert facts.place(item).startswith("0.00000° N, 180.00000° W")
    assert facts.place({**item, "bbox": [1, 2, float("nan"), 3]}) == ""


# ---------------------------------------------------------------- lineage


def test_lineage_names_the_run_its_sources_and_its_uses(workspace: Settings, make_notebook: Any) -> None:
    put(workspace, "source-0001", title="Before")
    used = "image: str = ''  # what {item}"
    code = (
        "import rasterio\nfrom rasterio.transform import from_origin\nimport numpy as np\n"
        "from geolab import jobs\nrun = jobs.context()\n"
        "with rasterio.open(run.path('mask.tif'), 'w', driver='GTiff', width=8, height=6, count=1, "
        "dtype='uint8', crs='EPSG:32632', transform=from_origin(690000, 5330000, 1, 1)) as out:\n"
        "    out.write(np.ones((1, 6, 8), 'uint8'))\n"
        "jobs.report(mask=run.path('mask.tif'))"
    )
    path = make_notebook(used, code, name="masks")
    outcome = jobs.run(path, {"image": "c/source-0001"}, settings=workspace)
    assert outcome.state == "succeeded", outcome
    opened = catalog.open_catalog(workspace)
    product = opened.search(catalog.Search(collections=("results",))).items[0]
    told = lineage.of(product, workspace)
    assert told.made is not None
    assert told.made.run_id == outcome.run_id
    assert [one["id"] for one in told.sources] == ["source-0001"]
    assert told.missing == []
    told = lineage.of(opened.get("source-0001", "c"), workspace)
    assert told.made is None
    assert [view.run_id for view in told.used] == [outcome.run_id]
    assert [one["id"] for one in told.products] == [product["id"]]
    opened.delete("source-0001", "c")
    assert lineage.of(product, workspace).missing == ["source-0001"]
    other = put(workspace, "other", title="Other")
    assert lineage.of(other, workspace).used == []
    _, shown = open_data(workspace, item=product["id"])
    markup = markup_of(shown.widget)
    assert f"/geolab/runs/{outcome.run_id}/notebook.ipynb" in markup
    assert "source-0001 (no longer here)" in markup


# ---------------------------------------------------------------- what may be taken away


def test_a_clip_must_touch_the_item_and_its_address_is_quoted(workspace: Settings) -> None:
    item = put(workspace, "a/b ü", assets={"data": {"href": "file:///x.tif", "type": "image/tiff"}})
    item["bbox"] = [11.0, 48.0, 12.0, 49.0]
    page = Page("data", workspace, {})
    form = give.Clip(page, item, ["data"])
    assert "/geolab/clip/c/a%2Fb%20%C3%BC/data.tif?bbox=11%2C48%2C12%2C49" in markup_of(form.widget)
    form.bbox.value = "20,48,21,49"
    assert "a place outside this item" in markup_of(form.widget)
    form.bbox.value = "1,2,3"
    assert "four numbers" in markup_of(form.widget)
    form.bbox.value = "<script>"
    assert_harmless(markup_of(form.widget))
    assert "/geolab/clip/" not in markup_of(form.widget)
    assert give.clip(page, {**item, "assets": {"data": {"href": "x.jpg", "type": "image/jpeg"}}}) is None
    assert give.within([179.5, 48, -179.5, 49], (170.0, 40.0, 180.0, 50.0)) == (179.5, 48, -179.5, 49)


def test_a_share_link_names_one_file_and_ends_within_seven_days(workspace: Settings) -> None:
    item = put(workspace, "one", assets={"data": {"href": "file:///x.tif"}})
    page = Page("data", workspace, {})
    form = give.Share(page, item)
    for words, length in give.EXPIRES.items():
        assert length <= share.LONGEST
        form.expires.value = words
        form.make()
        address = form.place.children[0].text
        assert "/geolab/shared/" in address
        given = share.check(workspace, address.rpartition("/")[2])
        assert (given.kind, given.names) == ("asset", ("c", "one", "data"))


# ---------------------------------------------------------------- the collection in words


def test_what_is_said_of_a_collection_is_kept_and_shown(workspace: Settings) -> None:
    put(workspace, "one")
    page = Page("data", workspace, {})
    saved: list[int] = []
    form = about.Form(page, about.document(workspace, "c"), lambda: saved.append(1))
    form.readme.value, form.licence.value = "# Fields\n\nMade by hand.", "CC-BY-4.0"
    form.name.value, form.mail.value, form.doi.value = "Ann", "ann@example.org", "10.5281/zenodo.1"
    form.save()
    assert saved == [1]
    markup = markup_of(about.said(about.document(workspace, "c")))
    for part in ("<h3>Fields</h3>", "https://spdx.org/licenses/CC-BY-4.0.html", "mailto:ann@example.org"):
        assert part in markup
    assert 'href="https://doi.org/10.5281/zenodo.1"' in markup
    assert catalog.open_catalog(workspace).search(catalog.Search()).matched == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("licence", "my own <b>"),
        ("doi", "javascript:x"),
        ("mail", "not an address"),
        ("readme", "x" * 50_001),
    ],
)
def test_what_is_no_licence_doi_or_mail_is_refused(workspace: Settings, field: str, value: str) -> None:
    form = about.Form(Page("data", workspace, {}), {"id": "c"}, lambda: None)
    getattr(form, field).value = value
    with pytest.raises(BadInput):
        form.save()
    assert catalog.open_catalog(workspace).collections() == []


# ---------------------------------------------------------------- the store


def test_the_store_is_walked_folder_by_folder_and_page_by_page(workspace: Settings, monkeypatch) -> None:
    monkeypatch.setattr(storage, "PAGE_ENTRIES", 3)
    digest = "ab" + "0" * 62
    folder = Path(workspace.home, "data", "ab", digest)
    folder.mkdir(parents=True)
    (folder / "data.tif").write_bytes(b"x" * 1500)
    (folder / ".hidden").write_bytes(b"x")
    for number in range(7):
        (folder.parents[1] / f"c{number}").mkdir()
    put(workspace, digest[:20], title="Mine")
    shown = storage.Storage(Page("data", workspace, {}))
    names = [row["name"] for row in shown.table.rows]
    while not shown.after.disabled:
        shown.after.click()
        names += [row["name"] for row in shown.table.rows]
    assert names == ["ab/", *(f"c{number}/" for number in range(7))]
    shown.go("")
    told = shown.table.rows[0]
    assert (told["kind"], told["size"], told["item"]["text"]) == ("1 file", "1.5 kB", "Mine")
    shown.go("ab")
    assert shown.table.rows[0]["item"]["text"] == "Mine"
    shown.open(f"{digest}/")
    assert [(row["name"], row["size"]) for row in shown.table.rows] == [("data.tif", "1.5 kB")]
    assert "1 file, 1.5 kB" in shown.note.value
    shown.way.children[0].click()
    assert shown.prefix == ""


@pytest.mark.parametrize(
    "prefix", ["../..", "/etc/../../x/..", "a/../b", ".ssh", "a\\b", "x\0y", "s3://b", "a?b"]
)
def test_a_prefix_leads_nowhere_else(workspace: Settings, prefix: str) -> None:
    with pytest.raises(BadInput, match="prefix"):
        storage.checked(prefix)
    page = Page("data", workspace, {})
    shown = storage.Storage(page)
    shown.where.value = prefix
    assert shown.prefix == ""
    assert page.frame.notice["kind"] == "fail"


def test_links_in_the_store_are_not_followed(workspace: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_text("x")
    root = Path(workspace.home, "data")
    root.mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "secret")
    assert storage.Storage(Page("data", workspace, {})).table.rows == []


# ---------------------------------------------------------------- files that come in


def tif(path: Path, *, crs: str | None = "EPSG:32632", seed: int = 0) -> Path:
    facts: dict[str, Any] = {"driver": "GTiff", "width": 40, "height": 30, "count": 1, "dtype": "uint8"}
    place = {"crs": crs, "transform": from_origin(690000 + seed, 5330000, 1, 1)} if crs else {}
    with rasterio.open(path, "w", **facts, **place) as out:
        out.write(np.random.default_rng(seed).integers(1, 255, (1, 30, 40), "uint8"))
        out.update_tags(TIFFTAG_DATETIME="2024:08:15 10:00:00")
    return path


def sent(settings: Settings, path: Path) -> str:
    receiving = uploads.create(settings, path.name)
    receiving.write(path.read_bytes())
    return receiving.commit().id


def test_uploads_of_one_name_come_together_in_one_folder(workspace: Settings, tmp_path: Path) -> None:
    ids = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        ids.append(sent(workspace, tif(tmp_path / str(number) / "image.tif", seed=number)))
    assert together(workspace, ids[:1]) == uploads.path(workspace, ids[0])
    folder = together(workspace, ids)
    assert together(workspace, ids[::-1]) == folder, "the same files, the same folder"
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.tif"))
    assert found == ["2/image.tif", "3/image.tif", "image.tif"]
    assert len(ingest.plan([folder])) == 3
    assert {p.read_bytes() for p in folder.rglob("*.tif")} == {
        uploads.path(workspace, i).read_bytes() for i in ids
    }
    forget(workspace, ids)
    assert [p for p in uploads.root(workspace).iterdir() if not p.name.startswith(".")] == []
    for wrong in (["0" * 32], ["../../etc"], [*ids]):
        with pytest.raises(NotFound):
            together(workspace, wrong)
    with pytest.raises(BadInput):
        together(workspace, [])


def test_what_became_of_each_file_is_told_the_rejected_first(workspace: Settings) -> None:
    page = Page("data", workspace, {})
    found = [
        {"href": "/tmp/x/good.tif", "status": "added", "id": "abc", "reason": None},
        {"href": f"/tmp/{SCRIPT}", "status": "rejected", "id": None, "reason": HOSTILE},
        {"href": "/tmp/x/known.tif", "status": "unchanged", "id": "def", "reason": None},
    ]
    nothing = (None, None, None, 1, "", 0, Path(), "")
    view = jobs.View("r", "01_ingest", "succeeded", "k", {"collection": "new"}, "", *nothing)
    shown = adding.told(page, view, found)
    table = next(w for w in widgets_of(shown) if hasattr(w, "rows"))
    assert [row["status"] for row in table.rows] == ["rejected", "added", "known already"]
    assert table.rows[0]["reason"].startswith("<script>")
    assert table.rows[1]["item"]["href"].endswith("data.ipynb?collection=new&item=abc")
    assert "1 added, 1 known already, 1 rejected." in markup_of(shown)
    assert_harmless(markup_of(shown))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '[{"status": "hacked"}]', "[" * 100_000])
def test_a_damaged_list_of_outcomes_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / adding.OUTCOMES).write_text(text)
    assert adding.outcomes(tmp_path) == []
    assert adding.outcomes(tmp_path / "nowhere") == []


@pytest.mark.slow
def test_files_are_checked_then_added_and_found_again(workspace: Settings, tmp_path: Path) -> None:
    good, bad = tif(tmp_path / "good.tif"), tif(tmp_path / "nowhere.tif", crs=None, seed=1)
    page, shown = open_data(workspace, tab="add")
    del shown
    added: list[int] = []
    form = adding.Adding(page, lambda: added.append(1))
    from geolab.apps.parts import Uploaded

    form.received([Uploaded(sent(workspace, good), "good.tif", 1, "x")])
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (good, bad):
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BadInput, match="collection: found no name"):
        form.submit(dry_run=True)
    form.collection.value = "fields"
    run_id = form.submit(dry_run=True)
    assert jobs.wait(run_id, settings=workspace).state == "succeeded"
    form._seen(adding._look(page, run_id))
    assert "Would be: 1 added." in markup_of(form.outcomes)
    assert catalog.open_catalog(workspace).search(catalog.Search()).matched == 0
    assert len(form.sent) == 1, "a check keeps the files"
    run_id = form.submit(dry_run=False)
    assert page.frame.address["run"] == run_id
    later = Uploaded(sent(workspace, tif(tmp_path / "later.tif", seed=2)), "later.tif", 1, "x")
    form.received([later])
    assert jobs.wait(run_id, settings=workspace).state == "succeeded"
    form._seen(adding._look(page, run_id))
    assert "1 added." in markup_of(form.outcomes)
    assert (form.sent, added) == ([later], [1]), "what came meanwhile stays"
    assert uploads.path(workspace, later.id).is_file()
    run = jobs.run("01_ingest", {"source": str(folder), "collection": "fields"}, settings=workspace)
    outcomes = {Path(o["href"]).name: o for o in adding.outcomes(run.folder)}
    assert outcomes["good.tif"]["status"] == "unchanged"
    assert outcomes["nowhere.tif"]["status"] == "rejected"
    assert "no georeference" in outcomes["nowhere.tif"]["reason"]
    assert json.loads((run.folder / adding.OUTCOMES).read_text())
