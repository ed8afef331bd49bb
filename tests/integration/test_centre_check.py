"""An office whose first cards wait for the centre's check: what the forecast says of it, and who is a voter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.desk import roll
from node.printing.check import check_took_ms, note_checks
from node.printing.outlook import office_day
from node.printing.printers import Printers
from node.printing.queue import QueueStore, load_policy
from node.storage.store import NodeStore
from sepe.dispatch.outlook import Limit
from sepe.dispatch.policy import JobClass
from tests.support.office import NOW_MS, line, make_office, record

MINUTE_MS = 60_000
NIKS = [f"537104410190{9001 + number}" for number in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    found = make_office(tmp_path / "node", blanks=200)
    Printers(found).adopt([f"folder:{tmp_path}/out"])
    yield found
    found.close()


def confirm(store: NodeStore) -> None:
    """The centre has everything."""
    store.connection.execute(
        "UPDATE epoch SET durable_seq = (SELECT max(seq) FROM outbox WHERE outbox.epoch = epoch.number)"
    )


def test_the_measured_check_binds_when_nothing_else_does_and_holds_the_cards_until_the_answer(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The line stands; only the centre has not answered.
    monkeypatch.setattr(NodeStore, "link", lambda self, now_ms: "grpc")
    hours = '[hours]\nprinting = "08:00-21:00"\ndesk = "00:00-00:01"\n'
    (store.folder / "queue.toml").write_text(f"{hours}[check]\nwaits = true\n[complete]\nwaits = false\n")
    record(store, *(line(nik) for nik in NIKS[:5]))
    confirm(store)
    note_checks(store, NOW_MS + 90 * MINUTE_MS)
    note_checks(store, NOW_MS + 200 * MINUTE_MS)
    assert check_took_ms(store) == 90 * MINUTE_MS, "each is measured once"
    record(store, *(line(nik) for nik in NIKS[5:]))
    policy = load_policy(store.folder, store.node)
    assert len(QueueStore(store).printable(policy, NOW_MS)) == 5
    day = office_day(store, NOW_MS)
    assert day.seen.binding == (Limit.CHECK,)
    waits = {one.ready_ms for one in day.queue if one.waits_for == Limit.CHECK}
    assert waits == {NOW_MS + 90 * MINUTE_MS}
    confirm(store)
    assert len(QueueStore(store).printable(policy, NOW_MS)) == 20
    # Without that rule in the policy nobody waits for the centre.
    (store.folder / "queue.toml").write_text(f"{hours}[complete]\nwaits = false\n")
    assert Limit.CHECK not in office_day(store, NOW_MS).seen.binding


def test_whom_the_roll_calls_no_voter_is_not_printed_as_one(store: NodeStore) -> None:
    (store.folder / "queue.toml").write_text('vote_day = "2024-11-27"\n[complete]\nwaits = false\n')
    record(store, *(line(nik) for nik in NIKS[:3]))
    roll.load(store, f"nik,voter\n{NIKS[0]},ya\n{NIKS[1]},tidak\n", now_ms=NOW_MS)
    policy = load_policy(store.folder, store.node)
    kinds = {one.job: one.kind for one in QueueStore(store).printable(policy, NOW_MS)}
    assert [kinds[job] for job in sorted(kinds)] == [JobClass.VOTER, JobClass.FIRST, JobClass.VOTER]
