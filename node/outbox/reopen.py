"""Opening a new epoch after a restore or a clone: fetch, compare, keep what was lost, write the rest again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from node.link.link import LinkDownError, Pull
from node.outbox.recover import Comparison, LostRun
from node.outbox.worker import OutboxWorker
from sepe.errors import PeerProtocolError
from sepe_io.framefile import write_frames
from sepe_io.frames import OpenedFrame, open_frame

KeepLost = Callable[[LostRun, bytes], None]
OwnKey = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the two histories part.

    Attributes:
        common_seq: both hold the same events up to here.
        lost_events: events that the hub holds and this machine did not.
    """

    common_seq: int
    lost_events: int


async def find_parting(worker: OutboxWorker, pull: Pull, hub_seq: int, keep_lost: KeepLost) -> Parting:
    """Fetch our own frames up to ``hub_seq`` from the hub and compare them with our rows.

    They are fetched from our watermark on, up to which both agreed when we last spoke; from the very start if
    that does not hold any more, because the hub itself was restored meanwhile.

    Args:
        keep_lost: called in the worker thread with each run of lost events and the frame they came in; a repeat
            must do no harm.

    Raises:
        LinkDownError: the line broke; call again.
        PeerProtocolError: what the hub sent is not our history; a person must look.
    """
    position = await worker.position()
    for start in dict.fromkeys((min(position.durable_seq, hub_seq), 0)):
        comparison = Comparison(worker.own_chain_at, position.last_seq, start)
        lost_events = 0
        # From one before: the frame that holds the start itself shows whether the two agree there.
        async with aclosing(pull(await worker.hello(), position.epoch, max(start - 1, 0))) as frames:
            async for data in frames:
                count = await worker.run(_compare, comparison, data, worker.own_public_key, keep_lost)
                if count is None:
                    break
                lost_events += count
            else:
                if comparison.reached_seq < hub_seq:
                    raise LinkDownError(f"the hub sent our frames up to {comparison.reached_seq} of {hub_seq}")
                return Parting(comparison.common_seq, lost_events)
    raise PeerProtocolError("foreign_history", "the hub's first frame of this epoch is not ours")


def _compare(comparison: Comparison, data: bytes, own_key: OwnKey, keep_lost: KeepLost) -> int | None:
    """How many events of the frame we lost; ``None`` when the two do not even agree where it begins."""
    opened = _opened(data, own_key)
    if comparison.is_untouched and not comparison.starts_agreed(opened):
        return None
    lost = comparison.feed(opened)
    if lost is None:
        return 0
    keep_lost(lost, data)
    return len(lost.columns)


def _opened(data: bytes, own_key: OwnKey) -> OpenedFrame:
    """Proven to be signed by this machine: what another made up must not become our history."""

    def found(_node: str, key_id: bytes) -> bytes:
        key = own_key(key_id)
        if key is None:
            raise PeerProtocolError("unknown_key", "a frame of ours is signed with a key that was never ours")
        return key

    return open_frame(data, found)


def keep_in_folder(folder: Path) -> KeepLost:
    """Keep lost events as courier files, one for each frame they came in: `sepe hub import` takes them, should the
    hub lose them too."""

    def keep(lost: LostRun, frame: bytes) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        write_frames(folder / f"{lost.epoch.hex()[:16]}-{lost.first_seq:012d}.frames", [frame])

    return keep
