"""geolab splats info and convert; torch takes seconds to load, so only one of these is a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from geolab.cli import main

HERE = Path(__file__).parent


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def geolab(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """A function that runs the command with these words in this process."""

    def run(*words: object) -> Done:
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from geolab.splats import io
    from geolab.splats.frame import Frame
    from geolab.splats.gaussians import Gaussians

    drawn = torch.Generator().manual_seed(0)
    made = Gaussians(*(torch.randn(*s, generator=drawn) for s in [(9, 3), (9, 4), (9, 3), (9,), (9, 4, 3)]))
    frame = Frame(8.9, 49.1, 321.5, "EGM96", "2024-05-01")
    return io.write(tmp_path_factory.mktemp("model") / "m.ply", made, frame, meta={"photos": 3})


def test_info_is_read_by_people_and_machines(geolab, model):
    done = geolab("splats", "info", model)
    assert done.returncode == 0, done.stderr
    assert "9, colour of degree 1" in done.stdout
    assert "8.9000000, 49.1000000, 321.50 m" in done.stdout
    assert "EGM96" in done.stdout
    told = json.loads(geolab("splats", "info", model, "--json").stdout)
    assert (told["format"], told["gaussians"], told["meta"]) == ("ply", 9, ["photos"])
    assert told["frame"]["epoch"] == "2024-05-01"


def test_convert_says_what_it_costs_and_replaces_nothing(geolab, model, tmp_path):
    small = tmp_path / "m.spz"
    done = geolab("splats", "convert", model, small)
    assert done.returncode == 0, done.stderr
    assert "changed by up to: 0.00012 m" in done.stdout
    again = geolab("splats", "convert", model, small)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
    assert "--force" in again.stderr
    told = json.loads(geolab("splats", "convert", small, small, "--force", "--json").stdout)
    assert (told["format"], told["gaussians"], told["file"]) == ("spz", 9, str(small))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["info", "absent.ply"], "no file 'absent.ply'"),
        (["info", HERE / "test_splats.py"], "not a model of splats"),
        (["convert", "MODEL", "x.obj"], "one that ends in .ply, .spz, .glb, .json"),
        (["melt", "x"], "melt"),
        (["convert", "MODEL"], "OUT"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(geolab, model, words, named):
    done = geolab("splats", *[model if w == "MODEL" else w for w in words])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert named in done.stderr


def test_without_a_verb_the_verbs_are_shown(geolab):
    done = geolab("splats")
    assert done.returncode == 2
    assert "info|convert" in done.stdout


def test_a_process_ends_with_the_code(model):
    command = [sys.executable, "-m", "geolab", "splats", "info", f"{model}.geo.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "not a tileset" in done.stderr
    assert done.stderr.count("\n") == 1
