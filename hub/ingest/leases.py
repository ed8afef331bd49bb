"""Who reads which partition: a table that the processes of one hub keep in JetStream's key-value store.

The table names, for each partition, the process that reads it, and for each process a count that it raises every
`BEAT_S`. It is one document that is replaced by compare-and-set, so at no moment does it give a partition to two.
Everybody computes the same quota for everybody from it: whoever holds more gives up, whoever holds less takes what
is free, and a process whose count has not moved for `LEASE_S` *of the watcher's own clock* is struck out. Clocks
are not compared, and who holds what changes only as much as it must.

**A lease is a hint.** It keeps two processes from fetching the frames of one office, which costs rewinds and no
more. What makes it safe is the watermark of each history in the database, which moves only from the value that the
writer has read. So a process that was stopped for a minute and wakes, or that cannot reach the table, goes on with
what it held: what it merges then are duplicates.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js.api import KeyValueConfig, StorageType
from nats.js.kv import KeyValue

from sepe.errors import TransientError
from sepe.ids import PARTITIONS_MAX
from sepe_io.logs import logger

BUCKET = "SEPE_LEASES"
KEY = "partitions"
BEAT_S = 2.0
# Four beats missed. A process that is only slow loses its partitions and takes others: harmless.
LEASE_S = 8.0
API_TIMEOUT_S = 3.0
WORKERS_MAX = 1_024
TRIES_MAX = 5

_log = logger("hub.leases")


@dataclass(frozen=True, slots=True)
class Table:
    """The document.

    Attributes:
        beats: each process that takes part, and how often it has said so.
        holders: the process that reads a partition; a partition that is not here is free.
        span: how many partitions are shared out: the most there ever were, for frames may be left in any of them.
    """

    beats: Mapping[str, int] = field(default_factory=dict)
    holders: Mapping[int, str] = field(default_factory=dict)
    span: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Table:
        """The table of these bytes; an empty one for what is none, so that it is written anew."""
        try:
            found = json.loads(data)
            beats = {str(name): int(count) for name, count in list(found["beats"].items())[:WORKERS_MAX]}
            pairs = ((int(number), str(name)) for number, name in found["holders"].items())
            holders = {number: name for number, name in pairs if 0 <= number < PARTITIONS_MAX}
            return cls(beats, holders, min(max(int(found["span"]), 0), PARTITIONS_MAX))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def to_bytes(self) -> bytes:
        """The inverse of `parse`."""
        holders = {str(number): name for number, name in sorted(self.holders.items())}
        document = {"beats": dict(sorted(self.beats.items())), "holders": holders, "span": self.span}
        return json.dumps(document).encode()

    def held_by(self, name: str) -> frozenset[int]:
        return frozenset(number for number, holder in self.holders.items() if holder == name)

    def quota(self, name: str) -> int:
        """How many partitions are the process's: over all processes the sum is all of them."""
        names = sorted(self.beats)
        return self.span // len(names) + (names.index(name) < self.span % len(names))


def next_table(table: Table, me: str, partitions: int, dead: Collection[str] = ()) -> Table:
    """The table after one beat of ``me``.

    Args:
        partitions: how many must be read.
        dead: processes that have not been heard of for too long.
    """
    beats = {name: count for name, count in table.beats.items() if name not in dead or name == me}
    beats[me] = beats.get(me, 0) + 1
    holders = {number: name for number, name in table.holders.items() if name in beats}
    span = max(table.span, partitions)
    quota = Table(beats, span=span).quota(me)
    mine = sorted(number for number, name in holders.items() if name == me)
    for number in mine[quota:]:
        del holders[number]
    free = [number for number in range(span) if number not in holders and number not in mine]
    for number in free[: max(quota - len(mine), 0)]:
        holders[number] = me
    return Table(beats, holders, span)


def without(table: Table, me: str) -> Table:
    """The table after ``me`` has left: what it held is free."""
    return Table(
        {name: count for name, count in table.beats.items() if name != me},
        {number: name for number, name in table.holders.items() if name != me},
        table.span,
    )


@dataclass(slots=True)
class Watch:
    """Who is silent, judged by our own clock alone."""

    clock: Callable[[], float] = time.monotonic
    _heard: dict[str, tuple[int, float]] = field(default_factory=dict)

    def dead(self, table: Table) -> set[str]:
        """Processes whose count did not move for `LEASE_S` under our eyes."""
        now = self.clock()
        for name, count in table.beats.items():
            if self._heard.get(name, (None, 0.0))[0] != count:
                self._heard[name] = (count, now)
        for name in self._heard.keys() - table.beats.keys():
            del self._heard[name]
        return {name for name, (_, heard_at) in self._heard.items() if now - heard_at > LEASE_S}


@dataclass(frozen=True, slots=True)
class _Step:
    """What a beat would change. ``revision`` is of the table that it was computed from; 0 for none."""

    table: Table
    revision: int
    before: frozenset[int]
    after: frozenset[int]


class LeaseKeeper:
    """One process' side of the table.

    Args:
        name: of the process, kept over its restarts: what it held is at once its own again.

    Attributes:
        pause_s: until the next beat; short while we hold less than our quota.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.pause_s = BEAT_S
        self._watch = Watch()

    async def beat(
        self,
        client: NatsClient,
        partitions: int,
        replicas: int,
        give: Callable[[frozenset[int]], Awaitable[None]],
    ) -> frozenset[int]:
        """Say that we live; what we hold from now on.

        Args:
            partitions: how many must be read.
            replicas: on how many servers the table lies, should it have to be made.
            give: stop reading these, and settle what is at hand, before others may take them.

        Raises:
            TransientError: the table cannot be read or written now; go on as before.
        """
        for _ in range(TRIES_MAX):
            step = await self._look(client, partitions, replicas)
            if gives := step.before - step.after:
                await give(gives)
            if await self._write(client, step.table, step.revision):
                if step.before != step.after:
                    _log.info("leases.changed", partitions=sorted(step.after), processes=len(step.table.beats))
                is_short = len(step.after) < step.table.quota(self.name)
                self.pause_s = BEAT_S / 8 if is_short else BEAT_S
                return step.after
            await asyncio.sleep(random.uniform(0, 0.05))
        raise TransientError("others keep writing the table of partitions")

    async def leave(self, client: NatsClient, replicas: int) -> None:
        """Free what we hold, so that the others need not wait for our silence.

        Raises:
            TransientError: it could not be told.
        """
        for _ in range(TRIES_MAX):
            step = await self._look(client, 1, replicas)
            if await self._write(client, without(step.table, self.name), step.revision):
                return

    async def _look(self, client: NatsClient, partitions: int, replicas: int) -> _Step:
        try:
            store = await _bucket(client, replicas)
            try:
                entry = await store.get(KEY)
                table, revision = Table.parse(entry.value or b""), entry.revision or 0
            except nats.js.errors.KeyNotFoundError:
                table, revision = Table(), 0
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"the table of partitions cannot be read: {type(exc).__name__}") from exc
        after = next_table(table, self.name, partitions, self._watch.dead(table))
        return _Step(after, revision, table.held_by(self.name), after.held_by(self.name))

    async def _write(self, client: NatsClient, table: Table, revision: int) -> bool:
        try:
            # The stream's own compare-and-set: a write over a table that was deleted meanwhile fails as well.
            store = await _bucket(client, 0)
            await store.update(KEY, table.to_bytes(), last=revision)
        except nats.js.errors.KeyWrongLastSequenceError:
            return False
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise TransientError(f"the table of partitions cannot be written: {type(exc).__name__}") from exc
        return True


async def _bucket(client: NatsClient, replicas: int) -> KeyValue:
    """The key-value store, made when it is not there; ``replicas`` 0 takes it as it is."""
    js = client.jetstream(timeout=API_TIMEOUT_S)
    try:
        return await js.key_value(BUCKET)
    except nats.js.errors.BucketNotFoundError:
        config = KeyValueConfig(
            bucket=BUCKET, description="Which process of the hub reads which partition; a hint", history=1,
            replicas=replicas or 1, storage=StorageType.FILE,
        )  # fmt: skip
        return await js.create_key_value(config)
