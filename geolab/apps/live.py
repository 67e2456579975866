"""What is new of a run since one looked last: its state, log, metrics and figures. For a thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geolab import jobs
from geolab.jobs import events
from geolab.jobs.listing import View
from geolab.settings import Settings

PICTURES = (".png", ".webp", ".jpg", ".jpeg")
MOST_PICTURES = 60
MOST_BYTES = 40_000_000  # of the events that are read at the first look; older ones are left out
_LOUD = ("WARNING", "ERROR", "CRITICAL")

Series = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Picture:
    """A figure in the run's folder. name: relative; stamp: changes when the file does."""

    name: str
    stamp: int


@dataclass(frozen=True)
class Look:
    """A run at one moment. log: text that is new; series: of all metrics so far."""

    view: View
    log: str
    series: Series
    pictures: tuple[Picture, ...]
    notebook: str  # the file that it was made of, or its name


@dataclass
class Live:
    """Reads a run's events from where it stopped before."""

    settings: Settings
    run_id: str
    series: Series = field(default_factory=dict)
    notebook: str = ""
    _offset: int = -1

    def look(self) -> Look:
        """What there is now. Raises NotFound for a run that is not."""
        view = jobs.show(self.run_id, settings=self.settings)
        log = "".join(self._lines(view.folder))
        drawn = tuple(pictures(view.folder))
        series = {name: list(points) for name, points in self.series.items()}
        return Look(view, log, series, drawn, self.notebook or view.notebook)

    def _lines(self, folder: Path) -> Iterator[str]:
        """The new lines of the log; metrics are noted in passing."""
        for event in self._new(folder):
            kind = event["event"]
            if kind == "log":
                yield _line(event)
            elif kind == "metric":
                self._note(event)
            elif kind == "asked":
                self.notebook = str(event.get("notebook") or "")

    def _new(self, folder: Path) -> Iterator[dict[str, Any]]:
        try:
            with (folder / events.FILE).open("rb") as stream:
                size = stream.seek(0, 2)
                if self._offset < 0 or self._offset > size:
                    self._offset = max(0, size - MOST_BYTES)
                stream.seek(self._offset)
                yield from events.take(stream)
                self._offset = stream.tell()
        except OSError:
            return  # the folder is being published just now, or was cleared away

    def _note(self, event: dict[str, Any]) -> None:
        name, value, step = event.get("name"), event.get("value"), event.get("step")
        if isinstance(name, str) and isinstance(value, int | float):
            own = self.series.setdefault(name[:80], [])
            own.append((float(step) if isinstance(step, int | float) else float(len(own)), float(value)))


def _line(event: dict[str, Any]) -> str:
    level = event.get("level")
    return f"{f'{level}: ' if level in _LOUD else ''}{event.get('text', '')}\n"


def pictures(folder: Path) -> Iterator[Picture]:
    """The figures that are written whole, oldest first."""
    found = []
    for path in _files(folder):
        if path.suffix.lower() in PICTURES and not path.name.startswith("."):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((status.st_mtime_ns, path.relative_to(folder).as_posix()))
    for stamp, name in sorted(found)[:MOST_PICTURES]:
        yield Picture(name, stamp)


def _files(folder: Path) -> Iterator[Path]:
    """The files of the folder and of its subfolder figures."""
    for place in (folder, folder / "figures"):
        try:
            yield from (path for path in place.iterdir() if path.is_file() and not path.is_symlink())
        except OSError:
            continue
