"""The issue's own proof: six offices, 10,000 recordings, one calm run and one in which everything breaks.

Both runs start from copies of the same six directories, so their hubs must end with the same digest.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.merge.store import DATABASE
from sepe.region import WITA
from sepe_io.framefile import read_frames, write_frames
from sepe_io.frames import peek_header
from sepe_io.sqlite import connect
from surge.demo.play import purge_stream
from surge.lab.policy import print_incomplete
from surge.line import Line
from surge.people import NikSpace, Populace
from surge.visits import visits
from tests.support.installed import Sepe
from tests.support.processes import Program

NODES = [f"5371{office:02}-1" for office in range(1, 7)]
RECORDINGS = 10_000
SETTLE_S = 90


@dataclass
class Recorded:
    """Six offices that have recorded and not yet sent anything, and what a hub must find."""

    folder: Path
    residents: int
    duplicates: int
    conflicts: int
    last_seq: dict[str, int]


@pytest.fixture(scope="module")
def recorded(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    sepe = Sepe(site)
    folder = tmp_path_factory.mktemp("offices")
    rng = Random(20241127)
    populace = Populace(rng, kecamatan="537104", today=datetime.now(tz=WITA.tzinfo).date(), space=NikSpace())
    lines: dict[str, list[str]] = {node: [] for node in NODES}
    claims: set[tuple[str, bytes]] = set()
    for visit in visits(populace, rng, RECORDINGS, repeat_share=0.10, conflict_share=0.01):
        lines[rng.choice(NODES)].append(json.dumps(visit.person.to_line()))
        claims.add((visit.person.nik.value, visit.person.identity))
    sepe.ok("hub", "init", folder / "hub")
    last_seq = {}
    for node in NODES:
        token = sepe.ok("hub", "enrol", folder / "hub", "--node", node).strip()
        sepe.ok("node", "init", folder / node, "--node", node, "--hub", "127.0.0.1:1", "--token", token)
        print_incomplete(folder / node)
        answers = sepe.ok("node", "record", folder / node, "-", stdin="\n".join(lines[node]) + "\n")
        assert [json.loads(line)["ok"] for line in answers.splitlines()] == [True] * len(lines[node])
        last_seq[node] = json.loads(sepe.ok("node", "status", folder / node, "--json"))["last_seq"]
    names_of = Counter(nik for nik, _ in claims)
    yield Recorded(
        folder,
        residents=len(names_of),
        duplicates=RECORDINGS - len(claims),
        conflicts=sum(count > 1 for count in names_of.values()),
        last_seq=last_seq,
    )


def copied(recorded: Recorded, into: Path) -> Path:
    target = into / "offices"
    shutil.copytree(recorded.folder, target)
    return target


def wait_until_received(sepe: Sepe, folder: Path, recorded: Recorded) -> None:
    """Until the hub holds every event of every node: its database says when, its own list says so."""
    deadline = time.monotonic() + SETTLE_S
    with closing(connect(folder / "hub" / DATABASE, read_only=True)) as database:
        while (
            dict(database.execute("SELECT node, durable_seq FROM epoch WHERE node <> 'hub'")) != recorded.last_seq
        ):
            assert time.monotonic() < deadline, sepe.ok("hub", "nodes", folder / "hub")
            time.sleep(0.1)
    rows = json.loads(sepe.ok("hub", "nodes", folder / "hub", "--json"))
    assert {row["node"]: row["durable_seq"] for row in rows} == recorded.last_seq


def check_hub(sepe: Sepe, folder: Path, recorded: Recorded) -> str:
    """The counts are exact, and the digest survives a rebuild; returns it."""
    status = json.loads(sepe.ok("hub", "status", folder / "hub", "--json"))
    found = {key: status[key] for key in ("residents", "duplicates", "cases_open", "quarantined", "parked")}
    assert found == {
        "residents": recorded.residents,
        "duplicates": recorded.duplicates,
        "cases_open": recorded.conflicts,
        "quarantined": 0,
        "parked": 0,
    }
    digest = json.loads(sepe.ok("hub", "digest", folder / "hub", "--json"))["digest"]
    sepe.ok("hub", "rebuild", folder / "hub")
    assert json.loads(sepe.ok("hub", "digest", folder / "hub", "--json"))["digest"] == digest
    return str(digest)


def check_nodes(sepe: Sepe, folder: Path) -> None:
    for node in NODES:
        status = json.loads(sepe.ok("node", "status", folder / node, "--json"))
        assert status["durable_seq"] == status["last_seq"]
        assert status["pending"] == 0


@pytest.fixture(scope="module")
def calm_digest() -> dict[str, str]:
    return {}


@pytest.mark.timeout(240)
def test_ten_thousand_recordings_of_six_offices_come_out_exactly(
    sepe: Sepe, recorded: Recorded, tmp_path: Path, calm_digest: dict[str, str]
) -> None:
    folder = copied(recorded, tmp_path)
    hub = sepe.hub_run(folder / "hub")
    for node in NODES:
        sepe.node_run(folder / node, "--hub", hub.ready["grpc"], "--nats", hub.ready["nats"])
    wait_until_received(sepe, folder, recorded)
    calm_digest["calm"] = check_hub(sepe, folder, recorded)
    for program in sepe.programs[1:]:
        assert program.stop(5) == 0
    check_nodes(sepe, folder)
    assert hub.stop(5) == 0
    check_second_hub(sepe, folder, calm_digest["calm"], tmp_path)


def check_second_hub(sepe: Sepe, folder: Path, digest: str, tmp_path: Path) -> None:
    """Another hub that is fed the same frames in another order agrees."""
    frames_file, keys_file, second = tmp_path / "frames", tmp_path / "keys", tmp_path / "second"
    sepe.ok("hub", "export", folder / "hub", "--what", "frames", "--out", frames_file)
    sepe.ok("hub", "keys", "export", folder / "hub", keys_file)
    frames = list(read_frames(frames_file))
    shuffled = frames[:]
    Random(7).shuffle(shuffled)
    # A frame that comes before its predecessor is a gap and must come again: so the pile is fed once as it fell, and
    # once with each office's own frames in order at the places where its frames fell.
    sent = {node: iter([frame for frame in frames if peek_header(frame).node == node]) for node in NODES}
    mixed = [next(sent[peek_header(frame).node]) for frame in shuffled]
    assert shuffled != frames != mixed
    sepe.ok("hub", "init", second)
    sepe.ok("hub", "keys", "import", second, keys_file)
    total = json.loads(sepe.ok("hub", "status", folder / "hub", "--json"))["events"]
    for pile, is_all_in in ((shuffled, False), (mixed, True)):
        write_frames(tmp_path / "pile", pile)
        sepe("hub", "import", second, tmp_path / "pile")
        assert (json.loads(sepe.ok("hub", "status", second, "--json"))["events"] == total) is is_all_in
    assert json.loads(sepe.ok("hub", "digest", second, "--json"))["digest"] == digest


@pytest.mark.timeout(300)
async def test_the_same_run_with_everything_killed_and_purged_ends_with_the_same_digest(
    sepe: Sepe, recorded: Recorded, tmp_path: Path, calm_digest: dict[str, str]
) -> None:
    folder = copied(recorded, tmp_path)
    hub = sepe.hub_run(folder / "hub")
    ready = hub.ready
    nats = urlsplit(ready["nats"])
    grpc_host, _, grpc_port = ready["grpc"].rpartition(":")
    async with AsyncExitStack() as stack:
        for node in NODES:
            # Slow lines, so that the backlog is still on its way while things are killed.
            grpc_line = await stack.enter_async_context(Line(grpc_host, int(grpc_port)))
            nats_line = await stack.enter_async_context(Line(str(nats.hostname), int(nats.port or 0)))
            grpc_line.shape.bytes_per_second = nats_line.shape.bytes_per_second = 12_000
            addresses = ("--hub", grpc_line.address, "--nats", f"nats://{nats_line.address}")
            await asyncio.to_thread(sepe.node_run, folder / node, *addresses)
        # A hub that was killed comes back where the offices know it.
        again = ("--grpc", ready["grpc"], "--nats-port", nats.port)
        for turn in range(3):
            await purge_stream(ready["nats"])
            if turn < 2:
                os.kill(nats_server_of(hub), signal.SIGKILL)
                await asyncio.sleep(1.0)
                hub.kill()
                hub = await asyncio.to_thread(sepe.hub_run, folder / "hub", *again)
        await asyncio.to_thread(wait_until_received, sepe, folder, recorded)
        digest = await asyncio.to_thread(check_hub, sepe, folder, recorded)
        for program in sepe.programs:
            if program is not hub:
                await asyncio.to_thread(program.stop, 5) if program.process.poll() is None else None
        check_nodes(sepe, folder)
    assert digest == calm_digest["calm"]


def nats_server_of(hub: Program) -> int:
    """The process id of the hub's embedded nats-server."""
    children = Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text().split()
    names: dict[int, Any] = {int(child): Path(f"/proc/{child}/comm").read_text() for child in children}
    (pid,) = [child for child, name in names.items() if "nats" in name]
    return pid
