"""What keeps the hub from starting, said in one line."""

from __future__ import annotations


class Problem(Exception):
    """A mistake in the environment or in the file of projects."""
