"""The relay of one node directory, put together: store, worker, lines, enrolment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from node.clock import now_ms
from node.desk.absorb import absorb, doubt_lost_wishes
from node.link.choice import Lines
from node.link.enrol import NATS_KEY, Enrolling
from node.link.grpc import GrpcLink, pull_from
from node.link.link import LinkDownError, LinkKind
from node.link.nats import NatsLink
from node.outbox.earlier import earlier_epochs
from node.outbox.recover import LostRun
from node.outbox.relay import Relay
from node.outbox.reopen import keep_in_folder
from node.outbox.view import RelayTimes
from node.outbox.worker import OutboxWorker
from node.settings import KEY_NAME, NodeSettings
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe_io import keys
from sepe_io.keys import Signer

# Events that the hub holds and this machine lost, as the frames they came in.
LOST_FOLDER = "recovered"


@dataclass(frozen=True, slots=True)
class Office:
    """What a running node has in common with one attempt at the command line."""

    settings: NodeSettings
    signer: Signer
    store: NodeStore
    worker: OutboxWorker
    relay: Relay


@asynccontextmanager
async def open_office(
    folder: Path,
    *,
    hub: str = "",
    nats: str = "",
    software: str = "",
    times: RelayTimes | None = None,
    probe_ms: int | None = None,
) -> AsyncIterator[Office]:
    """The relay of a node directory, not yet running; everything is closed at the end.

    Args:
        hub, nats: instead of the settings' addresses. Without any NATS the hub's own is used once it named it.

    Raises:
        InvalidInputError: no node directory, or no hub is known.
    """
    store = NodeStore.open(folder)
    try:
        settings = store.settings
        signer = keys.load(folder / KEY_NAME)
        target = hub or settings.hub
        if not target:
            raise InvalidInputError(
                "no hub is known", field="--hub", hint="Give --hub HOST:PORT, or set it in node.toml."
            )
        worker = OutboxWorker(store, signer, software=software)
        try:
            nats_url = nats or settings.nats or store.get(NATS_KEY) or ""
            lines = Lines(_kinds(target, nats_url, settings.node), **_given(probe_ms=probe_ms))
            enrolling = Enrolling(
                target,
                settings.node,
                signer,
                on_nats=lambda url: None if nats_url else lines.prefer(nats_kind(url, settings.node)),
            )

            async def first_contact() -> None:
                # Without gRPC there is no enrolment, but NATS may carry a node that is known already.
                with suppress(LinkDownError):
                    await enrolling.attempt(worker)

            keep_file = keep_in_folder(folder / LOST_FOLDER)

            def keep_lost(lost: LostRun, frame: bytes) -> None:
                keep_file(lost, frame)
                absorb(store, lost.epoch, lost.first_seq, lost.columns)

            relay = Relay(
                worker,
                lines,
                pull=pull_from(target),
                keep_lost=keep_lost,
                earlier=lambda: worker.run(earlier_epochs, store),
                history_mended=lambda: worker.run(_mended, store),
                before_greeting=first_contact,
                times=times,
            )
            yield Office(settings, signer, store, worker, relay)
        finally:
            worker.close()
    finally:
        store.close()


def _mended(store: NodeStore) -> None:
    doubt_lost_wishes(store, now_ms())


def nats_kind(url: str, node: str) -> LinkKind:
    """The line over NATS."""
    return LinkKind("nats", lambda on_ack, on_down: NatsLink(url, node, on_ack, on_down))


def grpc_kind(target: str) -> LinkKind:
    """The line over gRPC."""
    return LinkKind("grpc", lambda on_ack, on_down: GrpcLink(target, on_ack, on_down))


def _kinds(target: str, nats_url: str, node: str) -> list[LinkKind]:
    return [*([nats_kind(nats_url, node)] if nats_url else []), grpc_kind(target)]


def _given(**options: int | None) -> dict[str, int]:
    return {name: value for name, value in options.items() if value is not None}
