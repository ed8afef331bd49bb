"""The relay's hands: all that touches the disk or costs CPU, one call at a time, in one thread of its own.

So the event loop answers pings while a frame is compressed or a commit waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from node.clock import now_ms
from node.link.notes import ALARM_KEY, EARLIER_KEYS_KEY, REFUSAL_KEY
from node.outbox.plan import next_page
from node.outbox.ports import OutboxStore, PageLike, PositionLike
from sepe.errors import TransientError
from sepe.sync.centre import CONTRACT
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import seal_frame, sign_hello
from sepe_io.keys import Signer, key_id_of

__all__ = ["ALARM_KEY", "NUDGE_KEY", "REFUSAL_KEY", "OutboxWorker", "RowsGoneError", "SealedRun"]

_T = TypeVar("_T")

# Another process asks for an attempt now by putting a new text here.
NUDGE_KEY = "sync_wanted"


class RowsGoneError(TransientError):
    """The hub asks for rows that were pruned here; only an older copy of this machine or of the hub has them."""


@dataclass(frozen=True, slots=True)
class SealedRun:
    """A frame ready to travel, and the seq that it ends with."""

    last_seq: int
    data: bytes


class OutboxWorker:
    """Calls of the store, as coroutines."""

    def __init__(
        self,
        store: OutboxStore,
        signer: Signer | Callable[[], Signer],
        *,
        software: str,
        now_ms: Callable[[], int] = now_ms,
        print_room: Callable[[int], sync_pb2.PrintRoom | None] = lambda now_ms: None,
    ) -> None:
        self._signer = signer if callable(signer) else lambda: signer
        self._store = store
        self._software = software
        self._now_ms = now_ms
        self._print_room = print_room
        self._data_version = -1
        self._nudge: str | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="relay")

    @property
    def signer(self) -> Signer:
        """Our key, as it is now: `sepe node rotate-key` replaces it under a running node."""
        return self._signer()

    def own_public_key(self, key_id: bytes) -> bytes | None:
        """The key of that name, if this machine, or the one whose place it took, ever signed with it.

        For callers that are in the worker thread already.
        """
        noted = (self._store.get(EARLIER_KEYS_KEY) or "").split()
        for key in (self.signer.public_key, *map(bytes.fromhex, noted)):
            if key_id_of(key) == key_id:
                return key
        return None

    async def run(self, call: Callable[..., _T], *arguments: object) -> _T:
        """The result of a call in the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        """Wait for the call that is running; drop the others."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def position(self) -> PositionLike:
        return await self.run(self._store.position)

    async def position_if_changed(self) -> PositionLike | None:
        """Where the outbox stands, ``None`` while no other connection has written."""
        return await self.run(self._position_if_changed)

    async def position_and_chain(self, seq: int) -> tuple[PositionLike, bytes | None]:
        """Where the outbox stands, and our digest at ``seq``; ``None`` also when the row after it was pruned."""
        return await self.run(self._position_and_chain, seq)

    def own_chain_at(self, seq: int) -> bytes | None:
        """Our digest at ``seq``; for callers that are in the worker thread already."""
        return self._store.chain_at(seq)

    async def chain_at(self, seq: int, epoch: bytes) -> bytes | None:
        """Our digest at ``seq`` of an earlier epoch, ``None`` when that row is not held."""
        return await self.run(self._store.chain_at, seq, epoch)

    async def hello(self, epoch: bytes = b"", last_seq: int = 0) -> sync_pb2.SignedHello:
        """A greeting of this very moment, of the current epoch or of an earlier one up to ``last_seq``."""
        return await self.run(self._hello, epoch, last_seq)

    async def frame(
        self, after_seq: int, events_max: int, epoch: bytes = b"", until_seq: int = 0
    ) -> SealedRun | None:
        """The rows above ``after_seq`` as a frame; ``None`` when there are none.

        Args:
            epoch: an earlier one, of which rows up to ``until_seq`` count; else the current one.

        Raises:
            RowsGoneError: there are, but not the next ones.
        """
        if epoch:
            return await self.run(self._earlier_frame, after_seq, events_max, epoch, until_seq)
        return await self.run(self._frame, after_seq, events_max)

    async def proof(self) -> SealedRun | None:
        """The last durable event as a frame of its own; ``None`` when there is none."""
        return await self.run(self._proof)

    async def store_durable(self, seq: int, *, went_back: bool, hub_ms: int) -> None:
        await self.run(self._store_durable, seq, went_back, hub_ms)

    async def see_hub_clock(self, hub_ms: int) -> None:
        """Remember the hub's clock, just heard, and how ours differs."""
        await self.run(self._store.see_hub_clock, hub_ms, self._now_ms())

    async def open_epoch(self, reason: str, keep_seq: int, elsewhere: Collection[bytes] = ()) -> PositionLike:
        return await self.run(self._store.open_epoch, reason, keep_seq, self._now_ms(), elsewhere)

    async def report_link(self, kind: str) -> None:
        await self.run(self._store.report_link, kind, self._now_ms())

    async def note(self, key: str, text: str) -> None:
        """Leave a word for `sepe node status`; ``""`` takes it back."""
        await self.run(self._store.put, key, text or None)

    async def recall(self, key: str) -> str:
        """What was noted under ``key``, ``""`` when nothing was."""
        return await self.run(self._store.get, key) or ""

    async def was_nudged(self) -> bool:
        """Whether another process asked for an attempt since the last look; the first look only remembers."""
        text, before = await self.run(self._store.get, NUDGE_KEY), self._nudge
        self._nudge = text or ""
        return before is not None and before != self._nudge

    async def prune(self) -> int:
        return await self.run(self._store.prune, self._now_ms())

    def _position_if_changed(self) -> PositionLike | None:
        version = self._store.data_version()
        if version == self._data_version:
            return None
        self._data_version = version
        return self._store.position()

    def _position_and_chain(self, seq: int) -> tuple[PositionLike, bytes | None]:
        position, chain = self._store.position(), self._store.chain_at(seq)
        if chain is not None and seq < position.last_seq and self._store.page(seq, 1) is None:
            chain = None
        return position, chain

    def _hello(self, epoch: bytes, last_seq: int) -> sync_pb2.SignedHello:
        position = self._store.position()
        hello = sync_pb2.Hello(
            node=self._store.node,
            epoch=epoch or position.epoch,
            last_seq=last_seq if epoch else position.last_seq,
            last_chain=(self._store.chain_at(last_seq, epoch) or b"") if epoch else position.last_chain,
            durable_seq=last_seq if epoch else position.durable_seq,
            clock_ms=max(self._now_ms(), 0),
            contract=CONTRACT,
            software=self._software,
        )
        if not epoch and (room := self._print_room(max(self._now_ms(), 0))) is not None:
            hello.print_room.CopyFrom(room)
        return sign_hello(hello, self.signer)

    def _frame(self, after_seq: int, events_max: int) -> SealedRun | None:
        page = self._store.page(after_seq, events_max)
        position = self._store.position()
        if page is None:
            if position.last_seq > after_seq:
                raise RowsGoneError(f"the hub asks for rows from {after_seq + 1}, which this machine has pruned")
            return None
        return self._seal(position.epoch, page)

    def _earlier_frame(self, after_seq: int, events_max: int, epoch: bytes, until_seq: int) -> SealedRun | None:
        wanted = min(events_max, until_seq - after_seq)
        chain = self._store.chain_at(after_seq, epoch)
        rows = islice(self._store.events_after(after_seq, epoch), max(wanted, 0))
        page = None if chain is None else next_page(chain, after_seq, rows, wanted)
        if page is None:
            if until_seq > after_seq:
                raise RowsGoneError(f"the hub asks for rows of an earlier epoch from {after_seq + 1}")
            return None
        return self._seal(epoch, page)

    def _seal(self, epoch: bytes, page: PageLike) -> SealedRun:
        data = seal_frame(
            node=self._store.node,
            epoch=epoch,
            first_seq=page.first_seq,
            chain_before=page.chain_before,
            columns=page.columns,
            signer=self.signer,
            chain_after=page.chain_after,
        )
        return SealedRun(page.first_seq + len(page.columns) - 1, data)

    def _proof(self) -> SealedRun | None:
        durable_seq = self._store.position().durable_seq
        try:
            return self._frame(durable_seq - 1, 1) if durable_seq > 0 else None
        except RowsGoneError:
            return None

    def _store_durable(self, seq: int, went_back: bool, hub_ms: int) -> None:
        # One transaction, one wait for the disk.
        with self._store.transaction():
            self._store.store_durable(seq, self._now_ms(), went_back)
            self._store.see_hub_clock(hub_ms)
