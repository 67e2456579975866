"""The line in which work waits: bounded, told its places, done by one thread, several at once.

What one page asks for replaces what it asked for before and has not got yet: a view that is turned
wants its newest picture only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from geolab.errors import Busy, Superseded

MOST_WAITING = 64
MOST_AT_ONCE = 8


class Job(Protocol):
    """group: jobs of one group can be done together. client: who asks; empty for nobody in particular."""

    @property
    def group(self) -> Hashable: ...
    @property
    def client(self) -> str: ...


@dataclass(eq=False)
class _Place:
    job: Any
    told: Callable[[int], None]
    result: asyncio.Future[Any]
    number: int = field(default=-1)  # as last told


class Line:
    """Jobs in the order of their arrival. perform: does jobs of one group, a result or error for each."""

    def __init__(
        self,
        perform: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        most: int = MOST_WAITING,
        at_once: int = MOST_AT_ONCE,
    ):
        self._perform, self._most, self._at_once = perform, most, at_once
        self._waiting: list[_Place] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="geolab-models")
        self._working: asyncio.Task[None] | None = None
        self.done = 0  # jobs
        self.batches = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def do(self, job: Job, told: Callable[[int], None] = lambda _: None) -> Any:
        """What came of the job. told: is called with how many are before it, each time this changes.

        Raises Busy when too many wait, Superseded when its client asked for something newer.
        """
        self._forget_older(job)
        if len(self._waiting) >= self._most:
            raise Busy("the model server", waiting=len(self._waiting))
        place = _Place(job, told, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._tell()
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        try:
            return await place.result
        finally:
            if place in self._waiting:  # whoever asked has gone
                self._waiting.remove(place)
                self._tell()

    def _forget_older(self, job: Job) -> None:
        older = [place for place in self._waiting if job.client and place.job.client == job.client]
        for place in older:
            self._waiting.remove(place)
            if not place.result.done():
                place.result.set_exception(Superseded())

    def _tell(self) -> None:
        for number, place in enumerate(self._waiting):
            if place.number != number:
                place.number = number
                place.told(number)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._next()
            self._tell()
            results = await loop.run_in_executor(self._thread, self._performed, [p.job for p in batch])
            self.done, self.batches = self.done + len(batch), self.batches + 1
            for place, result in zip(batch, results, strict=True):
                if place.result.done():  # nobody waits for it any more
                    continue
                if isinstance(result, BaseException):
                    place.result.set_exception(result)
                else:
                    place.result.set_result(result)
        self._working = None

    def _next(self) -> list[_Place]:
        """The first, and those that can be done with it."""
        group = self._waiting[0].job.group
        batch = [place for place in self._waiting if place.job.group == group][: self._at_once]
        self._waiting = [place for place in self._waiting if place not in batch]
        return batch

    def _performed(self, jobs: list[Any]) -> Sequence[Any]:
        try:
            return self._perform(jobs)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait; the line goes on
            return [error] * len(jobs)
