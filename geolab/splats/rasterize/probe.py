"""Whether gsplat is there and draws. Its just-in-time build hides why it failed; this finds out."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import re
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import torch

WORST = re.compile(r"\berror:|not set|not found|no cuda|no kernel|mismatch|requires|required", re.IGNORECASE)
TELLING = re.compile(r"error", re.IGNORECASE)
_lock = threading.Lock()
_known: list[Found] = []


@dataclass(frozen=True)
class Found:
    """works: version and device, in words; or cause: why not, one line; missing: it is not installed."""

    works: str = ""
    cause: str = ""
    missing: bool = False


def gsplat() -> Found:
    """What came of importing gsplat and drawing one Gaussian; tried once in a process (minutes at first)."""
    with _lock:
        if not _known:
            _known.append(_try())
        return _known[0]


def _try() -> Found:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's extension builder, and deprecations in gsplat
            _draw(importlib.import_module("gsplat.rendering"))
    except ModuleNotFoundError as error:
        return Found(cause=str(error), missing=True)
    except Exception as error:  # noqa: BLE001 whatever a compiler, linker or driver throws is reported, not hidden
        return Found(cause=cause(error, said.getvalue()))
    version = importlib.metadata.version("gsplat")
    return Found(works=f"gsplat {version} on {torch.cuda.get_device_name()}")


def _draw(rendering: Any) -> None:
    """One Gaussian in the middle of 16 x 16 pixels. Raises RuntimeError if the image is not right."""
    one = torch.eye(4, device="cuda")
    camera = one.new_tensor([[16.0, 0, 8.5], [0, 16.0, 8.5], [0, 0, 1]])[None]
    place, turn, spread = one.new_tensor([[0, 0, 4.0]]), one[:1], one.new_full((1, 3), 0.5)
    image, _, _ = rendering.rasterization(
        place,
        turn,
        spread,
        one.new_tensor([0.5]),
        one.new_ones(1, 3),
        one[None],
        camera,
        16,
        16,
        packed=False,
    )
    found = float(image[0, 8, 8].mean())
    if not abs(found - 0.5) < 1e-3:
        raise RuntimeError(f"its first image is wrong: {found:.4g} in place of 0.5")


def cause(error: BaseException, said: str) -> str:
    """The line that says why, of an error, those it came from, and what was printed on the way.

    gsplat answers any OSError of the build by loading the library that was never built, and a missing
    toolkit with a printed line and an extension that is None: the first error and the print tell more.
    """
    first = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    lines = [line.strip() for text in (str(first), said, str(error)) for line in text.splitlines()]
    lines = [line for line in lines if line]
    found = [[line for line in lines if words.search(line)] for words in (WORST, TELLING)]
    line = next((some[0] for some in (*found, lines) if some), type(error).__name__)
    return line if len(line) <= 140 else line[:139] + "…"
