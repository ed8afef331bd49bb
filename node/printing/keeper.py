"""Keeping this machine's rights in order with the centre, whether it prints or not.

One turn tells the hub of promises made here, claims beforehand what the roll wants, and asks what is new:
questions for rights, moved rights, holds, cards that were moved here. With nothing new the question waits at the
hub, so a word from there is here within a second. Everything that is said is first on our disk
(`node.printing.rights`); this is only the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from node.desk import guests
from node.desk.standing import apply_changes, place
from node.printing.check import note_checks
from node.printing.rights import NewsClient, Right, RightBook
from node.printing.room import RoomTeller
from node.storage.store import NodeStore
from sepe.errors import PeerProtocolError, SepeError, TransientError
from sepe_io.logs import logger
from sepe_io.seal import sha256_of
from sepe_io.sqlite import DiskFailedError

T = TypeVar("T")

WAIT_MS = 20_000
PROMISES_MAX = 100
CLAIMS_MAX = 50
PHOTOS_MAX = 20
PHOTO_SECONDS = 15.0
TURNS_MAX = 1_000
NO_LINE_SECONDS = 5.0
FAULT_SECONDS = 5.0
BEFOREHAND_RETRY_MS = 30 * 60_000
_HOPELESS = frozenset({"already_printed", "superseded", "dead"})

log = logger(__name__)


class RightsKeeper:
    """Keeps the rights of one node directory.

    Args:
        store: for this keeper alone; it is used in a thread of its own.
    """

    def __init__(self, store: NodeStore, client: NewsClient, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._client = client
        self._now_ms = now_ms
        self._book = RightBook(store)
        self._room = RoomTeller(store)
        # What came of photos whose line broke, by digest.
        self._begun: dict[bytes, bytearray] = {}
        self._thread = ThreadPoolExecutor(1, "rights")

    async def close(self) -> None:
        """Wait for what the disk is doing; the store may be closed afterwards."""
        await asyncio.to_thread(self._thread.shutdown)

    async def run(self) -> None:
        """Take turns until cancelled; without a line it tries again.

        Raises:
            DiskFailedError: only a new start can use the database again.
        """
        while True:
            pause_s = 0.0
            try:
                await self.turn(wait_ms=WAIT_MS)
            except DiskFailedError:
                raise
            except TransientError:
                pause_s = NO_LINE_SECONDS
            except SepeError as exc:
                log.warning("rights.turn_failed", error=type(exc).__name__, detail=str(exc))
                pause_s = FAULT_SECONDS
            await asyncio.sleep(pause_s)

    async def settle(self) -> int:
        """Turns without waiting, until nothing is to be told and nothing is new; returns how many changes came.

        Raises:
            TransientError: no line; what was taken in stays.
        """
        count = 0
        for _ in range(TURNS_MAX):
            came = await self.turn(wait_ms=0)
            count += came
            if not came and not await self._db(self._book.promises, 1):
                break
        return count

    async def turn(self, *, wait_ms: int) -> int:
        """Tell what is to be told, then hear what is new; returns how many changes came.

        Raises:
            TransientError: no line.
        """
        for promise in await self._db(self._book.promises, PROMISES_MAX):
            if await self._client.give_back(promise.right, promise.fence):
                await self._db(self._book.told, promise)
        await self._claim_beforehand()
        await self._fetch_photos()
        await self._db(note_checks, self._store, self._now_ms())
        kept = await self._db(self._book.reconsider, self._now_ms())
        if await self._db(self._book.promises, 1):
            wait_ms = 0  # Looked at again, a right is not needed here any more.
        feed, after = await self._db(place, self._store)
        word = await self._db(self._room.due, self._now_ms())
        answer = await self._client.changes(feed, after, wait_ms=wait_ms, kept=kept, word=word)
        if word is not None:
            self._room.told(word, self._now_ms())
        count = await self._db(apply_changes, self._store, answer, self._now_ms())
        if count:
            await self._fetch_photos()
        return count

    async def _fetch_photos(self) -> None:
        """Photos of cards that were moved here, as many as come in one turn's time.

        A thin line goes on with the rest at the next turn: promises and news wait for no picture.
        """
        with suppress(TimeoutError, TransientError):
            async with asyncio.timeout(PHOTO_SECONDS):
                await self._fetch_all_photos()

    async def _fetch_all_photos(self) -> None:
        """One that the hub does not give keeps its card held."""
        for photo in await self._db(guests.photos_wanted, self._store, PHOTOS_MAX):
            have = self._begun.setdefault(photo.sha256, bytearray())
            try:
                await self._client.photo(photo.right, photo.sha256, have)
            except PeerProtocolError as exc:
                self._begun.pop(photo.sha256, None)
                log.warning("photo.refused", reason=exc.reason, detail=str(exc))
                continue
            data = bytes(self._begun.pop(photo.sha256))
            if sha256_of(data) != photo.sha256:
                log.warning("photo.broken")
                continue
            await self._db(guests.photo_came, self._store, photo, data, self._now_ms())

    async def _claim_beforehand(self) -> None:
        now_ms = self._now_ms()
        for right in await self._db(self._book.wanted_beforehand, now_ms, CLAIMS_MAX):
            grip = await self._db(self._book.grip, right)
            answer = await self._client.claim(*right, above=grip.above)
            if answer.granted:
                await self._db(self._book.moved, right, self._store.node, answer.fence)
            else:
                await self._db(self._deny_beforehand, right, answer.reason)

    def _deny_beforehand(self, right: Right, reason: str) -> None:
        retry_ms = self._now_ms() + BEFOREHAND_RETRY_MS
        self._book.ask_later(right, retry_ms=retry_ms, is_hopeless=reason in _HOPELESS)

    async def _db(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*arguments))


async def keep_rights(folder: Path, client: NewsClient, now_ms: Callable[[], int]) -> None:
    """Keep the rights of a node directory until cancelled."""
    store = NodeStore.open(folder)
    keeper = RightsKeeper(store, client, now_ms)
    try:
        await keeper.run()
    finally:
        with suppress(SepeError):
            await keeper.close()
        store.close()
