"""What `sepe hub doctor` finds of the pipe: the stream, its replicas, who reads which partition."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamInfo

from hub import endpoints
from hub.ingest import leases
from hub.ingest import partitions as setting
from hub.ingest.policy import Difference, StreamPolicy, differences, read_policy
from hub.merge.audit import Finding
from hub.merge.store import HubStore
from hub.tls import HubTls
from sepe import subjects
from sepe.errors import TransientError
from sepe_io.channel import NatsIdentity, close_nats, connect_nats

TIMEOUT_S = 15.0


def look_at_pipe(store: HubStore) -> list[Finding]:
    """What is to be said of the NATS that the hub in this directory uses, or used last."""
    url = endpoints.read(store.directory).nats
    if not url:
        return []
    identity = None
    if url.startswith("tls://"):
        identity = NatsIdentity(HubTls(store.directory).ca_pem, store.signer, "_INBOX")
    policy, count = read_policy(store.connection), setting.count(store.connection)
    try:
        return asyncio.run(_look(url, identity, policy, count))
    except (TransientError, TimeoutError) as exc:
        # The embedded server ends with its hub, and a hub may be looked at while it is down.
        is_embedded = (store.directory / "nats" / "nats-server.conf").exists() and "," not in url
        told = str(exc) or "it does not answer in time"
        return [
            Finding(
                "stream", is_embedded, f"not looked at: {told}",
                "start its servers; until then gRPC carries everything",
            )
        ]  # fmt: skip


async def _look(url: str, identity: NatsIdentity | None, policy: StreamPolicy, count: int) -> list[Finding]:
    client = await connect_nats(
        url, name="sepe-doctor", on_error=lambda exc: None, on_down=lambda: None, identity=identity
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return [*await _stream(client, policy), *await _partitions(client, count)]
    except (nats.errors.Error, OSError) as exc:
        raise TransientError(f"JetStream does not answer: {type(exc).__name__}") from exc
    finally:
        await close_nats(client)


async def _stream(client: NatsClient, policy: StreamPolicy) -> list[Finding]:
    try:
        info = await client.jetstream(timeout=5).stream_info(subjects.STREAM)
    except nats.js.errors.NotFoundError:
        return [Finding("stream", False, "it is not there", "a running hub makes it within seconds")]
    except (nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError, TimeoutError):
        return [
            Finding(
                "stream", False, "no majority of the servers answers",
                "start those that are down; until then gRPC carries everything",
            )
        ]  # fmt: skip
    found = [
        Finding("stream", False, f"{one.name} is {one.found}, must be {one.wanted}: {one.why}", next_step(one))
        for one in differences(info.config, policy)
    ]
    return [*(found or [Finding("stream", True, _told(info))]), *_replicas(info)]


def next_step(difference: Difference) -> str:
    """What sets it right."""
    if difference.name == "num_replicas":
        return "start that many servers (sepe hub broker), or change the wish: sepe hub stream --replicas"
    if difference.is_fixed:
        return "start the hub, which makes the stream anew; the offices send again what was in it"
    return "start the hub, which sets it right; if it runs, its log says what JetStream answers (pipe.unready)"


def _told(info: StreamInfo) -> str:
    return f"{info.state.messages} frames, {info.state.bytes >> 20} MiB, {info.config.num_replicas or 1} replicas"


def _replicas(info: StreamInfo) -> Iterable[Finding]:
    peers = (info.cluster.replicas or []) if info.cluster else []
    behind = [one for one in peers if not one.current or one.offline]
    for one in behind:
        state = "offline" if one.offline else f"{one.lag or 0} frames behind"
        yield Finding(
            "replica", False, f"{one.name} is {state}",
            "start it; if its disk is lost, start an empty server of the same name",
        )  # fmt: skip
    if peers and not behind:
        yield Finding("replica", True, f"{1 + len(peers)} are level, {info.cluster.leader} leads")  # type: ignore[union-attr]


async def _partitions(client: NatsClient, count: int) -> list[Finding]:
    """Who reads them, where processes share them by lease."""
    try:
        bucket = await client.jetstream(timeout=5).key_value(leases.BUCKET)
        table = leases.Table.parse((await bucket.get(leases.KEY)).value or b"")
    except (nats.js.errors.Error, TimeoutError):
        return []
    if not table.beats:
        return []
    shares = "; ".join(f"{name}: {_listed(table.held_by(name))}" for name in sorted(table.beats))
    free = [number for number in range(max(count, table.span)) if number not in table.holders]
    if free:
        return [
            Finding(
                "partitions", False, f"nobody reads {_listed(free)}",
                "a hub or worker that runs takes them within 10 seconds: start one",
            )
        ]  # fmt: skip
    return [Finding("partitions", True, shares)]


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers))) or "none"
