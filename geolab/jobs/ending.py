"""An IPython extension that every kernel of a run loads: its threads end in an order that works.

ipykernel 7.4 answers a request to shut down in one thread and closes its streams in another; when
the second is first, each waits for the other until the kernel is killed, some seconds later, and
what the notebook had not written yet is lost. It happens once in about ten runs.
"""

from __future__ import annotations

import atexit
from functools import partial
from typing import Any

NAME = "geolab.jobs.ending"
LONGEST_S = 2.0


def load_ipython_extension(shell: Any) -> None:
    """Wait, before anything is closed, for the thread that answers the request."""
    thread = shell.kernel.parent.control_thread
    atexit.register(partial(thread.join, LONGEST_S))  # the last registered is the first called
