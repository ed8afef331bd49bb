"""A real hub and real node directories for tests of the relay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.merge.digest import digest
from hub.merge.store import HubStore
from hub.read.status import Counts, counts
from node.cli.setup import make_node
from node.clock import now_ms
from node.outbox.office import Office, open_office
from node.outbox.view import RelayTimes
from node.settings import KEY_NAME, NodeSettings
from node.storage.store import NodeStore
from sepe_io import keys
from sepe_io.tasks import end_tasks
from tests.support.processes import Program, hub_run
from tests.support.world import START_MS, nik_of, recorded

NODE = "537104-1"
# Everything that waits, waits a tenth.
QUICK = RelayTimes(offline_poll_ms=100, retry_max_ms=1_000, report_ms=500, proof_ms=5_000, jitter_ms=50)


@dataclass
class Hub:
    """A hub directory and, while it runs, its process."""

    directory: Path
    program: Program | None = None

    @classmethod
    def make(cls, directory: Path) -> Hub:
        HubStore.create(directory, now_ms=now_ms()).close()
        return cls(directory)

    def start(self) -> dict[str, Any]:
        self.program = hub_run(self.directory)
        return self.program.ready

    def kill(self) -> None:
        """As a power cut would."""
        assert self.program is not None
        self.program.kill()

    @property
    def grpc(self) -> str:
        assert self.program is not None
        return str(self.program.ready["grpc"])

    @property
    def nats(self) -> str:
        assert self.program is not None
        return str(self.program.ready["nats"])

    def token(self, node: str = NODE) -> str:
        with HubStore.open(self.directory) as store:
            return store.enrol_token(node, now_ms=now_ms())

    def counts(self) -> Counts:
        """What the hub holds, its cases up to date."""
        with HubStore.open(self.directory) as store:
            store.project()
            return counts(store.connection)

    def digest(self) -> str:
        with HubStore.open(self.directory) as store:
            store.project()
            return digest(store.connection).digest


@contextmanager
def running_hub(directory: Path) -> Iterator[Hub]:
    """A hub that runs, ended at the end."""
    hub = Hub.make(directory)
    hub.start()
    try:
        yield hub
    finally:
        hub.kill()


def make_office(
    folder: Path, hub: Hub, *, node: str = NODE, nats: str = "", by_token: bool = False, address: str = ""
) -> Path:
    """A node directory that the hub knows; ``by_token`` leaves the enrolment, and NATS' address, to the relay."""
    token = hub.token(node)
    settings = NodeSettings(node, address or hub.grpc, nats)
    make_node(folder, settings, token=token if by_token else "", blanks=0, now_ms=START_MS)
    if not by_token:
        with HubStore.open(hub.directory) as store:
            key = keys.load(folder / KEY_NAME).public_key
            assert store.redeem(node, token, key, now_ms=now_ms()) == (True, "")
    return folder


def write_backlog(
    folder: Path, count: int, *, start: int = 0, name: str = "MARIA TAEK", bulk_bytes: int = 0
) -> None:
    """Commit that many recordings to the outbox, as another process would.

    ``bulk_bytes`` of each do not compress; without them a thousand such events fit a few kilobytes.
    """
    store = NodeStore.open(folder)
    try:
        for first in range(start, start + count, 2_000):
            last = min(first + 2_000, start + count)
            drafts = [
                recorded(nik_of(number), name, address=random.randbytes(bulk_bytes).hex(), issue=0)
                for number in range(first, last)
            ]
            store.append(drafts, START_MS + first)
    finally:
        store.close()


@asynccontextmanager
async def relaying(folder: Path, *, hub: str = "", nats: str = "", **options: Any) -> AsyncIterator[Office]:
    """The relay of that directory, running in this process."""
    keywords: dict[str, Any] = {"times": QUICK, "probe_ms": 500, **options}
    async with open_office(folder, hub=hub, nats=nats, **keywords) as office:
        task = asyncio.create_task(office.relay.run())
        try:
            yield office
        finally:
            # One cancel may be lost in nats-py's wait_for.
            await end_tasks([task])
            if not task.cancelled():
                task.result()


async def until(holds: Callable[[], bool], what: object, timeout_s: float = 30.0) -> None:
    """Wait for a condition; fail with ``what``, as it is then, when it does not come."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 - tests watch a view that has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s} s: {what}") from None


async def drained(office: Office, timeout_s: float = 60.0) -> None:
    """Wait until the hub confirmed everything."""
    view = office.relay.view
    await until(lambda: view.last_seq > 0 and view.pending == 0, view, timeout_s)


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """A blocking call beside the running relay."""
    result: Awaitable[Any] = asyncio.to_thread(call, *arguments)
    return await result
