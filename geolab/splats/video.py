"""Pictures to H.264 video that every browser plays, through the ffmpeg that imageio-ffmpeg brings."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from geolab.errors import BadInput, FileRejected, MissingExtra, one_line
from geolab.store import atomic_path

Picture = NDArray[np.uint8]

CRF = 20  # constant quality: 0 is lossless, 51 worst
PRESET = "medium"
THREADS = 4  # fixed: x264's bits depend on it, not on the machine
WAIT_S = 60  # for ffmpeg to end after the last picture


class Film:
    """A video that is being written; see `film`."""

    def __init__(self, pipe: IO[bytes], shape: tuple[int, int]):
        self._pipe, self._shape = pipe, shape

    def write(self, picture: Picture) -> None:
        """Add a picture [y, x, 3]; an odd last row or column is left out."""
        height, width = self._shape
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise BadInput("picture", found=f"{picture.dtype} {picture.shape}", expected="uint8 [y, x, 3]")
        if (picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2) != (height, width):
            raise BadInput(
                "picture", found=f"{picture.shape[:2]} px", expected=f"{(height, width)}, as the first"
            )
        self._pipe.write(np.ascontiguousarray(picture[:height, :width]).data)


@contextmanager
def film(out: str | Path, *, width: int, height: int, fps: float = 24.0, crf: int = CRF) -> Iterator[Film]:
    """A film to write pictures to; when the block ends well, `out` is an MP4 (H.264, yuv420p, BT.709).

    Sizes are rounded down to even ones. The index stands first, so that browsers play before all is loaded.
    The same pictures give the same bytes. Nothing is visible under `out` before, or if the block raises.
    Raises BadInput, MissingExtra (no ffmpeg), FileRejected with ffmpeg's reason.
    """
    shape = (height // 2 * 2, width // 2 * 2)
    if min(shape) < 2 or max(shape) > 16384:
        raise BadInput("video", found=f"{width} x {height} px", expected="2 to 16384 px a side")
    if not 1 <= fps <= 240:
        raise BadInput("fps", found=fps, expected="1 to 240")
    if not 0 <= crf <= 51:
        raise BadInput("crf", found=crf, expected="0 (lossless) to 51")
    target = Path(out).absolute()
    with atomic_path(target, suffix=".mp4") as temporary, tempfile.TemporaryFile() as said:
        command = _command(temporary, shape, fps, crf)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert process.stdin is not None
        try:
            yield Film(process.stdin, shape)
            process.stdin.close()
            if process.wait(WAIT_S) != 0:
                raise _failed(target, said)
        except (BrokenPipeError, subprocess.TimeoutExpired) as error:
            process.kill()
            process.wait()
            raise _failed(target, said) from error
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin is not None and not process.stdin.closed:
        with suppress(BrokenPipeError):  # of what was still in the buffer
            process.stdin.close()


def _command(out: Path, shape: tuple[int, int], fps: float, crf: int) -> list[str]:
    scale = "scale=in_range=pc:out_range=tv:out_color_matrix=bt709"
    named = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    return [
        ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{shape[1]}x{shape[0]}", "-r", f"{fps:g}", "-i", "pipe:0", "-an",
        "-vf", f"{scale},{named}", "-c:v", "libx264", "-preset", PRESET,
        "-crf", str(crf), "-pix_fmt", "yuv420p", "-threads", str(THREADS), "-map_metadata", "-1",
        "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4",
        f"file:{out}",
    ]  # fmt: skip


def ffmpeg() -> str:
    """The path of the ffmpeg program. Raises MissingExtra."""
    try:
        import imageio_ffmpeg  # the only door to it

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise MissingExtra("video", extra="splats", cause=one_line(error, 100)) from error


def _failed(out: Path, said: IO[bytes]) -> FileRejected:
    said.seek(0)
    lines = [line for line in said.read(1 << 16).decode(errors="replace").splitlines() if line.strip()]
    return FileRejected(out.name, f"ffmpeg can't write it: {lines[-1] if lines else 'it gave no reason'}")


def encode(pictures: Iterable[Picture], out: str | Path, *, fps: float = 24.0, crf: int = CRF) -> Path:
    """Write pictures [y, x, 3], all of one size, as a video; see `film`. Raises BadInput without any."""
    stream = iter(pictures)
    first = next(stream, None)
    if first is None:
        raise BadInput("video", found="no pictures", expected="at least one")
    with film(out, width=first.shape[1], height=first.shape[0], fps=fps, crf=crf) as writer:
        writer.write(first)
        for picture in stream:
            writer.write(picture)
    return Path(out)
