"""The relay of one node directory, put together: store, worker, lines, enrolment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from node.clock import now_ms
from node.desk.absorb import absorb, absorbed, doubt_lost_wishes
from node.desk.residents import mend_residents
from node.link.choice import Lines
from node.link.enrol import NATS_KEY, Enrolling
from node.link.grpc import GrpcLink, pull_all_from, pull_from
from node.link.link import LinkDownError, LinkKind
from node.link.nats import NatsLink
from node.link.notes import TROUBLE_KEY, Trouble
from node.link.trust import HubTrust, load_trust
from node.outbox.earlier import earlier_epochs
from node.outbox.predecessor import Predecessor
from node.outbox.recover import LostRun
from node.outbox.relay import Relay
from node.outbox.reopen import keep_in_folder
from node.outbox.upkeep import Upkeep, UpkeepTimes
from node.outbox.view import RelayTimes
from node.outbox.worker import OutboxWorker
from node.printing.outlook import print_room
from node.settings import KEY_NAME, NodeSettings
from node.storage.bell import hearing
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError, TransientError
from sepe_io.channel import NatsIdentity
from sepe_io.keys import KeyFile, Signer
from sepe_io.logs import logger
from sepe_io.tasks import end_tasks

_log = logger("node.relay")

# Events that the hub holds and this machine lost, as the frames they came in.
LOST_FOLDER = "recovered"


@dataclass(frozen=True, slots=True)
class Office:
    """What a running node has in common with one attempt at the command line."""

    settings: NodeSettings
    key: KeyFile
    trust: HubTrust
    store: NodeStore
    worker: OutboxWorker
    relay: Relay
    predecessor: Predecessor

    @property
    def is_informed(self) -> bool:
        """Whether we know what the hub knows of our past, or why the hub cannot be heard."""
        view = self.relay.view
        return self.predecessor.is_taken_up if view.link != "offline" else view.has_word

    @property
    def has_heard(self) -> bool:
        """Whether the hub itself told what it knows of our past."""
        return self.relay.view.link != "offline" and self.predecessor.is_taken_up

    @property
    def signer(self) -> Signer:
        """This machine's key, as it is now."""
        return self.key.signer


@asynccontextmanager
async def open_office(
    folder: Path,
    *,
    hub: str = "",
    nats: str = "",
    software: str = "",
    times: RelayTimes | None = None,
    probe_ms: int | None = None,
    upkeep_times: UpkeepTimes | None = None,
    worker_of: Callable[..., OutboxWorker] = OutboxWorker,
) -> AsyncIterator[Office]:
    """The relay of a node directory, not yet running; everything is closed at the end.

    Args:
        hub, nats: instead of the settings' addresses. Without any NATS the hub's own is used once it named it.
        worker_of: makes the worker; a load test has hundreds of offices in one process share their threads.

    Raises:
        InvalidInputError: no node directory, or no hub is known.
    """
    store = NodeStore.open(folder)
    try:
        settings = store.settings
        key = KeyFile(folder / KEY_NAME)
        trust = load_trust(folder, tls=settings.tls, known_ms=store.clock().hub_ms)
        target = hub or settings.hub
        if not target:
            raise InvalidInputError(
                "no hub is known", field="--hub", hint="Give --hub HOST:PORT, or set it in node.toml."
            )
        worker = worker_of(store, lambda: key.signer, software=software, print_room=partial(print_room, store))
        try:
            nats_url = nats or settings.nats or store.get(NATS_KEY) or ""
            ways = _Ways(target, settings.node, worker, trust)
            lines = Lines([*([ways.nats(nats_url)] if nats_url else []), ways.grpc()], **_given(probe_ms=probe_ms))
            enrolling = Enrolling(
                target,
                settings.node,
                key.signer,
                on_nats=lambda url: None if nats_url else lines.prefer(ways.nats(url)),
                trust=trust,
            )

            async def first_contact() -> None:
                # Without gRPC there is no enrolment, but NATS may carry a node that is known already.
                with suppress(LinkDownError):
                    await enrolling.attempt(worker)

            keep_file = keep_in_folder(folder / LOST_FOLDER)

            def keep_lost(lost: LostRun, frame: bytes) -> None:
                keep_file(lost, frame)
                absorb(store, lost.epoch, lost.first_seq, lost.columns)

            pull = pull_from(target, trust)
            predecessor = Predecessor(
                worker, store, pull=pull_all_from(target, trust), keep=keep_lost,
                absorbed=partial(absorbed, store), done=partial(_mended, store),
            )  # fmt: skip
            upkeep = Upkeep(
                worker, store, pull=pull, is_linked=lambda: relay.view.link != "offline",
                is_busy=lambda: relay.view.is_draining, after_pass=lambda turn: _mend_projections(store, turn),
                take_up=predecessor.take_up, times=upkeep_times,
            )  # fmt: skip
            relay = Relay(
                worker,
                lines,
                pull=pull,
                keep_lost=keep_lost,
                earlier=lambda: worker.run(earlier_epochs, store),
                elsewhere=predecessor.facts,
                history_mended=lambda: worker.run(_mended, store),
                before_greeting=first_contact,
                on_word=upkeep.heard,
                times=times,
            )
            tending = asyncio.create_task(upkeep.run())
            try:
                async with hearing(folder, relay.ring):
                    yield Office(settings, key, trust, store, worker, relay, predecessor)
            finally:
                await end_tasks([tending])
        finally:
            worker.close()
    finally:
        store.close()


def _mend_projections(store: NodeStore, turn: int) -> None:
    if count := mend_residents(store, turn):
        _log.warning("residents.mended", rows=count)


def _mended(store: NodeStore) -> None:
    doubt_lost_wishes(store, now_ms())


@dataclass(slots=True)
class _Ways:
    """The kinds of line, and what was last wrong with them."""

    target: str
    node: str
    worker: OutboxWorker
    trust: HubTrust
    noted: str | None = None
    notes: set[asyncio.Task[None]] = field(default_factory=set)

    def nats(self, url: str) -> LinkKind:
        def identity() -> NatsIdentity | None:
            return self.trust.nats_identity(url, self.node, self.worker.signer)

        return LinkKind(
            "nats",
            lambda on_ack, on_down: NatsLink(
                url, self.node, on_ack, on_down, identity=identity, on_trouble=self.show_trouble
            ),
        )

    def grpc(self) -> LinkKind:
        return LinkKind(
            "grpc",
            lambda on_ack, on_down: GrpcLink(self.target, on_ack, on_down, self.trust, self.show_trouble),
        )

    def show_trouble(self, trouble: Trouble | None) -> None:
        """Note it for `node status`, once."""
        text = "" if trouble is None else trouble.to_text()
        if text == self.noted:
            return
        self.noted = text
        if trouble is not None:
            _log.error("hub.unusable", code=trouble.code, detail=trouble.english)
        task = asyncio.create_task(self._note(text))
        self.notes.add(task)
        task.add_done_callback(self.notes.discard)

    async def _note(self, text: str) -> None:
        # A full disk, or a node that is just ending: the log has it.
        with suppress(TransientError, RuntimeError):
            await self.worker.note(TROUBLE_KEY, text)


def _given(**options: int | None) -> dict[str, int]:
    return {name: value for name, value in options.items() if value is not None}
