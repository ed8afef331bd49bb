"""Ending tasks for certain."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sepe_io.tasks import end_tasks, end_within


async def test_a_task_that_loses_its_first_cancellation_is_ended_all_the_same() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                # As wait_for of Python 3.11 does when the result comes in the same turn of the loop.
                lost += 1
                if lost == 2:
                    raise

    async def failing() -> None:
        raise ValueError("dropped")

    tasks = [
        asyncio.create_task(stubborn()),
        asyncio.create_task(failing()),
        asyncio.create_task(asyncio.sleep(0)),
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks(tasks)
    assert lost == 2 and all(task.done() for task in tasks)
    assert isinstance(tasks[1].exception(), ValueError)


async def test_what_an_ended_task_raised_is_dropped_and_not_logged_as_forgotten() -> None:
    said: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))

    async def failing_at_the_end() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("dropped") from None

    async def failing() -> None:
        raise ValueError("dropped")

    tasks = [asyncio.create_task(failing()), asyncio.create_task(failing_at_the_end())]
    await asyncio.sleep(0)
    await end_tasks(tasks)
    tasks.clear()
    gc.collect()
    assert said == []


async def test_who_lets_go_in_order_is_not_broken_into_and_who_never_does_holds_nobody_up() -> None:
    said: list[str] = []
    is_over = asyncio.Event()

    async def orderly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)  # Over end_tasks' pause between two cancellations.
            said.append("closed")

    async def losing_one() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def deaf() -> None:
        while not is_over.is_set():
            with suppress(asyncio.CancelledError):
                await is_over.wait()

    parts: tuple[Callable[[], Awaitable[None]], ...] = (orderly, losing_one, deaf)
    tasks = [asyncio.ensure_future(part()) for part in parts]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_within(tasks, orderly_s=0.5, timeout_s=1.0)
    assert said == ["closed"]
    assert [task.done() for task in tasks] == [True, True, False]
    is_over.set()
    await tasks[2]
