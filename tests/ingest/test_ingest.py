from __future__ import annotations

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest

from geolab import catalog, ingest, settings
from geolab.errors import NotFound

from .conftest import everything, run, write_photo, write_raster


def statuses(outcomes):
    return [(Path(o.href).name, o.status) for o in outcomes]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two rasters, a photo, a raster under two names, a broken file, and things that are none."""
    root = tmp_path / "in"
    write_raster(root / "b" / "one.tif")
    (root / "a.tif").write_bytes((root / "b" / "one.tif").read_bytes())
    write_raster(root / "two.tif", 2)
    write_photo(root / "c.jpg")
    (root / "broken.tif").write_text("<html>404</html>")
    for name in (
        "README.md",
        "LICENSE",
        "notes.txt",
        "meta.json",
        "a.tfw",
        "a.tif.ovr",
        "x.html",
        ".hidden.tif",
    ):
        (root / name).write_text("II*\0 not an image" if name.endswith("ovr") else "text")
    os.utime(root / "a.tif", (1_700_000_000, 1_700_000_000))
    os.utime(root / "b" / "one.tif", (1_600_000_000, 1_600_000_000))
    return root


def test_a_folder_is_ingested_in_order_and_the_bad_file_by_itself(workspace, folder):
    outcomes = run(workspace, folder)
    assert statuses(outcomes) == [
        ("a.tif", "added"), ("broken.tif", "rejected"), ("c.jpg", "added"), ("two.tif", "added"),
        ("one.tif", "updated"),
    ]  # fmt: skip
    assert "web page" in outcomes[1].reason
    item = catalog.open_catalog(workspace).get(outcomes[0].id, "c")
    assert outcomes[4].id == outcomes[0].id
    assert item["properties"]["geolab:sources"] == ["a.tif", "one.tif"]
    assert item["properties"]["title"] == "a"
    assert item["properties"]["datetime"] == "2020-09-13T12:26:40Z"  # the older of the two files
    assert len(everything(workspace)["items"]) == 3
    assert len(ingest.plan(folder)) == 5


def test_doing_it_again_changes_nothing(workspace, folder):
    run(workspace, folder)
    before, files = everything(workspace), tree(workspace.home / "data")
    again = run(workspace, folder)
    assert [o.status for o in again] == ["unchanged", "rejected", "unchanged", "unchanged", "unchanged"]
    assert everything(workspace) == before
    assert tree(workspace.home / "data") == files


def test_the_order_of_sources_does_not_matter(workspace, folder, tmp_path):
    run(workspace, folder)
    other = settings.load(tmp_path / "other")
    for path in sorted(folder.rglob("*.tif"), reverse=True):
        run(other, path)
    run(other, folder / "c.jpg", workers=1)

    def neutral(found):
        return {key: text.replace("/other/", "/workspace/") for key, text in found["items"].items()}

    assert neutral(everything(other)) == neutral(everything(workspace))


def test_a_new_name_for_known_content_updates_the_item(workspace, tmp_path):
    run(workspace, write_raster(tmp_path / "b.tif"))
    (tmp_path / "a-20200102.tif").write_bytes((tmp_path / "b.tif").read_bytes())
    (outcome,) = run(workspace, tmp_path / "a-20200102.tif")
    found = catalog.open_catalog(workspace).get(outcome.id)["properties"]
    assert outcome.status == "updated"
    assert found["title"] == "a-20200102"
    assert (found["datetime"], found["geolab:datetime_source"]) == ("2020-01-02T00:00:00Z", "filename")


def test_nothing_but_deterministic_files_lies_in_the_store(workspace, folder):
    outcomes = run(workspace, folder)
    ids = sorted({o.id for o in outcomes if o.id})
    objects = sorted(p.name for p in (workspace.home / "data").glob("*/*"))
    assert [name[:20] for name in objects] == ids
    names = {p.name for p in (workspace.home / "data").rglob("*") if p.is_file()}
    assert names == {"data.tif", "data.jpg", "thumbnail.webp"}
    assert not list((workspace.home / "data").glob(".*"))


def test_a_dry_run_says_the_same_and_writes_nothing_at_all(workspace, folder, tmp_path):
    would = run(workspace, folder, dry_run=True)
    assert not workspace.home.exists()
    done = run(workspace, folder)
    assert would == done
    before, files = everything(workspace), tree(workspace.home / "data")
    again = run(workspace, folder, dry_run=True)
    assert [o.status for o in again] == ["unchanged", "rejected", "unchanged", "unchanged", "unchanged"]
    assert (everything(workspace), tree(workspace.home / "data")) == (before, files)


def test_a_file_named_by_itself_is_always_looked_at(workspace, folder):
    (outcome,) = run(workspace, folder / "README.md")
    assert outcome.status == "rejected"
    assert "plain text" in outcome.reason


def test_globs_pick_files(workspace, folder):
    assert statuses(run(workspace, folder / "*.tif")) == [
        ("a.tif", "added"), ("broken.tif", "rejected"), ("two.tif", "added"),
    ]  # fmt: skip


def test_a_source_given_twice_is_looked_at_once(folder):
    assert len(ingest.plan([folder, folder / "a.tif", str(folder)])) == 5


def test_a_missing_source_is_an_error_at_once(workspace, tmp_path):
    for source in (tmp_path / "nowhere", tmp_path / "nowhere" / "*.tif"):
        with pytest.raises(NotFound, match="nowhere"):
            ingest.ingest([source], collection="c", settings=workspace)
    assert not workspace.home.exists()


def test_an_empty_folder_gives_nothing(workspace, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run(workspace, tmp_path / "empty") == []
    assert not workspace.home.exists()


@pytest.mark.parametrize(
    "name", ["a;b & c.tif", "zip+x!y.tif", "new\nline.tif", "ünï cödé 日本.tif", "%s%20.tif", "-rf.tif"]
)
def test_odd_names_are_only_names(workspace, tmp_path, name):
    (outcome,) = run(workspace, write_raster(tmp_path / "plain.tif").rename(tmp_path / name))
    assert outcome.status == "added"
    found = catalog.open_catalog(workspace).get(outcome.id)["properties"]
    assert found["geolab:sources"] == [name.replace("\n", " ")]


def test_a_name_that_is_no_text_is_taken(workspace, tmp_path):
    path = os.fsencode(tmp_path) + b"/bad\xff\xfe.tif"
    Path(os.fsdecode(path)).write_bytes(write_raster(tmp_path / "plain.tif").read_bytes())
    (tmp_path / "plain.tif").unlink()
    (outcome,) = run(workspace, tmp_path)
    assert outcome.status == "added"


def test_an_unreadable_file_is_rejected(workspace, tmp_path):
    path = write_raster(tmp_path / "gone.tif")
    (tmp_path / "link.tif").symlink_to(path)
    candidates = ingest.plan(tmp_path)
    outcomes = ingest.ingest(tmp_path, collection="c", settings=workspace)
    path.unlink()
    assert [o.status for o in outcomes] == ["rejected", "rejected"]
    assert len(candidates) == 2


def test_objects_that_were_lost_are_stored_again(workspace, tmp_path):
    path = write_raster(tmp_path / "a.tif")
    run(workspace, path)
    before, files = everything(workspace), tree(workspace.home / "data")
    for lost in (workspace.home / "data").rglob("data.tif"):
        lost.unlink()
    (outcome,) = run(workspace, path)
    assert outcome.status == "unchanged"
    assert (everything(workspace), tree(workspace.home / "data")) == (before, files)


def test_a_listener_who_leaves_early_leaves_a_whole_store(workspace, folder):
    outcomes = ingest.ingest(folder, collection="c", settings=workspace)
    next(outcomes)
    outcomes.close()
    assert len(everything(workspace)["items"]) == 1
    assert not list((workspace.home / "data").glob(".*"))
    run(workspace, folder)
    assert len(everything(workspace)["items"]) == 3


def test_the_same_content_may_be_in_two_collections(workspace, tmp_path):
    path = write_raster(tmp_path / "a.tif")
    for name in ("one", "two"):
        (outcome,) = ingest.ingest(path, collection=name, settings=workspace)
        assert outcome.status == "added"


def test_files_are_read_from_a_web_server(workspace, tmp_path):
    write_raster(tmp_path / "served" / "a-20200102.tif")
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (outcome,) = run(workspace, f"http://127.0.0.1:{server.server_port}/a-20200102.tif")
        server.shutdown()
    assert outcome.status == "added"
    found = catalog.open_catalog(workspace).get(outcome.id)["properties"]
    assert (found["title"], found["datetime"]) == ("a-20200102", "2020-01-02T00:00:00Z")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass
