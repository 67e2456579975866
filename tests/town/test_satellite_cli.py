"""`geolab town DIR --satellite`: what it writes and says, and which options make no sense together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geolab.cli import main


def test_an_archive_is_written_and_the_next_step_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "world"
    assert main(["town", str(folder), "--satellite", "--years", "2022", "--cells", "1", "--seed", "4"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    scenes = len(list(folder.glob("sentinel-2-l2a/2022/*/*.json")))
    assert said.out.splitlines() == [
        f"{scenes} scenes of 2022 over 1 cell in {folder}",
        f"next: geolab town {folder} --serve",
    ]
    text = (folder / "README.txt").read_text()
    assert "seed 4, 2022, 1 cells" not in text
    assert "seed 4, 2022, 1 cell of 128 x 128 pixels of 10 m" in text
    assert not [line for line in text.splitlines() if len(line) > 112]
    assert f"{scenes} scenes on 11 days, 6 of them from June to August" in text


def test_json_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["town", str(tmp_path), "--satellite", "--years", "2021-2022", "--cells", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(tmp_path)
    assert Path(said["grid"]).is_file()
    assert Path(said["readme"]).is_file()
    assert said["items"] == len(list(tmp_path.glob("sentinel-2-l2a/*/*/*.json")))
    assert said["truth"] == len(list(tmp_path.glob("truth/*")))


@pytest.mark.parametrize(
    "options, line",
    [
        (["--satellite", "--size", "64"],
         "option --size: found it beside --satellite, expected only --seed, --years, --cells"),
        (["--satellite", "--photos", "0"],
         "option --photos: found it beside --satellite, expected only --seed, --years, --cells"),
        (["--satellite", "--port", "80"],
         "option --port: found it beside --satellite, expected only --seed, --years, --cells"),
        (["--serve", "--years", "2021"], "option --years: found it beside --serve, expected only --port"),
        (["--serve", "--seed", "0"], "option --seed: found it beside --serve, expected only --port"),
        (["--cells", "3"],
         "option --cells: found it without --satellite, expected only --seed, --size, --photos"),
        (["--port", "3"], "option --port: found it without --serve, expected only --seed, --size, --photos"),
        (["--satellite", "--years", "2024-2021"],
         "--years: found '2024-2021', expected such as 2021-2024, or 2021"),
        (["--satellite", "--years", "20x1"], "--years: found '20x1', expected such as 2021-2024, or 2021"),
        (["--satellite", "--years", "1815"],
         "years: found 1815 to 1815, expected 1 to 20 years in a row, 2016 to 2099"),
        (["--satellite", "--cells", "0"], "cells: found 0, expected a whole number, 1 to 400"),
        (["--serve", "--port", "70000"], "port: found 70000, expected 0 to 65535; 0 takes a free one"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], line: str
):
    assert main(["town", str(tmp_path / "new"), *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: {line}\n")
    assert not (tmp_path / "new").exists()


def test_satellite_and_serve_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["town", str(tmp_path), "--satellite", "--serve"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_in_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert main(["town", str(tmp_path / "file"), "--satellite"]) == 2
    assert capsys.readouterr().err.startswith("error: folder: found the file ")
