"""A process that has imported the scientific stack, and is forked for each run's kernel.

`with warm.start(settings) as template:` once per worker; then `execute(..., template=template)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geolab.settings import Settings


class Template:
    """A process to fork kernels from. `why` says in words why there is none; empty when there is."""

    def __init__(self, why: str = ""):
        self.why = why

    def close(self) -> None:
        """End the process and the kernels forked from it."""


@contextmanager
def start(settings: Settings) -> Iterator[Template]:
    """A template for the runs of this process; it and its kernels end with the block, or with the process."""
    template = Template("" if getattr(settings, "warm", 1) else "switched off by the setting warm=0")
    try:
        yield template
    finally:
        template.close()
