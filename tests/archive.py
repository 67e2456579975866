"""A tiny satellite archive of the sample world, and a real server for it in a process of its own.

python tests/archive.py DIR        serves DIR; reads faults as lines of JSON from its input
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

YEARS, CELLS, CELL_PX = range(2021, 2023), 2, 32


def make(folder: Path, **settings: Any) -> Path:
    """An archive of two cells and two years in a folder; a second or two."""
    from geolab.town import satellite

    satellite.write(folder, **{"years": YEARS, "cells": CELLS, "cell_px": CELL_PX, **settings})
    return folder


@dataclass
class Served:
    """A server that answers. The process may be stopped or killed by the test."""

    url: str
    process: subprocess.Popen[str]

    def fail(self, pattern: str, *, status: int = 503, times: int | None = None) -> None:
        """Requests whose path matches, such as "/assets/*/red.tif", get a status from now on."""
        self._say({"pattern": pattern, "status": status, "times": times})

    def mend(self) -> None:
        """Everything is answered again."""
        self._say(None)

    def _say(self, fault: dict[str, Any] | None) -> None:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(json.dumps(fault), file=stdin, flush=True)
        assert stdout.readline() == "done\n"


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A server for an archive on a free port of loopback; gone after the block."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "the server did not start"
            yield Served(url, process)
        finally:
            process.kill()


def _serve(folder: str) -> None:
    from geolab.service import archive

    faults = archive.Faults()
    threading.Thread(target=_obey, args=(sys.stdin, faults), daemon=True).start()
    archive.serve(folder, ready=lambda url: print(url, flush=True), faults=faults)


def _obey(lines: IO[str], faults: Any) -> None:
    for line in lines:
        fault = json.loads(line)
        if fault is None:
            faults.mend()
        else:
            faults.fail(fault.pop("pattern"), **fault)
        print("done", flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
