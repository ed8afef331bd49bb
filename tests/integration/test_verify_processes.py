"""Real programs on both sides, bytes flipped under them: everything is put right without a command typed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.merge.store import DATABASE
from node.clock import now_ms
from node.desk import status as node_status
from node.settings import DATABASE_NAME
from node.storage.store import NodeStore
from sepe_io.sqlite import connect
from tests.support.processes import node_run, running, sepe, sepe_json
from tests.support.relay_rig import NODE, make_office, running_hub

EVENTS = 20


def wait_for(holds: Callable[[], Any], what: Callable[[], object], timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, what()
        time.sleep(0.2)


def lines(first: int, count: int) -> str:
    people = [
        {
            "nik": f"537104410190{9000 + number}",
            "name": f"WARGA {chr(65 + number)}",
            "birth_date": "1990-01-01",
            "sex": "P",
        }
        for number in range(first, first + count)
    ]
    return "".join(json.dumps(one) + "\n" for one in people)


def rows(path: Path, *tables: str) -> list[list[Any]]:
    with closing(connect(path, read_only=True)) as database:
        return [database.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def change(path: Path, *statements: str) -> None:
    with closing(connect(path)) as database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement


@pytest.mark.parametrize("line", ["nats", "grpc"])
def test_damage_on_both_disks_is_found_and_mended_with_no_command_typed(tmp_path: Path, line: str) -> None:
    with running_hub(tmp_path / "hub") as hub:
        folder = make_office(tmp_path / "node", hub, nats=hub.nats if line == "nats" else "")
        hub_file, node_file = hub.directory / DATABASE, folder / DATABASE_NAME
        with running(node_run(folder)) as node:

            def status() -> dict[str, Any]:
                store = NodeStore.open(folder, read_only=True)
                try:
                    return node_status.status(store, now_ms())
                finally:
                    store.close()

            for first in range(0, EVENTS, 5):
                assert sepe("node", "record", folder, "-", text=lines(first, 5)).returncode == 0
                wait_for(lambda: status()["pending"] == 0 and status()["last_seq"] > 0, node.tail)
            before = rows(node_file, "outbox", "resident")
            held = rows(hub_file, "head", "frame")
            digest = hub.digest()
            hub.kill()
            node.kill()
            change(
                hub_file,
                "UPDATE frame SET data = CAST(substr(data, 1, 60) || x'00' || substr(data, 62) AS BLOB)"
                " WHERE number = 2",
                "DELETE FROM head WHERE nik = (SELECT MIN(nik) FROM head WHERE nik > 0)",
                f"UPDATE epoch SET durable_seq = 3 WHERE node = '{NODE}'",
            )
            change(
                node_file,
                "UPDATE outbox SET body = x'0a0158' WHERE seq = 5",
                "DELETE FROM outbox WHERE seq = 17",
                "UPDATE resident SET known = x'0a0158' WHERE nik = (SELECT MAX(nik) FROM resident)",
            )
        hub.start()
        with running(node_run(folder)) as node:

            def is_mended() -> bool:
                return rows(node_file, "outbox", "resident") == before and rows(hub_file, "head", "frame") == held

            wait_for(is_mended, lambda: f"{node.tail()}\n{hub.program.tail() if hub.program else ''}")
            assert hub.digest() == digest
            wait_for(lambda: rows(hub_file, "proof")[0] and not rows(hub_file, "wanted")[0], node.tail)
        with running(node_run(folder)) as node:
            wait_for(lambda: (status()["proof"] or {}).get("events") == status()["last_seq"], node.tail)
            proof = status()["proof"]
            assert proof["agrees"] is True and proof["missing"] == 0
            shown = sepe("node", "status", folder).stdout
            assert (
                f"pusat memegang semua {status()['last_seq']} peristiwa Anda, sidik {proof['digest'][:16]}"
                in shown
            )
        document = sepe_json("hub", "verify", hub.directory, "--json")
        assert document["ok"] and document["found"] == []
        assert (
            f"holds all {proof['events']} of your events, digest {proof['digest'][:16]}"
            in document["nodes"][0]["line"]
        )
