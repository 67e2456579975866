"""Videos are read back with ffmpeg."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from geolab.errors import BadInput, FileRejected
from geolab.splats import video


def pictures(n: int = 7, height: int = 62, width: int = 94) -> list[np.ndarray]:
    """Smooth colours that move."""
    y, x = np.mgrid[:height, :width]
    moving = [np.stack([x * 2 + k * 5, y * 3, 0 * x + 40 * k], axis=-1) for k in range(n)]
    return [np.clip(m, 0, 255).astype(np.uint8) for m in moving]


def read(path: Path) -> tuple[str, np.ndarray]:
    """What ffmpeg says of the stream, and its pictures [n, y, x, 3].

    Not imageio_ffmpeg.read_frames: 0.8.1 leaves its pipes open.
    """
    command = [video.ffmpeg(), "-i", f"file:{path}", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=True)
    about = next(line for line in done.stderr.decode().splitlines() if " Video: h264" in line)
    width, height = (int(v) for v in re.findall(r" (\d+)x(\d+)[ ,]", about)[0])
    return about, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def test_a_video_shows_the_pictures_that_went_in(tmp_path: Path) -> None:
    put = pictures()
    path = video.encode(put, tmp_path / "a video.mp4", fps=12.5)
    about, got = read(path)
    assert "yuv420p(tv, bt709, progressive)" in about
    assert " 12.50 fps" in about
    assert got.shape == (7, 62, 94, 3)
    for one, other in zip(put, got, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    data = video.encode(pictures(), tmp_path / "v.mp4").read_bytes()
    assert data[4:8] == b"ftyp"
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (video.encode(pictures(12), tmp_path / f"{k}.mp4").read_bytes() for k in range(2))
    assert first == second


def test_odd_sizes_lose_their_last_row_and_column(tmp_path: Path) -> None:
    _, got = read(video.encode(pictures(3, 61, 95), tmp_path / "odd.mp4"))
    assert got.shape == (3, 60, 94, 3)
    assert np.abs(pictures(3, 61, 95)[0][:60, :94].astype(int) - got[0]).mean() < 4


@pytest.mark.parametrize("name", ["-y.mp4", "a'b;c $(d).mp4", "concat:x.mp4", "ä%05d.mp4"])
def test_odd_names_are_only_names(name: str, tmp_path: Path) -> None:
    path = video.encode(pictures(2), tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert len(read(path)[1]) == 2


def test_nothing_is_left_of_a_video_that_was_given_up(tmp_path: Path) -> None:
    def broken():
        yield from pictures(3)
        raise RuntimeError("no more")

    (tmp_path / "v.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no more"):
        video.encode(broken(), tmp_path / "v.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_bytes() == b"old"


@pytest.mark.parametrize("kill", [False, True], ids=["before the end", "at the end"])
def test_the_reason_of_ffmpeg_is_told_in_one_line(
    kill: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = video.ffmpeg()
    broken = tmp_path / "ffmpeg"
    read_all = "cat >/dev/null; " if kill else ""
    broken.write_text(f"#!/bin/sh\n{read_all}echo first >&2; echo 'no space left' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(broken))
    assert video.ffmpeg() == str(broken) != real
    with pytest.raises(FileRejected) as caught:
        video.encode(pictures(60, 256, 256), tmp_path / "v.mp4")
    assert str(caught.value) == "v.mp4: ffmpeg can't write it: no space left"
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]


def test_no_process_outlives_its_video(tmp_path: Path) -> None:
    with pytest.raises(BadInput), video.film(tmp_path / "v.mp4", width=64, height=64) as film:
        film.write(np.zeros((64, 64, 3), np.uint8))
        film.write(np.zeros((32, 64, 3), np.uint8))
    told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in told


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 1, "height": 64}, "video: found 1 x 64 px"),
        ({"width": 64, "height": 99999}, "expected 2 to 16384 px"),
        ({"width": 64, "height": 64, "fps": 0}, "fps: found 0, expected 1 to 240"),
        ({"width": 64, "height": 64, "fps": float("nan")}, "fps: found nan"),
        ({"width": 64, "height": 64, "crf": 99}, "crf: found 99"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message), video.film(tmp_path / "v.mp4", **settings):
        pass
    assert not list(tmp_path.iterdir())


def test_pictures_of_another_kind_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected at least one"):
        video.encode([], tmp_path / "v.mp4")
    with pytest.raises(BadInput, match="float64"):
        video.encode([np.zeros((8, 8, 3))], tmp_path / "v.mp4")  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())
