"""Run a command that ends when the process that started it does: python tied.py COMMAND...

On Linux only; elsewhere the command runs and is ended by whoever stops the hub.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent = os.getppid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main()
