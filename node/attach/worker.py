"""The uploader's hands: files and rows, one call at a time, in a thread and on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from node.attach.retention import retire
from node.attach.sealing import is_whole, reseal, seal_waiting, sealed_path
from node.attach.shelf import MISSING_KEY, SEALING_KEY, Attachment, Shelf, Waiting
from node.clock import now_ms
from node.desk.photos import photo_path
from node.storage.store import NodeStore
from sepe.attach import PHOTO, SHA256_BYTES
from sepe.budget import Budget
from sepe.errors import TransientError

BUDGET_KEY = "attachment_budget"
SEAL_MAX = 32

_T = TypeVar("_T")


class AttachmentWorker:
    """Calls of the shelf, as coroutines. Made by `open`."""

    def __init__(self, store: NodeStore, thread: ThreadPoolExecutor) -> None:
        self.node = store.node
        self.settings = store.settings
        self._store = store
        self._shelf = Shelf(store)
        self._thread = thread
        self._data_version = -1

    @classmethod
    async def open(cls, folder: Path) -> AttachmentWorker:
        """Raises what `NodeStore.open` raises."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="attachments")
        try:
            store = await asyncio.get_running_loop().run_in_executor(thread, NodeStore.open, folder)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(store, thread)

    def close(self) -> None:
        """Wait for the call that is running; drop the others."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    async def seal_if_changed(self) -> Waiting | None:
        """Seal what is to be sealed, and count what waits; ``None`` while no other connection has written."""
        return await self._run(self._seal_if_changed)

    async def seal(self) -> None:
        """Seal what is to be sealed."""
        await self._run(self._seal)

    async def waiting(self) -> Waiting:
        return await self._run(self._shelf.waiting)

    async def due(self, limit: int) -> list[Attachment]:
        return await self._run(lambda: self._shelf.due(limit))

    async def slice(self, row: Attachment, offset: int, size: int) -> bytes:
        """Bytes of a sealed file; fewer, or none, when the file is not what its row says.

        Raises:
            TransientError: it cannot be read now.
        """
        return await self._run(lambda: self._slice(row, offset, size))

    async def heed(self, sealing_key: bytes, sha256s: list[bytes]) -> int:
        """Send again what the hub lacks; return how many will be. Takes its key if none came at enrolment."""
        return await self._run(lambda: self._heed(sealing_key, sha256s))

    async def note(self, row: Attachment, held: int, budget: Budget) -> None:
        """Remember how far the hub is and what the line has cost, in one wait for the disk."""
        await self._run(lambda: self._note(row, held, budget))

    async def save_budget(self, budget: Budget) -> None:
        await self._run(lambda: self._store.put(BUDGET_KEY, _budget_text(budget)))

    async def budget(self) -> Budget:
        """The budget as it was left, or a full one."""
        return await self._run(self._budget)

    async def sent(self, row: Attachment) -> None:
        await self._run(lambda: self._shelf.sent(row.sha256, now_ms()))

    async def refused(self, row: Attachment, reason: str) -> None:
        await self._run(lambda: self._shelf.refused(row.sha256, reason))

    async def reseal(self, row: Attachment, reason: str) -> None:
        await self._run(lambda: reseal(self._store, row, reason))

    async def is_whole(self, row: Attachment) -> bool:
        return await self._run(lambda: is_whole(self._store.folder, row))

    async def retire(self) -> int:
        return await self._run(
            lambda: retire(self._store, now_ms=now_ms(), photo_days=self.settings.photo_days)
        )  # fmt: skip

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _seal_if_changed(self) -> Waiting | None:
        version = self._store.data_version()
        if version == self._data_version:
            return None
        self._seal()
        self._data_version = version
        return self._shelf.waiting()

    def _seal(self) -> None:
        while seal_waiting(self._store, limit=SEAL_MAX):
            pass

    def _slice(self, row: Attachment, offset: int, size: int) -> bytes:
        try:
            with sealed_path(self._store.folder, row.sealed_sha256).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""
        except OSError as exc:
            raise TransientError(f"an attachment cannot be read: {exc.strerror}") from exc

    def _heed(self, sealing_key: bytes, sha256s: list[bytes]) -> int:
        store, shelf = self._store, self._shelf
        missing = 0
        with store.transaction():
            if sealing_key and not shelf.sealing_key():
                store.put(SEALING_KEY, sealing_key.hex())
            for sha256 in sha256s:
                if len(sha256) != SHA256_BYTES:
                    continue
                row = shelf.of(sha256)
                plain = photo_path(store.folder, sha256)
                if row is None and plain.is_file():
                    # Recorded before this machine had a shelf, when photos were all there was.
                    shelf.add(sha256, PHOTO, plain.stat().st_size, now_ms())
                elif row is None or not (row.has_plain or row.sealed_bytes):
                    missing += 1
            if str(missing) != (store.get(MISSING_KEY) or "0"):
                store.put(MISSING_KEY, str(missing))
            return shelf.wanted(sha256s)

    def _note(self, row: Attachment, held: int, budget: Budget) -> None:
        with self._store.transaction():
            self._shelf.acked(row.sha256, held)
            if budget.bytes_per_hour_max:
                self._store.put(BUDGET_KEY, _budget_text(budget))

    def _budget(self) -> Budget:
        limit, now = self.settings.bytes_per_hour_max, now_ms()
        level, _, at_ms = (self._store.get(BUDGET_KEY) or "").partition(" ")
        if not at_ms:
            return Budget.full(limit, now)
        return Budget.saved(limit, int(level), int(at_ms), now)


def _budget_text(budget: Budget) -> str:
    return f"{budget.level_bytes} {budget.at_ms}"
