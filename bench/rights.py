"""Rights: claims on a running hub at 500 a second, each a first claim that moves a right.

Open loop: a claim is due every two milliseconds whether or not the ones before it were answered, and its time
counts from when it was due, so a hub that stalls is not spared. Half of the residents were recorded before, so
their record is read. Reference: a bare gRPC server, alone in a process too, that commits one SQLite row for each
call, at the same pace. Beside it, what one writing thread decides in batches as they gather at that pace, against
the same signatures checked and the same number of rows committed by the libraries alone.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import grpc.aio

from hub.dispatch.rights import RightClaim
from hub.dispatch.service import CLAIM_PREFIX
from hub.merge.store import Arrival, HubStore
from sepe.rpc.v1 import rights_pb2, rights_pb2_grpc
from sepe_io.channel import grpc_channel, grpc_server
from sepe_io.keys import signed_part, verify
from sepe_io.sqlite import connect, transaction
from tests.support.live_hub import NOW_MS, make_hub
from tests.support.processes import hub_run, running
from tests.support.world import Node, nik_of, recorded

PER_SECOND = 500
SECONDS = 6
WARM = 200
CLAIMS = PER_SECOND * SECONDS
FRAME_EVENTS = 1000
# What gathers in forty milliseconds, a commit under load.
BATCH = 20
AWAY, HOMELESS = "537105-1", "537199"

Send = Callable[[rights_pb2.ClaimRequest], Awaitable[object]]


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    away = Node(AWAY)
    niks = [nik_of(number, HOMELESS) for number in range(CLAIMS + WARM)]
    with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch:
        folder = Path(scratch)
        away.write(*(recorded(nik, f"MARIA TAEK {number}") for number, nik in enumerate(niks) if number % 2))
        directory = make_hub(folder / "hub", away)
        with HubStore.open(directory) as store:
            store.merge([Arrival(frame, "grpc", NOW_MS) for frame in away.frames(FRAME_EVENTS)])
        requests = [_request(away, nik) for nik in niks]
        with running(hub_run(directory)) as hub:
            ours = asyncio.run(_paced(hub.ready["grpc"], requests))
            assert hub.stop() == 0, hub.tail()
        bare = _bare(folder, requests)
        decided = _decided(folder, away, requests)
        bare_rows = _bare_rows(folder, away, requests)
    reference = "a bare gRPC call with one SQLite commit, same pace"
    return [
        _row("claim of a right at 500/s, median", _share(ours, 0.5), reference, _share(bare, 0.5)),
        _row("claim of a right at 500/s, 99 of 100 under", _share(ours, 0.99), reference, _share(bare, 0.99)),
        {
            "name": f"claims decided and committed, {BATCH} at once", "value": round(decided), "unit": "claims/s",
            "reference": "signature checked, one row in a commit of as many",
            "reference_value": round(bare_rows), "ratio": round(decided / bare_rows, 3),
        },
    ]  # fmt: skip


def _decided(folder: Path, node: Node, requests: Sequence[rights_pb2.ClaimRequest]) -> float:
    directory = make_hub(folder / "decided", node)
    with HubStore.open(directory) as store:
        store.merge([Arrival(frame, "grpc", NOW_MS) for frame in node.frames(FRAME_EVENTS)])
        began = time.perf_counter()
        for start in range(0, len(requests), BATCH):
            claims = []
            for request in requests[start : start + BATCH]:
                public_key = store.public_key_of(request.node, request.key_id, now_ms=NOW_MS)
                assert verify(public_key, request.signature, CLAIM_PREFIX + signed_part(request))
                claims.append(RightClaim(request.nik, request.product, request.issue, request.node))
            assert all(one.granted for one in store.answer_rights(claims, now_ms=NOW_MS))
        return len(requests) / (time.perf_counter() - began)


def _bare_rows(folder: Path, node: Node, requests: Sequence[rights_pb2.ClaimRequest]) -> float:
    connection = connect(folder / "rows.db")
    connection.execute("CREATE TABLE claim (nik INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    began = time.perf_counter()
    for start in range(0, len(requests), BATCH):
        with transaction(connection):
            for request in requests[start : start + BATCH]:
                assert verify(node.signer.public_key, request.signature, CLAIM_PREFIX + signed_part(request))
                connection.execute("INSERT INTO claim VALUES (?, ?)", (request.nik, request.SerializeToString()))
    rate = len(requests) / (time.perf_counter() - began)
    connection.close()
    return rate


def _request(node: Node, nik: int) -> rights_pb2.ClaimRequest:
    request = rights_pb2.ClaimRequest(
        nik=nik, product="ktp-el", issue=1, node=node.name, key_id=node.signer.key_id,
        clock_ms=time.time_ns() // 1_000_000,
    )  # fmt: skip
    request.signature = node.signer.sign(CLAIM_PREFIX + signed_part(request))
    return request


async def _paced(address: str, requests: Sequence[rights_pb2.ClaimRequest]) -> list[float]:
    """Milliseconds from when each claim was due until its answer was here."""
    async with grpc_channel(address) as channel:
        stub = rights_pb2_grpc.RightsStub(channel)
        for request in requests[:WARM]:
            await stub.Claim(request, timeout=10)
        began = time.perf_counter() + 0.1
        took: list[float] = []

        async def claim(number: int, request: rights_pb2.ClaimRequest) -> None:
            due = began + number / PER_SECOND
            answer = await stub.Claim(request, timeout=30)
            took.append((time.perf_counter() - due) * 1000)
            assert answer.granted, answer

        calls = []
        for number, request in enumerate(requests[WARM:]):
            wait = began + number / PER_SECOND - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            calls.append(asyncio.create_task(claim(number, request)))
        await asyncio.gather(*calls)
        return took


def _bare(folder: Path, requests: Sequence[rights_pb2.ClaimRequest]) -> list[float]:
    context = multiprocessing.get_context("spawn")
    ports, stop = context.Queue(), context.Event()
    process = context.Process(target=_serve, args=(folder / "bare.db", ports, stop))
    process.start()
    try:
        return asyncio.run(_paced(f"127.0.0.1:{ports.get(timeout=30)}", requests))
    finally:
        stop.set()
        process.join(10)
        if process.is_alive():
            process.kill()


def _serve(path: Path, ports: Any, stop: Event) -> None:
    asyncio.run(_serving(path, ports, stop))


async def _serving(path: Path, ports: Any, stop: Event) -> None:
    connection = connect(path)
    connection.execute("CREATE TABLE claim (nik INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    class Bare(rights_pb2_grpc.RightsServicer):
        async def Claim(self, request: rights_pb2.ClaimRequest, context: Any) -> rights_pb2.ClaimResponse:
            with transaction(connection):
                connection.execute("INSERT INTO claim VALUES (?, ?)", (request.nik, request.SerializeToString()))
            return rights_pb2.ClaimResponse(granted=True)

        async def Return(self, request: rights_pb2.ReturnRequest, context: Any) -> rights_pb2.ReturnResponse:
            return rights_pb2.ReturnResponse()

        async def Changes(self, request: rights_pb2.ChangesRequest, context: Any) -> rights_pb2.ChangesResponse:
            return rights_pb2.ChangesResponse()

    server: grpc.aio.Server = grpc_server()
    rights_pb2_grpc.add_RightsServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ports.put(port)
    while not stop.is_set():  # noqa: ASYNC110 - set by another process
        await asyncio.sleep(0.1)
    await server.stop(0)


def _share(took: Sequence[float], share: float) -> float:
    return sorted(took)[int(share * (len(took) - 1))]


def _row(name: str, value: float, reference: str, reference_value: float) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 2), "unit": "ms", "reference": reference,
        "reference_value": round(reference_value, 2), "ratio": round(value / reference_value, 3),
    }  # fmt: skip
