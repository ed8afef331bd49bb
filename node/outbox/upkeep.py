"""Keeping both copies of this machine's history whole: ours, and what the hub asks us for.

Beside the relay, in its thread and a few milliseconds at a time, the outbox is read from one end to the other
and every row checked against its digest. What the hub holds of a damaged row is fetched and put back; see
`node.storage.damage` for the rest. The other way round, a word of the hub may ask for runs of events that
*it* cannot
read any more: they are sent once more, cut exactly as it asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from node.clock import now_ms
from node.desk.proof import HubProof, keep_proof
from node.link.choice import Line
from node.link.link import LinkDownError, Pull
from node.outbox.plan import Row, next_page
from node.outbox.relay import monotonic_ms
from node.outbox.worker import OutboxWorker
from node.storage import damage
from node.storage.damage import Damaged, Place, SoundRows
from node.storage.store import NodeStore
from sepe.errors import PeerProtocolError, SepeError, TransientError
from sepe.wire.v1 import sync_pb2
from sepe_io.frames import OpenedFrame, open_frame, reopen_frame, seal_frame
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

_log = logger("node.upkeep")


@dataclass(frozen=True, slots=True)
class UpkeepTimes:
    """Pauses, milliseconds.

    Attributes:
        step_ms: between two looks at the outbox, of some milliseconds each.
        busy_ms: the same while a backlog is on its way: each row that leaves is checked anyway.
        pass_ms: from the end of the outbox to the next beginning.
        fetch_ms: between two attempts to fetch what is damaged.
        again_ms: how soon the same run is sent again when the hub still asks for it.
    """

    step_ms: int = 200
    busy_ms: int = 5_000
    pass_ms: int = 3_600_000
    fetch_ms: int = 30_000
    again_ms: int = 60_000


class Upkeep:
    """See the module.

    Args:
        pull: how to fetch our own frames.
        is_linked: whether there is a line to the hub now.
        is_busy: whether the relay has a backlog to bring to the hub and a line for it.
        after_pass: called in the worker thread each time all rows were read, with the number of the pass.
        take_up: see `node.outbox.predecessor`.
    """

    def __init__(
        self,
        worker: OutboxWorker,
        store: NodeStore,
        *,
        pull: Pull,
        is_linked: Callable[[], bool],
        is_busy: Callable[[], bool] = lambda: False,
        after_pass: Callable[[int], None] = lambda turn: None,
        take_up: Callable[[], Awaitable[None]] | None = None,
        times: UpkeepTimes | None = None,
    ) -> None:
        self._worker = worker
        self._store = store
        self._pull = pull
        self._is_linked = is_linked
        self._is_busy = is_busy
        self._after_pass = after_pass
        self._take_up = take_up
        self._times = times or UpkeepTimes()
        self._sent_ms: dict[tuple[bytes, int, int], int] = {}
        self._noted = 0

    async def run(self) -> None:
        """Read and mend until cancelled; trouble is waited out."""
        place, fetch_due_ms, turn = Place(), 0, 0
        while True:
            pause_ms = self._times.busy_ms if self._is_busy() else self._times.step_ms
            try:
                if self._take_up is not None and self._is_linked():
                    await self._take_up()
                    self._take_up = None
                if self._is_linked() and monotonic_ms() >= fetch_due_ms and await self._has_open():
                    fetch_due_ms = monotonic_ms() + self._times.fetch_ms
                    await self._fetch()
                found = await self._worker.run(self._look, place)
                place = found or Place()
                if found is None:
                    await self._worker.run(self._after_pass, turn)
                    turn += 1
                    await self._rest(self._times.pass_ms)
            except DiskFailedError:
                return  # The relay meets it too, and ends the program.
            except SepeError as exc:
                _log.warning("upkeep.deferred", reason=str(exc))
                pause_ms = self._times.fetch_ms
            await asyncio.sleep(pause_ms / 1000)

    async def heard(self, word: sync_pb2.Ack, line: Line) -> None:
        """Note the hub's proof and send what it asks for.

        Raises:
            LinkDownError: the line took no frame.
        """
        if word.HasField("proof"):
            await self._worker.run(self._note_proof, word.epoch, word.proof)
        for run in word.wanted:
            key = (run.epoch, run.first_seq, run.last_seq)
            again_ms = self._sent_ms.get(key, -self._times.again_ms) + self._times.again_ms
            if monotonic_ms() < again_ms:
                continue
            self._sent_ms[key] = monotonic_ms()
            frames = await self._worker.run(self._frames, run)
            for frame in frames:
                await line.link.send(frame)
            _log.info("wanted.sent", first_seq=run.first_seq, last_seq=run.last_seq, frames=len(frames))

    async def _has_open(self) -> bool:
        return bool(await self._worker.run(self._open))

    # In the worker thread

    def _open(self) -> list[Damaged]:
        found = damage.damaged(self._store.connection, damage.OPEN)
        if len(found) > self._noted:
            _log.error("outbox.damaged", rows=len(found), seq=found[0].seq)
        self._noted = len(found)
        return found

    def _look(self, place: Place) -> Place | None:
        connection = self._store.connection
        number, faults, place_next = damage.look(connection, self._store.node, place)
        if faults:
            with self._store.transaction():
                damage.note(connection, number, faults, now_ms())
        return place_next

    def _note_proof(self, epoch: bytes, proof: sync_pb2.Proof) -> None:
        own = self._store.chain_at(proof.seq, epoch)
        agrees = None if own is None else own == proof.chain  # Unknown once our row is pruned.
        keep_proof(
            self._store,
            HubProof(proof.events, proof.missing, epoch.hex(), proof.seq, proof.chain.hex(), proof.at_ms, agrees),
        )

    def _frames(self, run: sync_pb2.Wanted) -> list[bytes]:
        """The run as frames, as few as can be; it ends before a row that is damaged or gone."""
        frames: list[bytes] = []
        after_seq = run.first_seq - 1
        while after_seq < run.last_seq:
            chain = self._store.chain_at(after_seq, run.epoch)
            if chain is None:
                break
            rows = SoundRows(
                chain, after_seq, _until(self._store.events_after(after_seq, run.epoch), run.last_seq)
            )
            page = next_page(chain, after_seq, rows, run.last_seq - after_seq)
            if page is None:
                break
            frames.append(
                seal_frame(
                    node=self._store.node, epoch=run.epoch, first_seq=page.first_seq, chain_before=chain,
                    columns=page.columns, signer=self._worker.signer,
                )
            )  # fmt: skip
            after_seq = page.last_seq
        return frames

    # Fetching

    async def _rest(self, pause_ms: int) -> None:
        """Until the next pass, or until there is something that the hub can be asked for."""
        until_ms = monotonic_ms() + pause_ms
        while monotonic_ms() < until_ms:
            # Rights of a machine that was put back wait for what the hub knows of its past.
            look_ms = self._times.fetch_ms if self._take_up is None else self._times.step_ms
            await asyncio.sleep(min(look_ms, pause_ms) / 1000)
            if self._is_linked() and (self._take_up is not None or await self._has_open()):
                return

    async def _fetch(self) -> None:
        """Put back what the hub holds of our damaged rows."""
        position = await self._worker.position()
        by_epoch: dict[bytes, list[Damaged]] = {}
        for one in await self._worker.run(self._open):
            # Of the current epoch only what the hub said it holds; of the rest it will speak before it gets
            # more.
            if one.epoch != position.epoch or one.seq <= position.durable_seq:
                by_epoch.setdefault(one.epoch, []).append(one)
        for epoch, wanted in by_epoch.items():
            try:
                await self._fetch_epoch(epoch, wanted, is_current=epoch == position.epoch)
            except (LinkDownError, PeerProtocolError, TransientError) as exc:
                _log.warning("damage.unfetched", reason=str(exc), rows=len(wanted))

    async def _fetch_epoch(self, epoch: bytes, wanted: list[Damaged], *, is_current: bool) -> None:
        reached_seq, mended = 0, 0
        async with aclosing(self._pull(await self._worker.hello(), epoch, wanted[0].seq - 1)) as frames:
            async for data in frames:
                frame, is_signed = await self._worker.run(self._read, data)
                if (frame.header.node, frame.header.epoch) != (self._store.node, epoch):
                    raise PeerProtocolError("foreign_history", "the hub sent a frame of another history")
                mended += await self._worker.run(self._put_back, wanted, frame, is_signed)
                reached_seq = frame.header.last_seq
                if reached_seq >= wanted[-1].seq:
                    break
        if mended:
            _log.warning("outbox.mended", rows=mended)
        if not is_current:
            await self._worker.run(self._give_up, [one for one in wanted if one.seq > reached_seq])

    def _read(self, data: bytes) -> tuple[OpenedFrame, bool]:
        """A frame of ours, and whether our key of today signed it: one of before a new key fits by its digests."""
        signer = self._worker.signer
        frame = reopen_frame(data)
        if frame.header.key_id != signer.key_id:
            return frame, False
        return open_frame(data, lambda _node, _key_id: signer.public_key), True

    def _put_back(self, wanted: list[Damaged], frame: OpenedFrame, is_signed: bool) -> int:
        header, columns, count = frame.header, frame.columns, 0
        with self._store.transaction():
            for one in wanted:
                index = one.seq - header.first_seq
                if 0 <= index < header.count:
                    row = Row(
                        one.seq, columns.niks[index], columns.stamps[index], columns.kinds[index],
                        columns.bodies[index], frame.chains[index],
                    )  # fmt: skip
                    before = frame.chains[index - 1] if index else header.chain_before
                    count += damage.put_back(
                        self._store.connection, self._store.node, one, row, before, is_signed=is_signed
                    )
        return count

    def _give_up(self, wanted: list[Damaged]) -> None:
        """The hub holds this epoch only up to the row before."""
        connection = self._store.connection
        with self._store.transaction():
            damage.forget_pruned(connection)
            for one in wanted:
                if not damage.put_back_own_copy(connection, self._store.node, one):
                    damage.give_up(connection, one)
                    _log.error("event.lost", seq=one.seq)


def _until(rows: Iterable[Row], last_seq: int) -> Iterable[Row]:
    for row in rows:
        if row.seq > last_seq:
            return
        yield row
