"""Tiny notebooks for the apps, made when a test asks for them."""

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
