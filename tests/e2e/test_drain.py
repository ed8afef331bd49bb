"""Offices come back at once onto a struck cluster: the Show of `sepe surge drain`, small."""

from __future__ import annotations

from pathlib import Path

from surge.drain.play import DrainSettings, run, text_of
from tests.support.postgres import PostgresServer


async def test_a_server_and_a_worker_die_and_every_event_arrives_once(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    settings = DrainSettings(offices=4, events=12_000, database=postgres.database())
    report = await run(settings, tmp_path, lambda text: None)
    assert report.passed, text_of(report)
    assert [line.rpartition(": ")[2].partition(" ")[0] for line in report.story] == ["nats-server", "worker", "an"]
    assert {"hub", "worker w2", "nats-server n1"} <= report.memory_mb.keys()
