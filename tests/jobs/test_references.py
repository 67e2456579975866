"""What a parameter's value may name: scenes of photos and splat models."""

import os
from pathlib import Path

import pytest

from geolab.errors import NotFound
from geolab.jobs import references
from geolab.jobs.values import Parameter
from geolab.settings import Settings


def parameter(kind: str) -> Parameter:
    return Parameter("scene", "str", "", references=(kind,))


def resolved(kind: str, text: str, settings: Settings) -> str:
    return references.resolve([parameter(kind)], {"scene": text}, settings)["scene"]


def hashed(kind: str, text: str, settings: Settings) -> str:
    (found,) = references.inputs([parameter(kind)], {"scene": text}, settings)
    return found.sha256


@pytest.fixture
def posed(tmp_path: Path) -> Path:
    folder = tmp_path / "posed"
    (folder / "images").mkdir(parents=True)
    (folder / "transforms.json").write_text("{}")
    (folder / "images" / "a.jpg").write_bytes(b"one")
    return folder


def test_a_scene_is_a_folder_or_a_file_that_stands_for_its_folder(posed: Path, workspace: Settings):
    assert resolved("scene", str(posed), workspace) == str(posed)
    named = str(posed / "transforms.json")
    assert resolved("scene", named, workspace) == named
    assert hashed("scene", named, workspace) == hashed("scene", str(posed), workspace)
    before = hashed("scene", named, workspace)
    (posed / "images" / "a.jpg").write_bytes(b"two")
    assert hashed("scene", named, workspace) != before, "a photo changed, the scene did not notice"


def test_a_scene_that_is_not_there_is_one_line(workspace: Settings):
    with pytest.raises(NotFound, match="no collection, folder or file of a scene 'nowhere'"):
        resolved("scene", "nowhere", workspace)


def trained(workspace: Settings, name: str, when: float) -> Path:
    model = workspace.runs / "05_train_splats" / name / "model.ply"
    model.parent.mkdir(parents=True)
    model.write_bytes(name.encode())
    os.utime(model, (when, when))
    return model


def test_the_latest_model_is_the_one_trained_last_by_content(workspace: Settings):
    first = trained(workspace, "key-one", 1_000_000)
    assert resolved("splats", "latest", workspace) == str(first)
    before = hashed("splats", "latest", workspace)
    assert before == hashed("splats", str(first), workspace)
    trained(workspace, "scratch-two", 2_000_000)
    assert hashed("splats", "latest", workspace) != before


def test_without_any_model_the_latest_is_one_line(workspace: Settings):
    with pytest.raises(NotFound, match="no splat model 'latest'; train one: geolab run 05_train_splats"):
        resolved("splats", "latest", workspace)


def test_a_tileset_stands_for_its_folder(posed: Path, workspace: Settings):
    (posed / "tileset.json").write_text("{}")
    before = hashed("splats", str(posed / "tileset.json"), workspace)
    (posed / "images" / "a.jpg").write_bytes(b"other")
    assert hashed("splats", str(posed / "tileset.json"), workspace) != before
