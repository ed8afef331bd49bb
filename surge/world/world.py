"""A whole world: offices, lines, a broker and a hub under one seed.

Everything that happens is a call in one `Loop`, and every choice is drawn from one ``random.Random(seed)``;
nothing reads the machine's clock or goes through a set of strings in order. So a seed tells one story anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sepe.ids import kecamatan_of
from sepe.wire.v1 import sync_pb2
from surge.world.broker import Broker
from surge.world.bugs import Bug
from surge.world.centre import HubDisk
from surge.world.disk import EpochRows, OfficeDisk
from surge.world.faults import CALM, Faults
from surge.world.hub import Hub
from surge.world.loop import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, START_MS, Loop
from surge.world.network import NOTICE_MS_MAX, Line, Network
from surge.world.office import Office
from surge.world.oracle import Oracle
from surge.world.rights import Key


class World:
    """All that there is.

    Attributes:
        clock_tick_ms: offices' clocks show multiples of this; coarse ones make equal stamps.
        margin_ms: how long offices keep what the hub has, counted from the hub's word.
        story: what happened, line by line; ``None`` when nobody wants to know.
        broker_life: changes when the broker loses its memory.
    """

    def __init__(
        self,
        seed: int,
        *,
        nodes: Sequence[str],
        faults: Faults,
        bug: Bug | None = None,
        clock_tick_ms: int = 1,
        margin_ms: int = 30 * DAY_MS,
        wants_story: bool = False,
    ) -> None:
        self.seed, self.faults, self.bug = seed, faults, bug
        self.clock_tick_ms, self.margin_ms = clock_tick_ms, margin_ms
        self.rng = Random(seed)
        self.loop = Loop()
        self.oracle = Oracle()
        self.story: list[str] | None = [] if wants_story else None
        self.network = Network(self.loop, self.rng, faults)
        self.broker = Broker(self.loop, self.rng, faults)
        self.broker_life = 0
        self.hub = Hub(self, self.rng)
        self.broker.wake = self.hub.pump
        self.last_serial = 0
        self.is_within_steps = True
        self.kecamatan_codes = sorted({int(kecamatan_of(node)) for node in nodes})
        self.offices: list[Office] = []
        for node in nodes:
            self.add_office(node)

    # Chance and story

    def strikes(self, probability: float) -> bool:
        """Whether a fault of that probability happens now."""
        return probability > 0.0 and self.rng.random() < probability

    def tell(self, what: str) -> None:
        """One line of the story, with the time."""
        if self.story is not None:
            self.story.append(f"{clock_text(self.loop.now_ms)}  {what}")

    def tell_commit(self, office: Office) -> None:
        """An office committed."""
        if self.story is not None:
            self.tell(f"{office.name} commits seq {office.disk.current.last_seq}")

    # Who is here

    def add_office(self, node: str, *, name: str = "", disk: OfficeDisk | None = None) -> Office:
        """One more machine, with an empty disk unless it gets one."""
        if disk is None:
            disk = OfficeDisk(node, [EpochRows(node, self.rng.randbytes(16))])
        line = Line(way_ms=self.rng.choice((10, 40, 150, 300)))
        office = Office(self, self.rng, name or node, disk=disk, line=line)
        self.offices.append(office)
        office.relay.connect_later(self.rng.randrange(10 * SECOND_MS))
        return office

    def office(self, name: str) -> Office:
        """The machine of that name; it must exist."""
        return next(office for office in self.offices if office.name == name)

    def has_node(self, node: str) -> bool:
        """Whether the hub knows a node of that name."""
        return any(office.node == node for office in self.offices)

    def facts_on_offices(self) -> set[int]:
        """Every fact that some office's disk holds."""
        return self.oracle.facts(body for office in self.offices for body in office.disk.bodies())

    # Power

    def office_dies(self, office: Office) -> None:
        """Power fails at an office, for minutes or hours."""
        if not office.is_up:
            return
        self.tell(f"{office.name} is without power")
        office.press.power_lost()
        office.die()
        longest_ms = 2 * HOUR_MS if self.rng.random() < 0.2 else 10 * MINUTE_MS
        self.loop.after(self.rng.randrange(SECOND_MS, longest_ms), self.office_starts, office, office.life)

    def office_starts(self, office: Office, life: int) -> None:
        """Power returns, unless it has since."""
        if life == office.life and not office.is_up:
            self.tell(f"{office.name} starts")
            office.start()

    def hub_dies(self, when: str) -> None:
        """The hub's process dies, for seconds or an hour."""
        if not self.hub.is_up:
            return
        self.tell(f"hub dies {when}")
        self.hub.die()
        longest_ms = HOUR_MS if self.rng.random() < 0.2 else MINUTE_MS
        self.loop.after(self.rng.randrange(SECOND_MS, longest_ms), self._hub_starts, self.hub.life)

    def _hub_starts(self, life: int) -> None:
        if life == self.hub.life and not self.hub.is_up:
            self.tell("hub starts")
            self.hub.start()

    def grpc_reset(self) -> None:
        """The hub's end of every stream is gone; the offices notice sooner or later."""
        for office in self.offices:
            if office.relay.kind == "grpc":
                self._tell_of_cut_later(office)

    def broker_falls(self) -> None:
        """The broker's process stops."""
        self.tell("broker stops")
        self.broker.is_up = False
        for office in self.offices:
            if office.relay.kind == "nats":
                self._tell_of_cut_later(office)

    def broker_rises(self) -> None:
        """The broker's process is back, with its stream."""
        if not self.broker.is_up:
            self.tell("broker starts")
            self.broker.is_up = True
            self.hub.pump()

    def cut(self, office: Office, *, is_noticed: bool) -> None:
        """An office's line carries nothing any more."""
        self.tell(f"{office.name}: line cut")
        office.line.is_cut = True
        if is_noticed:
            self._tell_of_cut_later(office)

    def mend(self, office: Office) -> None:
        """The line carries again; a sleeping retry is woken within a minute."""
        if office.line.is_cut:
            self.tell(f"{office.name}: line mended")
            office.line.is_cut = False
            if office.is_up and not office.relay.kind:
                office.relay.connect_later(self.rng.randrange(MINUTE_MS))

    def told_of_cut(self, office: Office, life: int, session: int) -> None:
        """The operating system reports a broken connection."""
        if life == office.life and session == office.relay.session:
            office.relay.line_broke()

    def _tell_of_cut_later(self, office: Office) -> None:
        self.loop.after(
            self.rng.randrange(1, NOTICE_MS_MAX), self.told_of_cut, office, office.life, office.relay.session
        )

    # Messages

    def publish(self, office: Office, epoch: bytes, last_seq: int, data: bytes, life: int) -> None:
        """A frame reached the broker."""
        if self.broker.publish(office.node, data) and self.bug is not None and life == office.life:
            self.network.nats(office.line, office.relay.broker_took, epoch, last_seq)

    def announce(self, word: sync_pb2.Ack) -> None:
        """The hub's word on the node's ack subject: every machine of that name hears it, clones too."""
        if self.broker.is_up:
            for office in self.offices:
                if office.node == word.node and office.relay.kind == "nats":
                    self.network.nats(office.line, self._hear_on_nats, office, word)

    def answer_greeting(self, office: Office, session: int, kind: str, hello: sync_pb2.Hello) -> None:
        """A greeting reached the hub, or nobody."""
        if not self.hub.is_up or (kind == "nats" and not self.broker.is_up):
            return
        word = self.hub.greet(hello)
        if kind == "nats":
            self.network.nats(office.line, self._hear_reply, office, session, word)
        else:
            self.network.grpc(office, session, office.relay.hear, word)

    def answer_pull(self, office: Office, session: int, epoch: bytes, reason: str) -> None:
        """A request for history reached the hub, or nobody."""
        if self.hub.is_up:
            self.network.grpc(office, session, office.relay.pulled, epoch, reason, self.hub.pull(office.node))

    def ask_right(self, office: Office, key: Key, above: int) -> None:
        """A claim leaves an office."""
        self.network.post(office.line, self._answer_claim, office, key, above)

    def return_right(self, office: Office, key: Key, fence: int) -> None:
        """A promise never to print under ``fence`` leaves an office."""
        self.network.post(office.line, self._take_right, office.node, key, fence)

    def poke(self, node: str) -> None:
        """The hub has something to tell the machines of that name."""
        for office in self.offices:
            if office.node == node:
                self.network.post(office.line, office.talk.poked)

    def read_words(self, office: Office, feed_id: int, after: int) -> None:
        """An office asks what there is to be told."""
        self.network.post(office.line, self._answer_read, office, feed_id, after)

    def _answer_claim(self, office: Office, key: Key, above: int) -> None:
        if self.hub.is_up and not self.hub.disk_is_full:
            answer = self.hub.rights.claim(key, office.node, above)
            self.network.post(office.line, office.talk.answered, key, answer)

    def _take_right(self, node: str, key: Key, fence: int) -> None:
        if self.hub.is_up and not self.hub.disk_is_full:
            self.hub.rights.give_back(key, node, fence)

    def _answer_read(self, office: Office, feed_id: int, after: int) -> None:
        if self.hub.is_up:
            last, words = self.hub.rights.words(office.node, feed_id, after)
            disk = self.hub.disk
            if words or feed_id != disk.feed_id:
                self.network.post(office.line, office.talk.heard_words, disk.feed_id, last, words)

    def _hear_on_nats(self, office: Office, word: sync_pb2.Ack) -> None:
        if office.relay.kind == "nats":
            office.relay.hear(word)

    def _hear_reply(self, office: Office, session: int, word: sync_pb2.Ack) -> None:
        if office.relay.session == session:
            office.relay.hear(word)

    # Disasters, by chance or by a scenario's word

    def restore_office(self, office: Office, backup: OfficeDisk) -> None:
        """An office goes on from an older copy of its disk."""
        self.tell(f"{office.name} is restored from a backup at seq {backup.current.last_seq}")
        self._change_disk(office, backup.copy())

    def replace_office(self, office: Office) -> None:
        """An office goes on with an empty disk."""
        self.tell(f"{office.name} gets an empty disk")
        self._change_disk(
            office, OfficeDisk(office.node, [EpochRows(office.node, self.rng.randbytes(16))], is_fresh=True)
        )

    def clone_office(self, office: Office, name: str) -> Office:
        """A second machine starts from a copy of an office's disk."""
        self.tell(f"{office.name} is cloned as {name}")
        self.oracle.unruly |= {office.name, name}
        return self.add_office(office.node, name=name, disk=office.disk.copy())

    def restore_hub(self, backup: HubDisk) -> None:
        """The hub goes on from an older copy of its disk."""
        self.tell(f"hub is restored from a backup of {len(backup.log)} frames")
        oracle = self.oracle
        before = oracle.facts(self.hub.disk.bodies())
        if self.hub.is_up:
            self.hub.die()
        rights = self.hub.disk.rights
        self.hub.disk = backup.restored()
        self.hub.disk.feed_id = self.rng.getrandbits(32)
        self.hub.look_at(self.hub.disk.heads)
        oracle.rights_forgotten |= {key for key, entry in rights.items() if self.hub.disk.rights.get(key) != entry}
        gone = before - oracle.facts(self.hub.disk.bodies())
        oracle.hub_disk_changed(gone, on_offices=self.facts_on_offices())

    def _change_disk(self, office: Office, disk: OfficeDisk) -> None:
        oracle = self.oracle
        before = oracle.facts(office.disk.bodies())
        if office.is_up:
            office.press.power_lost()
            office.die()
        office.disk = disk
        office.press.disk_went_back()
        oracle.unruly.add(office.name)
        oracle.office_disk_changed(
            before - oracle.facts(disk.bodies()),
            on_offices=self.facts_on_offices(),
            at_hub=oracle.facts(self.hub.disk.bodies()),
        )

    def let_loose(self, faults: Faults) -> None:
        """From now on these faults happen, and no others."""
        self.faults = self.network.faults = self.broker.faults = faults

    def calm(self) -> None:
        """From now on nothing goes wrong any more, and what was broken is mended."""
        self.tell("the faults stop")
        self.let_loose(CALM)
        self.hub.disk_is_full = False
        self.hub.clock_offset_ms = 0
        self.broker_rises()
        self.hub.start()
        for office in self.offices:
            office.clock_offset_ms = 0
            office.disk_is_full = False
            self.mend(office)
            self.office_starts(office, office.life)
            office.press.pump()


def clock_text(now_ms: int) -> str:
    """``day 2 07:31:05`` of the world's own calendar."""
    seconds = (now_ms - START_MS) // SECOND_MS
    days, rest = divmod(seconds, 86_400)
    return f"day {days + 1} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
