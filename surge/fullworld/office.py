"""An office of a full world: the real store, desk, worker and relay; the lines are the world's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from node.desk.absorb import absorb, absorbed, doubt_lost_wishes
from node.desk.lines import InputLine
from node.desk.record import Desk
from node.link.choice import Lines
from node.outbox.earlier import earlier_epochs
from node.outbox.office import LOST_FOLDER
from node.outbox.predecessor import Predecessor
from node.outbox.recover import LostRun
from node.outbox.relay import Relay
from node.outbox.reopen import keep_in_folder
from node.outbox.view import RelayTimes
from node.outbox.worker import OutboxWorker
from node.settings import KEY_NAME
from node.storage.store import NodeStore
from sepe.errors import TransientError
from sepe.events import Draft
from sepe.ids import EventId
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from surge.fullworld import disk
from surge.fullworld.loop import Fate
from surge.fullworld.machine import Machine
from surge.fullworld.network import Wire
from surge.fullworld.people import printed
from surge.world import bodies

if TYPE_CHECKING:
    from surge.fullworld.world import FullWorld

# Looking every 50 ms, as the product does, would be most of a world's work.
TIMES = RelayTimes(poll_ms=5_000, offline_poll_ms=5_000, report_ms=60_000)
RESTART_S = 10.0
PRINT_SHARE = 0.3
# Reads that are made all day; power fails at the other steps.
_POLLS = frozenset({"_position_if_changed", "get", "report_link"})


class OfficeMachine(Machine):
    """One office machine. ``node`` is its name for the hub, which a clone shares."""

    relay: Relay
    _store: NodeStore
    _desk_store: NodeStore

    def __init__(self, world: FullWorld, name: str, node: str, folder: Path, wire: Wire) -> None:
        super().__init__(world, name, folder)
        self.node, self.wire = node, wire

    # Power

    def boot(self) -> None:
        """Open the directory as two programs do: one relays, one records."""
        world = self.world
        self._store, self._desk_store = NodeStore.open(self.folder), NodeStore.open(self.folder)
        world.close_later(self._store)
        world.close_later(self._desk_store)
        signer = keys.load(self.folder / KEY_NAME)
        worker = OutboxWorker(self._store, signer, software="world", now_ms=self.now_ms)
        store, keep_file = self._store, keep_in_folder(self.folder / LOST_FOLDER)

        def keep_lost(lost: LostRun, frame: bytes) -> None:
            keep_file(lost, frame)
            absorb(store, lost.epoch, lost.first_seq, lost.columns)
            world.oracle.office_took_back(world.oracle.facts(lost.columns.bodies))

        def pull(hello: sync_pb2.SignedHello, epoch: bytes, after_seq: int) -> AsyncGenerator[bytes, None]:
            return world.network.pull(self.node, self.wire, epoch, after_seq)

        def pull_all(hello: sync_pb2.SignedHello, held: Mapping[bytes, int]) -> AsyncGenerator[bytes, None]:
            return world.network.pull(self.node, self.wire, None, 0, held)

        predecessor = Predecessor(
            worker, store, pull=pull_all, keep=keep_lost, absorbed=partial(absorbed, store),
            done=lambda: None,
        )  # fmt: skip

        async def mended() -> None:
            await worker.run(doubt_lost_wishes, store, self.now_ms())

        self.relay = Relay(
            worker,
            Lines(world.network.kinds(self.node, self.wire)),
            pull=pull,
            keep_lost=keep_lost,
            earlier=lambda: worker.run(earlier_epochs, store),
            elsewhere=predecessor.facts,
            history_mended=mended,
            times=TIMES,
            clock_ms=lambda: int(world.now_s * 1000),
        )
        self.spawn(self._keep(self.relay))

    def halt(self) -> None:
        """Its links are forgotten with it."""
        self.world.network.forget(self.wire)

    def fate_of(self, call: str) -> Fate:
        if call in _POLLS or not self.world.strikes(self.world.faults.kill_office):
            return Fate.RUN
        return self.world.rng.choice((Fate.DIE_BEFORE, Fate.DIE_AFTER))

    def fill_disk(self, is_full: bool) -> None:
        """Let no page be added to the database, or let them again."""
        stores = [self._store.connection, self._desk_store.connection] if self.is_on else []
        self.limit_pages(stores, is_full)

    async def _keep(self, relay: Relay) -> None:
        """As `node.run` does, but for noting that it had to."""
        while True:
            try:
                await relay.run()
            except Exception as exc:
                self.world.problem("no_crash", f"the relay of {self.name} ended with {exc!r}")
            await asyncio.sleep(RESTART_S)

    # Work

    def record(self, people: Sequence[tuple[int, str]]) -> None:
        """People come to the desk in a group; the power may fail before, in, or after the one commit.

        Args:
            people: NIK and name of each.
        """
        if not self.is_on:
            return
        marks: dict[int, bytes] = {}
        lines: list[InputLine] = []
        for nik, name in people:
            fact = self.world.oracle.new_fact()
            address = f"JALAN FAKTA {fact}."
            marks[fact] = address.encode()
            line = {"nik": f"{nik:016}", "name": name, "birth_date": "1990-01-01", "sex": "P", "address": address}
            lines.append(InputLine(len(lines) + 1, json.dumps(line).encode()))
        commit = disk.LastCommit(self.folder)
        desk = Desk(self._desk_store, regions=None, photo_base=self.folder)
        answers = desk.record(lines, self.now_ms())
        for answer in answers:
            if not answer.ok and answer.status != "not_stored":
                self.world.problem("no_crash", f"a recording was refused: {answer.error}")
        self._after_commit(commit)
        self._note_facts(marks)
        for (nik, name), answer in zip(people, answers, strict=True):
            if answer.event and self.is_on and self.world.rng.random() < PRINT_SHARE:
                self._print(nik, name, EventId.parse(answer.event))

    def _print(self, nik: int, name: str, claim: EventId) -> None:
        """A card of that recording came out, and the ledger says so."""
        attempt = self.world.rng.randbytes(12).hex()
        card, steps = printed(nik, name, claim, attempt, self.name)
        try:
            self._desk_store.append(steps, self.now_ms())
        except TransientError:
            return
        self.world.oracle.cards.append(card)

    def write_poison(self, nik: int) -> None:
        """An event that nobody can fold."""
        if not self.is_on:
            return
        fact = self.world.oracle.new_fact()
        kind, body = bodies.poison(fact, self.world.rng.random() < 0.5)
        try:
            self._desk_store.append([Draft(kind, nik, body)], self.now_ms())
        except TransientError:
            return
        self._note_facts({fact: body})

    def _after_commit(self, commit: disk.LastCommit) -> None:
        world = self.world
        if not world.strikes(4 * world.faults.kill_office):
            return
        share = world.rng.random()
        is_torn = world.strikes(world.faults.torn_write)
        self.die(tear=(lambda copy: commit.tear(copy, share)) if is_torn else (lambda copy: None))
        world.after(world.rng.uniform(1, 20), self.start)

    def _note_facts(self, marks: dict[int, bytes]) -> None:
        """A fact counts if its mark is on the disk, whatever anybody was told."""
        connection = self._desk_store.connection if self.is_on else None
        for fact, body in disk.bodies_with(self.folder, marks, connection).items():
            self.world.oracle.wrote(body, fact, self.name, 0)
            self.world.tell(f"{self.name} holds fact {fact}")

    def change_disk(self, folder: Path) -> None:
        """Go on, without power as yet, from a copy of that directory."""
        self.folder = disk.copied(folder, self.world.new_path(self.name))

    # What checkers read

    def lag(self) -> str:
        """What the hub has not got of this machine, ``""`` when nothing."""
        store = self._store
        position = store.position()
        if position.durable_seq != position.last_seq:
            return f"{self.name} waits for {position.last_seq - position.durable_seq} events"
        histories = [(position.epoch, position.last_seq)]
        histories += [(one.epoch, one.last_seq) for one in earlier_epochs(store)]
        for epoch, last_seq in histories:
            held = self.world.hub.watermark(self.node, epoch)
            if held < last_seq:
                return f"the hub holds {held} of {last_seq} of {self.name}'s epoch {epoch.hex()[:8]}"
        return ""
