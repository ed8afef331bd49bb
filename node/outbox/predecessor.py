"""Histories under our name that are not on our disk: learning what they say.

An empty machine replaces another: what that one recorded and printed is at the hub, in epochs that were never
ours. Asked once, at the first contact after `node init`; a transfer that breaks goes on where it was. Or a machine
is put back from a backup for the second time, and the hub has what it wrote after the first. Asked before each new
epoch: what the hub holds there already is not written again.

The events stay the hub's, and no seq of theirs is used again. What they say of residents, cards and blanks is
learnt, so that nothing is printed twice; the frames are kept as courier files, should the hub lose them too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from node.link.link import PullAll
from node.outbox.recover import LostRun
from node.outbox.reopen import KeepLost
from node.outbox.worker import OutboxWorker
from node.storage.store import PREDECESSOR_KEY, NodeStore
from sepe.codec import fact_digest
from sepe.errors import PeerProtocolError
from sepe_io.frames import OpenedFrame, reopen_frame
from sepe_io.logs import logger

_log = logger("node.predecessor")
_EVERYTHING = (1 << 62) - 1


class Predecessor:
    """See the module.

    Args:
        keep: keeps a run of events and the frame it came in, and teaches the desk; a repeat does nothing.
        absorbed: how far each foreign epoch was learnt, by epoch.
        done: called in the worker thread once everything was learnt.

    Attributes:
        is_taken_up: nothing of an earlier machine is left to learn.
    """

    def __init__(
        self,
        worker: OutboxWorker,
        store: NodeStore,
        *,
        pull: PullAll,
        keep: KeepLost,
        absorbed: Callable[[], dict[bytes, int]],
        done: Callable[[], None],
    ) -> None:
        self._worker, self._store, self._pull = worker, store, pull
        self._keep, self._absorbed, self._done = keep, absorbed, done
        self.is_taken_up = False

    async def take_up(self) -> None:
        """Fetch and learn it, unless that is done.

        Raises:
            LinkDownError: the line broke; call again.
            PeerProtocolError: what the hub sent is not the history of this machine's name.
        """
        if await self._worker.run(self._store.get, PREDECESSOR_KEY) is None:
            self.is_taken_up = True
            return
        held = await self._worker.run(self._absorbed) | await self._worker.run(self._ours)
        events = 0
        async for frame in self._frames(held):
            await self._worker.run(self._learn, frame)
            events += frame.header.count
        await self._worker.run(self._end)
        self.is_taken_up = True
        if events:
            _log.warning("predecessor.taken_up", events=events)

    async def facts(self) -> frozenset[bytes]:
        """Learn every other history of our name; `codec.fact_digest` of each of its events.

        Raises:
            LinkDownError: the line broke; call again.
            PeerProtocolError: what the hub sent is not the history of this machine's name.
        """
        facts: set[bytes] = set()
        async for frame in self._frames(await self._worker.run(self._ours)):
            await self._worker.run(self._learn, frame)
            columns = frame.columns
            events = zip(columns.niks, columns.stamps, columns.kinds, columns.bodies, strict=True)
            facts.update(fact_digest(*event) for event in events)
        return frozenset(facts)

    async def _frames(self, held: dict[bytes, int]) -> AsyncGenerator[OpenedFrame, None]:
        async with aclosing(self._pull(await self._worker.hello(), dict(held))) as frames:
            async for data in frames:
                yield await self._worker.run(self._opened, data, held)

    # In the worker thread

    def _ours(self) -> dict[bytes, int]:
        return dict.fromkeys(self._store.epochs(), _EVERYTHING)

    def _opened(self, data: bytes, held: dict[bytes, int]) -> OpenedFrame:
        # Signed by the key of a machine that is gone; the hub proved it when it came, and this line is the hub's.
        frame = reopen_frame(data)
        header = frame.header
        known_seq = held.get(header.epoch, 0)
        if header.node != self._store.node or known_seq == _EVERYTHING:
            raise PeerProtocolError("foreign_history", "the hub sent a frame of another history")
        if header.first_seq > known_seq + 1:
            raise PeerProtocolError("pull_gap", f"seq {known_seq + 1} to {header.first_seq - 1}")
        held[header.epoch] = max(known_seq, header.last_seq)
        return frame

    def _learn(self, frame: OpenedFrame) -> None:
        self._keep(LostRun(frame.header.epoch, frame.header.first_seq, frame.columns), frame.data)

    def _end(self) -> None:
        with self._store.transaction():
            self._done()
            self._store.put(PREDECESSOR_KEY, None)
