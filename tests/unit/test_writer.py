"""Who goes first in the thread that writes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from hub.ingest.writer import ROW_MAX, Urgency, WriterThread


async def queued(writer: WriterThread, calls: list[tuple[Urgency, str]]) -> list[str]:
    """The order in which calls run that were all asked for while the thread was busy."""
    done: list[str] = []
    begun, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        may_go.wait(10)

    holding = asyncio.create_task(writer.call_as(Urgency.MERGE, hold))
    await asyncio.to_thread(begun.wait, 10)
    waiting = [asyncio.create_task(writer.call_as(urgency, done.append, name)) for urgency, name in calls]
    await asyncio.sleep(0)
    may_go.set()
    await asyncio.gather(holding, *waiting)
    return done


async def test_rights_go_before_words_before_frames_before_tidying_and_each_class_keeps_its_order() -> None:
    writer = WriterThread()
    asked = [
        (Urgency.TIDY, "t1"), (Urgency.MERGE, "m1"), (Urgency.WORD, "w1"), (Urgency.RIGHT, "r1"),
        (Urgency.WORD, "w2"), (Urgency.MERGE, "m2"), (Urgency.RIGHT, "r2"),
    ]  # fmt: skip
    assert await queued(writer, asked) == ["r1", "r2", "w1", "w2", "m1", "m2", "t1"]
    writer.close()


async def test_a_flood_of_greetings_lets_a_batch_of_frames_through() -> None:
    writer = WriterThread()
    asked = [(Urgency.MERGE, "frames"), *((Urgency.WORD, f"w{number}") for number in range(3 * ROW_MAX))]
    assert (await queued(writer, asked)).index("frames") == ROW_MAX
    writer.close()


async def test_an_error_is_the_callers_and_the_thread_goes_on_until_it_is_closed() -> None:
    writer = WriterThread()
    with pytest.raises(ZeroDivisionError):
        await writer.call(divmod, 1, 0)
    assert await writer.call(divmod, 7, 2) == (3, 1)
    writer.close()
    with pytest.raises(RuntimeError):
        await writer.call(divmod, 1, 1)
