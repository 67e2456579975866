"""The only clock of a page: it ticks when the browser that shows the page says so.

A kernel that sends messages for ever is never culled, so nothing here runs by itself: a page that is
hidden or closed sends no pulse, and nothing is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from geolab.apps.frame import Frame

EARLY_S = 0.05  # a pulse that comes this much early is in time


class Task:
    """Something that is done again and again."""

    def __init__(self, clock: Clock, seconds: float, do: Callable[..., None], work: Callable[[], Any] | None):
        self.clock, self.seconds, self.do, self.work = clock, seconds, do, work
        self.busy = self.stopped = self.failed = False
        self.due = float("-inf")

    def stop(self) -> None:
        """Never do it again."""
        self.stopped = True
        self.clock.forget(self)

    def soon(self) -> None:
        """Do it with the next pulse, and ask for one now."""
        self.due = float("-inf")
        self.clock.frame.wake()


class Clock:
    """The tasks of one page. fault: told what they raise."""

    def __init__(self, frame: Frame, fault: Callable[[BaseException], None]):
        self.frame, self.fault = frame, fault
        self.tasks: list[Task] = []
        frame.on_pulse = self.beat

    def every(self, seconds: float, do: Callable[..., None], work: Callable[[], Any] | None) -> Task:
        """Add a task; it is done with the first pulse, and `seconds` after it was last finished."""
        task = Task(self, max(float(seconds), 0.2), do, work)
        self.tasks.append(task)
        before = self.frame.period_s
        self._set_period()
        if self.frame.period_s == before:  # a page that is shown already would say so later only
            self.frame.wake()
        return task

    def once(self, do: Callable[..., None], work: Callable[[], Any]) -> None:
        """Do one piece of work now."""
        self._start(Task(self, 0, do, work))

    def forget(self, task: Task) -> None:
        """Leave a task out from now on."""
        self.tasks = [other for other in self.tasks if other is not task]
        self._set_period()

    def beat(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for task in list(self.tasks):
            if not task.busy and not task.stopped and task.due <= now + EARLY_S:
                self._start(task)

    def _set_period(self) -> None:
        self.frame.period_s = min((task.seconds for task in self.tasks), default=0.0)

    def _start(self, task: Task) -> None:
        task.busy = True
        loop = _loop()
        if task.work is None or loop is None:  # outside a kernel there is no loop to come back to
            self._finish(task, *_tried(task.work) if task.work else ((), None))
            return
        future = loop.run_in_executor(None, _tried, task.work)
        future.add_done_callback(lambda done: self._finish(task, *done.result()))

    def _finish(self, task: Task, results: tuple[Any, ...], error: BaseException | None) -> None:
        try:
            if error is None and not task.stopped:
                task.do(*results)
        except Exception as problem:  # noqa: BLE001 (told by the page)
            error = problem
        if error is not None and not task.failed:
            self.fault(error)  # once, not with every pulse
        task.failed = error is not None
        task.busy = False
        task.due = time.monotonic() + task.seconds


def _tried(work: Callable[[], Any]) -> tuple[tuple[Any, ...], BaseException | None]:
    try:
        return (work(),), None
    except Exception as error:  # noqa: BLE001 (told by the page)
        return (), error


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
