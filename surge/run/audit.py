"""Every office's own list against the hub's: what is lost, what counts twice, whose history differs.

Where the hub's directory is on this machine its log is read from its database; else each office asks the hub for
its own frames, as it would after a restore, and the hub's answer is held against the office's disk. Either way two
independent accounts are compared event by event, by the chain digest that stands for all before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from hub.merge import digest, log
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read.status import Counts, counts
from node.link.grpc import pull_from
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe.errors import SepeError
from sepe.ids import HUB_NODE
from sepe.sync.centre import CONTRACT
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.frames import OpenedFrame, reopen_frame, sign_hello

PULLS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Account:
    """One office's comparison.

    Attributes:
        written: events on its disk, all epochs, those that were written again in a later one counted once there.
        lost: of those it was told are safe, not at the hub.
        missing: of all it wrote, not at the hub.
        doubled: at the hub more than once, or under this name and not written here.
        agrees: the hub's digest at its watermark is this office's; ``None`` when the hub could not be asked.
    """

    node: str
    written: int
    lost: int
    missing: int
    doubled: int
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class HubState:
    """The hub as a whole, read from its own database.

    Attributes:
        is_rebuilt_alike: a rebuild from its log gives the same digest and counts.
    """

    counts: Counts
    digest: str
    is_rebuilt_alike: bool


Chains = dict[bytes, list[bytes]]
# (node, epoch) -> (seq, digest after it) of every event that the hub counts.
Logged = dict[tuple[str, bytes], list[tuple[int, bytes]]]


def audit_local(hub_dir: Path, folders: Sequence[Path], *, is_deep: bool = True) -> tuple[list[Account], HubState]:
    """Compare with a hub that has ended and whose directory is here. Blocking.

    Args:
        is_deep: rebuild the hub's records from its log as well; takes as long as merging did.
    """
    with HubStore.open(hub_dir) as store:
        logged = _read_log(store)
        before, held = _state(store), counts(store.connection)
        alike = True
        if is_deep:
            rebuild(store.connection)
            alike = _state(store) == before
        state = HubState(held, digest.digest(store.connection).digest, alike)
    return [_account(*_read_office(folder), logged) for folder in folders], state


async def audit_remote(address: str, folders: Sequence[Path]) -> list[Account]:
    """Compare with a hub elsewhere, by asking it for each office's frames."""
    room = asyncio.Semaphore(PULLS_AT_ONCE)

    async def one(folder: Path) -> Account:
        async with room:
            node, chains, durable = await asyncio.to_thread(_read_office, folder)
            signer = keys.load(folder / KEY_NAME)
            logged: Logged = {}
            try:
                for epoch, chain in chains.items():
                    hello = sync_pb2.Hello(
                        node=node, epoch=epoch, last_seq=len(chain), last_chain=chain[-1] if chain else b"",
                        durable_seq=durable.get(epoch, 0), contract=CONTRACT, software="sepe surge",
                    )  # fmt: skip
                    pull = pull_from(address)
                    found = logged.setdefault((node, epoch), [])
                    async with aclosing(pull(sign_hello(hello, signer), epoch, 0)) as frames:
                        async for data in frames:
                            frame = reopen_frame(data)
                            found += _counted(frame, after=found[-1][0] if found else 0)
            except SepeError:
                written = sum(map(len, chains.values()))
                return Account(node, written, 0, 0, 0, None)
            return _account(node, chains, durable, logged)

    return list(await asyncio.gather(*(one(folder) for folder in folders)))


def _counted(frame: OpenedFrame, after: int) -> list[tuple[int, bytes]]:
    """Of a frame's events those that the hub counts in it.

    It sends its frames as they came, and one that was cut anew begins before the end of the one before.
    """
    first = frame.header.first_seq
    return [(first + index, chain) for index, chain in enumerate(frame.chains) if first + index > after]


def strangers(accounts: Iterable[Account]) -> int:
    """Events that count more than once or were never written, over all offices."""
    return sum(one.doubled for one in accounts)


def _account(node: str, chains: Chains, durable: dict[bytes, int], logged: Logged) -> Account:
    lost = missing = doubled = 0
    agrees = True
    for epoch, chain in chains.items():
        times: Counter[int] = Counter()
        for seq, found in logged.get((node, epoch), []):
            if seq <= len(chain) and chain[seq - 1] == found:
                times[seq] += 1
            else:
                doubled += 1
                agrees = False
        doubled += sum(count - 1 for count in times.values())
        missing += len(chain) - len(times)
        lost += sum(not times[seq] for seq in range(1, durable.get(epoch, 0) + 1))
        agrees = agrees and not lost
    # An epoch under this name that this disk does not know, on a hub that began empty.
    doubled += sum(len(events) for (name, epoch), events in logged.items() if name == node and epoch not in chains)
    return Account(node, sum(map(len, chains.values())), lost, missing, doubled, agrees)


def _read_office(folder: Path) -> tuple[str, Chains, dict[bytes, int]]:
    store = NodeStore.open(folder)
    try:
        chains = {epoch: [row.chain for row in store.events_after(0, epoch)] for epoch in store.epochs()}
        position = store.position()
        return store.node, chains, {position.epoch: position.durable_seq}
    finally:
        store.close()


def _state(store: HubStore) -> str:
    store.project()
    held = counts(store.connection)
    return f"{digest.digest(store.connection).digest}, {held.cases} cases, {held.duplicates} duplicates"


def _read_log(store: HubStore) -> Logged:
    found: Logged = {}
    for logged in log.all_frames(store.connection):
        opened = logged.open()
        header = opened.header
        if header.node != HUB_NODE:
            events = found.setdefault((header.node, header.epoch), [])
            events += [
                (header.first_seq + index, opened.chains[index]) for index in range(logged.skip, header.count)
            ]
    return found
