"""Epochs that this machine left behind.

After a restore or a clone a machine goes on in a new epoch, and the hub holds the old one up to where the two
histories parted. A hub that is restored from a backup later may lack rows of that old epoch, and no frame of the
new one would ever show it. So before each greeting the old epochs are asked about, and what the hub lacks is sent,
one frame at a time: it hardly ever happens, and then a simple way is worth more than a fast one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from node.link.choice import Line
from node.link.link import LinkDownError
from node.outbox.worker import OutboxWorker, RowsGoneError
from node.storage.store import NodeStore
from sepe.sync import office
from sepe.wire.v1 import sync_pb2
from sepe_io.logs import logger

_log = logger("node.earlier")


@dataclass(frozen=True, slots=True)
class EarlierEpoch:
    """An epoch before the current one, of which rows are held; they count up to ``last_seq``."""

    epoch: bytes
    last_seq: int


def earlier_epochs(store: NodeStore) -> list[EarlierEpoch]:
    """The epochs left behind that still have rows of their own, oldest first.

    Rows that were written again in the epoch after them do not count: the hub has them under their new names. Nor
    do rows that were left out there, because they were damaged and the hub lacked them.
    """
    rows = store.connection.execute(
        "SELECT e.epoch, max(o.seq) - (SELECT n.carried_seq + n.left_out FROM epoch n"
        " WHERE n.number = e.number + 1) AS kept "
        "FROM epoch e JOIN outbox o ON o.epoch = e.number WHERE e.number < (SELECT max(number) FROM epoch) "
        "GROUP BY e.number HAVING kept >= min(o.seq) ORDER BY e.number"
    ).fetchall()
    return [EarlierEpoch(bytes(epoch), int(kept)) for epoch, kept in rows]


async def bring_level(line: Line, worker: OutboxWorker, earlier: EarlierEpoch) -> str:
    """See to it that the hub holds an earlier epoch; return what a person must know, ``""`` when all is well.

    Raises:
        LinkDownError: the line broke, or an ack did not come in time.
    """
    ack = await line.link.greet(await worker.hello(earlier.epoch, earlier.last_seq))
    while ack.durable_seq < earlier.last_seq:
        if ack.verdict not in (sync_pb2.VERDICT_DURABLE, sync_pb2.VERDICT_GAP):
            return ""  # Refused, or asked for patience: the greeting of the current epoch deals with that.
        if ack.durable_chain != await worker.chain_at(ack.durable_seq, earlier.epoch):
            return f"rows_gone: the hub lacks rows of an earlier epoch after {ack.durable_seq}"
        try:
            run = await worker.frame(ack.durable_seq, office.EVENTS_MAX, earlier.epoch, earlier.last_seq)
        except RowsGoneError as exc:
            return f"rows_gone: {exc}"
        if run is None:
            break
        _log.warning("epoch.sent_again", after_seq=ack.durable_seq, last_seq=run.last_seq)
        await line.link.send(run.data)
        ack = await _word_on(line, earlier.epoch, ack.durable_seq)
    return ""


async def _word_on(line: Line, epoch: bytes, after_seq: int) -> sync_pb2.Ack:
    """The next word on that epoch that is more than a late echo; words on others stay where they are."""
    try:
        async with asyncio.timeout(office.ACK_TIMEOUT_MS / 1000):
            while True:
                for ack in list(line.acks):
                    if ack.epoch == epoch:
                        line.acks.remove(ack)
                        if ack.durable_seq > after_seq or ack.verdict != sync_pb2.VERDICT_DURABLE:
                            return ack
                if line.lost:
                    raise LinkDownError(line.lost)
                line.wake.clear()
                await line.wake.wait()
    except TimeoutError as exc:
        raise LinkDownError(f"{line.name}: no ack for a frame of an earlier epoch") from exc
