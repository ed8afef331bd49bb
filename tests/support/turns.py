"""Turns of the press in a test."""

from __future__ import annotations

import asyncio

from node.printing.driver import PrintDriver
from node.printing.press import Press
from node.printing.rights import RightsClient
from node.storage.store import NodeStore
from tests.support.office import NOW_MS, PlainMaker

PRINTER = "folder:test"


def turn(
    store: NodeStore, driver: PrintDriver, *, rights: RightsClient | None = None, now_ms: int = NOW_MS
) -> None:
    """A press that starts, takes one turn and ends, as after a restart."""

    async def one() -> None:
        press = Press(store, driver, PlainMaker(), printer=PRINTER, rights=rights, now_ms=lambda: now_ms)
        try:
            await press.turn()
        finally:
            await press.close()

    asyncio.run(one())
