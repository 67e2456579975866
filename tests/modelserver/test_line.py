"""The line: order, places, batches, what is full, what is replaced, who goes away."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from geolab.errors import BadInput, Busy, Superseded
from geolab.modelserver.line import Line


@dataclass(frozen=True)
class Job:
    name: str
    group: str = "one"
    client: str = ""


class Slow:
    """Work that waits until it is let go, and remembers what it did together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, jobs):
        self.begun.set()
        self.go.wait(20)
        self.batches.append([job.name for job in jobs])
        return [
            BadInput("job", found=job.name, expected="good") if job.name == "bad" else job.name
            for job in jobs
        ]


async def waiting(line: Line, count: int) -> None:
    while len(line) != count:
        await asyncio.sleep(0)


async def begin(line: Line, slow: Slow, job: Job) -> asyncio.Task:
    """A job that is being done."""
    task = asyncio.create_task(line.do(job))
    while not slow.begun.is_set():
        await asyncio.sleep(0.001)
    return task


def test_jobs_of_one_group_that_wait_are_done_together_and_the_others_in_order(in_a_loop):
    async def work():
        slow = Slow()
        line = Line(slow, at_once=3)
        first = await begin(line, slow, Job("a"))
        names = [("b", "one"), ("x", "two"), ("c", "one"), ("d", "one"), ("e", "one"), ("y", "two")]
        others = []
        for name, group in names:
            others.append(asyncio.create_task(line.do(Job(name, group))))
            await waiting(line, len(others))
        slow.go.set()
        assert [await first, *[await other for other in others]] == ["a", "b", "x", "c", "d", "e", "y"]
        assert slow.batches == [["a"], ["b", "c", "d"], ["x", "y"], ["e"]]

    in_a_loop(work())


def test_everyone_is_told_how_many_are_before_and_each_number_once(in_a_loop):
    async def work():
        slow, told = Slow(), {"b": [], "c": []}
        line = Line(slow, at_once=1)
        tasks = [await begin(line, slow, Job("a"))]
        for name in told:
            tasks.append(asyncio.create_task(line.do(Job(name), told[name].append)))
            await waiting(line, len(tasks) - 1)
        slow.go.set()
        await asyncio.gather(*tasks)
        assert told == {"b": [0], "c": [1, 0]}

    in_a_loop(work())


def test_a_full_line_says_so_at_once_and_goes_on(in_a_loop):
    async def work():
        slow = Slow()
        line = Line(slow, most=2)
        tasks = [await begin(line, slow, Job("a"))]
        tasks += [asyncio.create_task(line.do(Job(name))) for name in "bc"]
        await waiting(line, 2)
        with pytest.raises(Busy, match="the model server is busy, 2 wait already; try again in a moment"):
            await line.do(Job("d"))
        slow.go.set()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]

    in_a_loop(work())


def test_what_a_page_asks_for_replaces_what_it_still_waits_for(in_a_loop):
    async def work():
        slow = Slow()
        line = Line(slow, at_once=1)
        first = await begin(line, slow, Job("1", client="page"))
        older = asyncio.create_task(line.do(Job("2", client="page")))
        other = asyncio.create_task(line.do(Job("x", client="other")))
        await waiting(line, 2)
        newest = asyncio.create_task(line.do(Job("3", client="page")))
        with pytest.raises(Superseded):
            await older
        slow.go.set()
        assert await asyncio.gather(first, other, newest) == ["1", "x", "3"]
        assert slow.batches == [["1"], ["x"], ["3"]]

    in_a_loop(work())


def test_who_goes_away_is_not_waited_for_and_an_error_reaches_only_whose_it_is(in_a_loop):
    async def work():
        slow = Slow()
        line = Line(slow)
        first = await begin(line, slow, Job("a"))
        gone = asyncio.create_task(line.do(Job("gone")))
        bad = asyncio.create_task(line.do(Job("bad")))
        good = asyncio.create_task(line.do(Job("good")))
        await waiting(line, 3)
        gone.cancel()
        await waiting(line, 2)
        slow.go.set()
        assert await first == "a"
        assert await good == "good"
        with pytest.raises(BadInput, match="found bad"):
            await bad
        assert slow.batches == [["a"], ["bad", "good"]]

    in_a_loop(work())


def test_work_that_fails_fails_for_its_batch_and_the_line_goes_on(in_a_loop):
    def broken(jobs):
        if jobs[0].name == "a":
            raise ZeroDivisionError
        return [job.name for job in jobs]

    async def work():
        line = Line(broken)
        with pytest.raises(ZeroDivisionError):
            await line.do(Job("a"))
        assert await line.do(Job("b")) == "b"

    in_a_loop(work())
