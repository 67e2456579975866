"""Tiny notebooks, made when a test asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

Make = Callable[..., Path]


@pytest.fixture
def make_notebook(tmp_path: Path) -> Make:
    """A function that writes a notebook: its parameters cell, then code cells."""

    def make(
        parameters: str, *code: str, name: str = "tiny", title: str = "# A tiny notebook\n\nIt counts."
    ) -> Path:
        cells = [new_markdown_cell(title), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        notebook = new_notebook(cells=cells + [new_code_cell(source) for source in code])
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    return make


@pytest.fixture
def counting(make_notebook: Make) -> Path:
    """A notebook that writes `n` bytes, prints, and reports what it did; about as small as one can be."""
    return make_notebook(
        'n: int = 3  # bytes to write {1..99}\nword: str = "a"  # what to print',
        "from geolab import jobs\nrun = jobs.context()",
        "print('hello', word, flush=True)\nrun.progress(n, n, 'bytes')",
        "run.path('sub/a.txt').write_text('x' * n)",
        "jobs.report(n=n, word=word, file=run.path('sub/a.txt'))",
        name="counting",
    )


@pytest.fixture
def sleeping(make_notebook: Make) -> Path:
    """A notebook that writes and sleeps `seconds` in steps of 0.1 s."""
    return make_notebook(
        "seconds: float = 1.0  # how long {0..}",
        "import time\nfrom geolab import jobs\nrun = jobs.context()",
        "for step in range(round(seconds * 10)):\n"
        "    time.sleep(0.1)\n"
        "    print('step', step, flush=True)\n"
        "    run.path(f'part-{step}.bin').write_bytes(bytes(10_000))",
        "jobs.report(seconds=seconds)",
        name="sleeping",
    )
