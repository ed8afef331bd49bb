"""Parts of the press by themselves: the thread of the database, and when to ask a printer again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from node.printing.lane import poll_seconds
from node.printing.thread import URGENT, DatabaseThread


async def test_an_urgent_call_passes_those_that_wait_and_never_overlaps_one_that_runs() -> None:
    thread, gate, done = DatabaseThread("test"), threading.Event(), []
    begun = threading.Event()

    def first() -> None:
        begun.set()
        gate.wait(10)
        done.append("first")

    calls = [asyncio.create_task(thread.run(first))]
    await asyncio.to_thread(begun.wait, 10)
    calls.append(asyncio.create_task(thread.run(done.append, "usual")))
    calls.append(asyncio.create_task(thread.run(done.append, "urgent", rank=URGENT)))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls)
    assert done == ["first", "urgent", "usual"]
    await thread.close()


async def test_what_a_call_raises_belongs_to_its_caller_and_the_thread_goes_on() -> None:
    thread = DatabaseThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 7) == 7
    await thread.close()


def test_a_printer_is_asked_seldom_while_its_card_cannot_be_out_and_often_when_it_should_be() -> None:
    assert poll_seconds(36.0, 0.0) == 9.0
    assert poll_seconds(36.0, 35.9) == 0.25
    assert poll_seconds(3.6, 3.6) == pytest.approx(0.036)
    assert poll_seconds(0.01, 0.01) == 0.01
    assert poll_seconds(3.6, 60.0) == 0.25, "a card that is overdue is not forgotten"
    asked, at_s = 0, 0.0
    while at_s < 36.0:
        asked, at_s = asked + 1, at_s + poll_seconds(36.0, at_s)
    assert asked < 40 and at_s < 36.5
