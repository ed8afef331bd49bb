"""Ending tasks for certain."""

import asyncio

from sepe_io.tasks import end_tasks


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
