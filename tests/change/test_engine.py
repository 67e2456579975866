"""Stages that overlap: the order of items, errors from any of them, and their end."""

from __future__ import annotations

import threading
import time

import pytest

from geolab.change import engine


class Broken(Exception):
    pass


def numbers(count: int, *, fail_at: int = -1, closed: list[str] | None = None):
    try:
        for i in range(count):
            if i == fail_at:
                raise Broken
            yield i
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def test_items_made_ahead_are_the_same_items():
    assert list(engine.ahead(range(100), 3)) == list(range(100))


def test_no_more_than_the_depth_is_made_ahead():
    made: list[int] = []
    items = engine.ahead((made.append(i) or i for i in range(100)), 3)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + 3 + 1  # taken, waiting, and one in the hand
    items.close()


def test_an_error_of_the_maker_comes_out_after_the_items_before_it():
    items = engine.ahead(numbers(10, fail_at=4), 2)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(Broken):
        next(items)


def test_a_maker_that_is_not_needed_any_more_is_closed_in_its_own_thread():
    before, closed = threading.active_count(), []
    items = engine.ahead(numbers(1000, closed=closed), 2)
    next(items)
    items.close()
    assert closed == ["geolab-reader"]
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_keep_the_order_of_the_items(workers):
    def slow_for_some(i: int) -> int:
        time.sleep(0.01 if i % 3 == 0 else 0)
        return -i

    assert list(engine.ordered(slow_for_some, range(40), workers)) == [-i for i in range(40)]


def test_items_are_taken_as_results_are():
    taken: list[int] = []
    results = engine.ordered(lambda i: i, (taken.append(i) or i for i in range(100)), 2)
    assert next(results) == 0
    assert len(taken) == 5
    results.close()


def test_an_error_while_computing_comes_out():
    def fail(i: int) -> int:
        raise Broken

    with pytest.raises(Broken):
        list(engine.ordered(fail, range(10), 3))


def test_sinks_have_consumed_everything_at_the_end():
    one: list[int] = []
    two: list[int] = []
    with engine.sinks(one.extend, two.extend, depth=2) as (first, second):
        for i in range(50):
            first.put(i)
            second.put(-i)
    assert (one, two) == (list(range(50)), [-i for i in range(50)])


def test_an_error_of_a_consumer_stops_the_giver():
    def fail(items) -> None:
        next(items)
        raise Broken

    rest: list[int] = []
    with pytest.raises(Broken), engine.sinks(fail, rest.extend, depth=2) as (first, second):
        for i in range(10_000):
            second.put(i)
            first.put(i)
    assert len(rest) < 10_000


def test_an_error_of_a_consumer_at_its_very_end_comes_out():
    def fail(items) -> None:
        list(items)
        raise Broken

    with pytest.raises(Broken), engine.sinks(fail) as (sink,):
        sink.put(1)


def test_consumers_of_abandoned_work_never_come_to_a_good_end():
    ends: list[str] = []

    def consume(items) -> None:
        try:
            list(items)
            ends.append("complete")
        except engine.Stopped:
            ends.append("stopped")
            raise

    with pytest.raises(Broken), engine.sinks(consume, consume) as (sink, _):
        sink.put(1)
        raise Broken
    assert ends == ["stopped", "stopped"]
