"""The Splats page: which models there are, a path of kept views, and the file that a film goes along."""

from __future__ import annotations

import asyncio
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from geolab import catalog, settings, viewer
from geolab.apps import shell
from geolab.apps.splats import Room, model, path, shelf
from geolab.errors import BadInput, NotFound
from geolab.splats import io, items, pathfile
from geolab.viewer import poses

HOSTILE = "<img src=x onerror=alert(1)>"


def _terrain():
    spec = importlib.util.spec_from_file_location(
        "hills", Path(__file__).parents[1] / "viewer" / "terrain.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hills = _terrain()


@pytest.fixture
def workspace(tmp_path):
    return settings.load(tmp_path / "home", environ={})


@pytest.fixture
def item(workspace, tmp_path):
    file = io.write(tmp_path / "hills.ply", hills.terrain(300, sh_degree=0), hills.FRAME)
    made = items.item(str(file), collection="results", title=HOSTILE, properties={"geolab:result": "splats"})
    catalog.open_catalog(workspace).put([made])
    return made


def page_of(workspace, **asked) -> shell.Page:
    return shell.Page("splats", workspace, {"model": "", "item": "", "run": "", **asked})


def look(view, eye, *, width=600, height=500) -> None:
    """What a page tells the kernel when its view was turned."""
    view.view = poses.camera_json(hills.camera(eye, (5, 3, 0), width=width, height=height, focal_px=400))


@pytest.fixture
def editor(workspace, item, tmp_path):
    loaded = model.load(item["id"], workspace)
    assert isinstance(loaded, model.Loaded)
    asked = []
    made = path.PathEditor(
        page_of(workspace), viewer.show(loaded.splats), loaded, on_file=lambda file, fps: asked.append(file)
    )
    made.asked = asked
    return made


def test_models_are_listed_with_what_is_known_of_them(workspace, item):
    (row,) = shelf.models(workspace)
    assert row["id"] == item["id"]
    assert row["title"] == HOSTILE  # as data: a card shows it as text
    assert row["note"] == "2024-08-15, 300 Gaussians"


def test_a_model_that_a_run_reported_in_two_formats_is_listed_once(workspace, tmp_path):
    for name, suffix in (("splats", "ply"), ("spz", "spz")):
        file = io.write(tmp_path / f"model.{suffix}", hills.terrain(300, sh_degree=0), hills.FRAME)
        told = {"geolab:result": name, "geolab:run": "run-1"}
        made = items.item(str(file), collection="results", title=name, properties=told)
        catalog.open_catalog(workspace).put([made])
    assert [row["title"] for row in shelf.models(workspace)] == ["splats"]


def test_a_model_is_loaded_by_its_item_or_its_file_and_an_unknown_one_is_named(workspace, item, tmp_path):
    by_item, by_file = (model.load(ref, workspace) for ref in (item["id"], str(tmp_path / "hills.ply")))
    assert len(by_item.splats.gaussians) == len(by_file.splats.gaussians) == 300
    assert by_item.title == HOSTILE
    missing = model.load("nothing", workspace)
    assert isinstance(missing, NotFound)
    assert "no file or item 'nothing'" in str(missing)


def test_without_a_model_the_page_says_what_to_do(workspace, in_a_loop):
    async def work():
        room = Room(page_of(workspace))
        while "There is no model" not in str([getattr(w, "value", "") for w in _all(room)]):
            await asyncio.sleep(0.02)
        words = str([getattr(w, "value", "") for w in _all(room)])
        assert "training.ipynb?kind=splats" in words

    in_a_loop(asyncio.wait_for(work(), 30))


def _all(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


def test_a_kept_view_is_what_was_seen_in_the_shape_of_a_film(editor, in_a_loop):
    look(editor.view, (35, -50, 45), width=600, height=500)
    in_a_loop(_kept(editor))
    (key,) = editor.kept
    seen = editor.view.camera
    assert (key.width, key.height) == (path.WIDTH, path.HEIGHT)
    assert math.atan2(key.height / 2, key.K[1, 1]) == pytest.approx(math.atan2(seen.height / 2, seen.K[1, 1]))
    np.testing.assert_allclose(key.world_to_camera, seen.world_to_camera)


async def _kept(editor) -> None:
    editor.keep()


def test_views_change_places_and_go(editor, in_a_loop):
    for eye in ((35, -50, 45), (50, 10, 40), (-50, 20, 30)):
        look(editor.view, eye)
        in_a_loop(_kept(editor))
    first, second, third = editor.kept
    editor.move(0, 1)
    assert editor.kept == [second, first, third]
    editor.move(0, -1)  # it has no neighbour there
    editor.remove(1)
    assert editor.kept == [second, third]


def test_the_film_goes_through_the_kept_views_and_its_file_is_named_by_its_content(
    editor, workspace, in_a_loop
):
    for eye in ((35, -50, 45), (50, 10, 40), (-50, 20, 30)):
        look(editor.view, eye)
        in_a_loop(_kept(editor))
    editor._seconds.value, editor._fps.value = 2.0, 12
    editor.film()
    editor.film()
    assert editor.asked[0] == editor.asked[1]
    read = pathfile.read_path(editor.asked[0])
    assert Path(editor.asked[0]).parent == workspace.home / "paths"
    assert (len(read.cameras), read.fps) == (24, 12.0)
    for key, camera in ((editor.kept[0], read.cameras[0]), (editor.kept[-1], read.cameras[-1])):
        np.testing.assert_allclose(key.position, camera.position, atol=1e-6)
    editor._seconds.value = 3.0
    editor.film()
    assert editor.asked[2] != editor.asked[0]


def test_a_path_of_one_view_is_refused_in_words(editor, in_a_loop):
    look(editor.view, (35, -50, 45))
    in_a_loop(_kept(editor))
    with pytest.raises(BadInput, match="path: found 1 views, expected at least 2; keep some"):
        editor.path()
    assert editor._film.disabled


def test_nothing_is_kept_before_a_page_has_drawn(editor):
    with pytest.raises(BadInput, match="expected a model that is shown; wait a moment"):
        editor.keep()


def test_the_small_picture_is_of_the_view(editor, in_a_loop):
    look(editor.view, (35, -50, 45))
    in_a_loop(_kept(editor))
    data = editor._picture(editor.kept[0])
    assert data[:3] == b"\xff\xd8\xff"
    editor._pictured(editor.kept[0], data)
    assert editor._pictures == [data]
