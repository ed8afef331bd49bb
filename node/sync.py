"""``sepe node sync``: try now, and say how far it came."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.attach.shelf import Shelf
from node.attach.start import uploader_of
from node.clock import now_ms
from node.link.rights import GrpcRights
from node.outbox.office import Office, open_office
from node.outbox.worker import NUDGE_KEY, REFUSAL_KEY
from node.printing.keeper import RightsKeeper
from node.printing.witness import Witness
from node.run import AlreadyRunningError, take_run_lock
from node.storage.store import NodeStore
from sepe.errors import TransientError
from sepe_io.tasks import end_tasks

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class SyncReport:
    """How far it came.

    Attributes:
        confirmed: events that the hub confirmed meanwhile.
        reason: why not all, as the relay says it; may be ``""``.
        by_running_node: another process did it.
        attachments_pending: photos and the like that are still to follow.
    """

    last_seq: int
    durable_seq: int
    confirmed: int
    link: str
    reason: str
    by_running_node: bool
    attachments_pending: int = 0

    @property
    def pending(self) -> int:
        return max(self.last_seq - self.durable_seq, 0)


def sync(folder: Path, timeout_s: float, *, hub: str = "", nats: str = "") -> SyncReport:
    """Bring everything to the hub, or as much as ``timeout_s`` allows.

    A running node is asked to do it; without one this process does.

    Raises:
        InvalidInputError: no node directory, or no hub known.
    """
    try:
        lock = take_run_lock(folder)
    except AlreadyRunningError:
        return _ask(folder, timeout_s)
    try:
        return asyncio.run(_relay(folder, timeout_s, hub=hub, nats=nats))
    finally:
        lock.release()


async def hear(folder: Path, timeout_s: float) -> bool:
    """Greet the hub and learn what it knows of our past; False: no line, or a running node does that by itself."""
    try:
        lock = take_run_lock(folder)
    except AlreadyRunningError:
        return False
    try:
        async with open_office(folder) as office:
            task = asyncio.create_task(office.relay.run())
            try:
                await _until(lambda: task.done() or office.is_informed, timeout_s)
                return office.has_heard
            finally:
                await end_tasks([task])
    finally:
        lock.release()


def _ask(folder: Path, timeout_s: float) -> SyncReport:
    store = NodeStore.open(folder)
    try:
        before = store.position()
        store.put(NUDGE_KEY, secrets.token_hex(4))
        until = time.monotonic() + timeout_s
        while (at := store.position()).durable_seq < at.last_seq and time.monotonic() < until:
            time.sleep(POLL_S)
        confirmed = at.durable_seq - before.durable_seq if at.epoch == before.epoch else at.durable_seq
        reason = store.get(REFUSAL_KEY) or ""
        return SyncReport(
            at.last_seq, at.durable_seq, max(confirmed, 0), store.link(now_ms()), reason, by_running_node=True,
            attachments_pending=Shelf(store).waiting().count,
        )  # fmt: skip
    finally:
        store.close()


async def _relay(folder: Path, timeout_s: float, *, hub: str, nats: str) -> SyncReport:
    async with open_office(folder, hub=hub, nats=nats) as office:
        before = await office.worker.position()
        view = office.relay.view
        task = asyncio.create_task(office.relay.run())
        # It waits for the events by itself.
        uploader = uploader_of(folder, office, hub=hub)
        uploads = asyncio.create_task(uploader.run())
        link, reason = "offline", ""
        until_s = time.monotonic() + timeout_s
        try:
            await _until(lambda: task.done() or (view.link != "offline" and view.pending == 0), timeout_s)
            if view.link != "offline":
                left_s = max(until_s - time.monotonic(), 0)
                await _until(lambda: task.done() or uploads.done() or uploader.view.is_through, left_s)
            link, reason = view.link, view.refusal or view.alarm or view.reason
            if view.link != "offline":
                await _until(lambda: task.done() or office.has_heard, max(until_s - time.monotonic(), 0))
            if office.has_heard:
                await asyncio.to_thread(_resume, folder)
            if view.link != "offline":
                await _settle_rights(folder, office, hub, max(until_s - time.monotonic(), 0))
        finally:
            await end_tasks([task, uploads])
            for ended in (task, uploads):
                if not ended.cancelled():
                    ended.result()  # Raises what ended it.
        at = await office.worker.position()
    confirmed = at.durable_seq - before.durable_seq if at.epoch == before.epoch else at.durable_seq
    return SyncReport(
        at.last_seq, at.durable_seq, max(confirmed, 0), link, reason, by_running_node=False,
        attachments_pending=uploader.view.waiting,
    )  # fmt: skip


def _resume(folder: Path) -> None:
    """Rights that were suspended for an older ledger count again."""
    store = NodeStore.open(folder)
    try:
        Witness(store).heard_hub()
    finally:
        store.close()


async def _settle_rights(folder: Path, office: Office, hub: str, timeout_s: float) -> None:
    """Tell and hear what there is of rights, holds and cards to collect, as far as the time goes."""
    target = hub or office.settings.hub
    rights = GrpcRights(target, office.settings.node, lambda: office.key.signer, trust=office.trust)
    store = NodeStore.open(folder)
    keeper = RightsKeeper(store, rights, now_ms)
    try:
        with suppress(TimeoutError, TransientError):
            async with asyncio.timeout(timeout_s):
                await keeper.settle()
    finally:
        await keeper.close()
        store.close()
        await rights.close()


async def _until(holds: Callable[[], bool], timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 - the view is plain data, polled like the database beside it
                await asyncio.sleep(POLL_S)
