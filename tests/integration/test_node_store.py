"""The office's database: append, page, prune, new epochs, two processes, damage, a wrong clock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.desk.doctor import examine
from node.storage.check import check_rows
from node.storage.damage import damaged
from node.storage.store import NodeStore, Position
from sepe import codec, hlc
from sepe.errors import InvalidInputError
from sepe.events import Draft
from sepe_io.sqlite import StorageFullError
from tests.support.faults.fullness import small_disk
from tests.support.office import HOME_NIK, NOW_MS, line, make_office, record
from tests.support.processes import ROOT

DAY_MS = 86_400_000


def drafts(count: int, size: int = 20) -> list[Draft]:
    """Events of a kind that nobody knows yet: the store must not care."""
    return [Draft(99, 5371044101909001, bytes([index % 256]) * size) for index in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return make_office(tmp_path / "node")


def all_rows_fit(store: NodeStore) -> None:
    for epoch in store.epochs():
        check_rows(codec.chain_start(store.node, epoch), store.events_after(0, epoch))


def test_seqs_are_contiguous_and_the_chain_commits_to_every_event(store: NodeStore) -> None:
    ids = store.append(drafts(3), NOW_MS) + store.append(drafts(2), NOW_MS)
    assert [one.seq for one in ids] == [1, 2, 3, 4, 5]
    page = store.page(0)
    assert page is not None
    position = store.position()
    assert codec.chains(page.chain_before, page.columns)[-1] == position.last_chain == store.chain_at(5)
    assert position == Position(ids[0].epoch, 5, position.last_chain, 0)


def test_pages_cover_the_outbox_without_a_gap_or_an_overlap(store: NodeStore) -> None:
    store.append(drafts(2500, size=100), NOW_MS)
    seen: list[int] = []
    after = 0
    while page := store.page(after):
        assert page.first_seq == after + 1
        assert page.chain_before == store.chain_at(after)
        seen.append(len(page.columns))
        after = page.last_seq
    assert (after, seen) == (2500, [1000, 1000, 500])


def test_an_append_inside_a_failing_transaction_leaves_nothing(store: NodeStore) -> None:
    before = store.position()
    with pytest.raises(RuntimeError), store.transaction():
        store.append(drafts(3), NOW_MS)
        raise RuntimeError
    assert store.position() == before
    assert store.append(drafts(1), NOW_MS)[0].seq == 1


def test_the_watermark_rises_and_falls_only_when_the_hub_went_back(store: NodeStore) -> None:
    store.append(drafts(10), NOW_MS)
    store.store_durable(7, NOW_MS)
    store.store_durable(4, NOW_MS)
    assert store.position().durable_seq == 7
    store.store_durable(4, NOW_MS, went_back=True)
    assert store.position().durable_seq == 4
    with pytest.raises(InvalidInputError):
        store.store_durable(11, NOW_MS)


def test_only_old_rows_that_the_hub_holds_are_pruned(store: NodeStore) -> None:
    store.append(drafts(10), NOW_MS)
    store.store_durable(6, NOW_MS)
    assert store.prune(NOW_MS + 29 * DAY_MS) == 0
    chain = store.chain_at(6)
    assert store.prune(NOW_MS + 31 * DAY_MS) == 6
    assert store.page(0) is None
    assert store.chain_at(6) == chain and store.chain_at(5) is None
    page = store.page(6)
    assert page is not None and page.first_seq == 7
    assert store.append(drafts(1), NOW_MS)[0].seq == 11
    assert all(one.is_ok for one in examine(store)), examine(store)


def test_a_clock_ten_years_ahead_does_not_make_young_rows_old(store: NodeStore) -> None:
    # Seed 186 of the full world: such a clock pruned rows that a restored hub then asked for.
    store.append(drafts(10), NOW_MS)
    store.store_durable(6, NOW_MS)
    store.see_hub_clock(NOW_MS)
    assert store.prune(NOW_MS + 3650 * DAY_MS) == 0
    store.see_hub_clock(NOW_MS + 31 * DAY_MS)
    assert store.prune(NOW_MS + 3650 * DAY_MS) == 6


def test_what_was_confirmed_late_is_kept_as_long_as_the_rest(store: NodeStore) -> None:
    store.append(drafts(10), NOW_MS)
    weeks_later = NOW_MS + 35 * DAY_MS
    store.store_durable(4, weeks_later)
    store.store_durable(8, weeks_later + DAY_MS)
    assert store.prune(weeks_later + 29 * DAY_MS) == 0
    assert store.prune(weeks_later + 30 * DAY_MS) == 4
    assert store.prune(weeks_later + 31 * DAY_MS) == 4


def test_what_the_hub_took_back_counts_from_when_it_is_confirmed_again(store: NodeStore) -> None:
    store.append(drafts(10), NOW_MS)
    store.store_durable(9, NOW_MS)
    store.store_durable(3, NOW_MS + 20 * DAY_MS, went_back=True)
    store.store_durable(9, NOW_MS + 21 * DAY_MS)
    assert store.prune(NOW_MS + 31 * DAY_MS) == 0
    assert store.prune(NOW_MS + 51 * DAY_MS) == 9


def test_the_last_row_is_never_pruned_for_the_next_one_continues_it(store: NodeStore) -> None:
    store.append(drafts(5), NOW_MS)
    store.store_durable(5, NOW_MS)
    assert store.prune(NOW_MS + 31 * DAY_MS) == 4
    assert store.position().last_seq == 5
    assert store.append(drafts(1), NOW_MS)[0].seq == 6


def test_a_file_over_its_size_is_pruned_whatever_its_age(store: NodeStore) -> None:
    store.append(drafts(3000, size=1000), NOW_MS)
    store.store_durable(3000, NOW_MS)
    assert 0 < store.prune(NOW_MS, keep_bytes=1_000_000) < 3000 or store.page(2999) is not None
    assert store.page(0) is None


def test_a_pruned_recording_can_still_be_printed(store: NodeStore) -> None:
    from node.printing.ledger import Ledger

    assert record(store, line(address="JL. TERAKHIR"), line("5371044101909002"))[0].ok
    ledger = Ledger(store)
    before = ledger.recording_of(ledger.job(1))
    store.store_durable(2, NOW_MS)
    assert store.prune(NOW_MS + 31 * DAY_MS) == 1
    assert ledger.recording_of(ledger.job(1)) == before != b""


def test_a_new_epoch_repeats_what_the_hub_lacks_and_keeps_the_old_rows(store: NodeStore) -> None:
    store.append(drafts(5), NOW_MS)
    old = store.position()
    rows = list(store.events_after(3))
    new = store.open_epoch("rolled_back", 3, NOW_MS + 1)
    assert new.epoch != old.epoch
    assert (new.last_seq, new.durable_seq) == (2, 0)
    carried = list(store.events_after(0))
    assert [(row.nik, row.stamp, row.kind, row.body) for row in carried] == [
        (row.nik, row.stamp, row.kind, row.body) for row in rows
    ]
    assert store.chain_at(5, old.epoch) == old.last_chain
    assert store.append(drafts(1), NOW_MS)[0] == (store.node, new.epoch, 3)
    all_rows_fit(store)
    assert all(one.is_ok for one in examine(store))


def test_stamps_rise_when_the_clock_falls_back_to_1970(store: NodeStore) -> None:
    store.append(drafts(1), NOW_MS)
    store.append(drafts(2), 0)
    store.append(drafts(1), -5)
    stamps = [row.stamp for row in store.events_after(0)]
    assert stamps == sorted(set(stamps))
    assert record(store, line(), now_ms=0)[0].ok


def test_stamps_lie_above_the_hub_clock_that_this_machine_has_seen(store: NodeStore) -> None:
    store.see_hub_clock(NOW_MS + 5000, NOW_MS)
    store.append(drafts(1), NOW_MS)
    assert next(store.events_after(0)).stamp > hlc.stamp_of(NOW_MS + 5000)
    store.see_hub_clock(NOW_MS - 5000, NOW_MS)
    assert store.clock().hub_ms == NOW_MS + 5000
    assert store.clock().skew_ms == 5000


def test_a_clock_in_the_far_future_still_records(store: NodeStore) -> None:
    store.append(drafts(1), 253_402_300_799_000)  # the last second of the year 9999
    store.see_hub_clock(1 << 60, NOW_MS)
    store.append(drafts(1), NOW_MS)
    assert store.position().last_seq == 2


def test_a_changed_row_is_found_by_opening_and_by_the_doctor_and_recording_goes_on(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    store.append(drafts(50), NOW_MS)
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 3")
    found = {one.check: one for one in examine(store)}
    assert not found["chain"].is_ok and "seq 3;" in found["chain"].detail and found["database"].is_ok
    store.connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 49")
    store.close()
    store = NodeStore.open(tmp_path / "node")
    assert [(one.seq, one.state) for one in damaged(store.connection)] == [(49, "open")]
    assert store.append(drafts(1), NOW_MS)[0].seq == 51


def test_another_machines_settings_are_refused(tmp_path: Path) -> None:
    make_office(tmp_path / "node").close()
    path = tmp_path / "node" / "node.toml"
    path.write_text(path.read_text().replace("537104-1", "537104-2"))
    with pytest.raises(InvalidInputError, match="537104-1"):
        NodeStore.open(tmp_path / "node")


def test_a_folder_that_is_no_node_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="sepe node init"):
        NodeStore.open(tmp_path)


def test_a_full_disk_refuses_recordings_whole_and_recovers_when_freed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=4) as disk:
        store = make_office(disk.folder / "node")
        assert record(store, line())[0].ok
        disk.fill()
        refused = []
        for serial in range(9002, 9400):
            answers = record(store, line(f"537104410190{serial}"), line(f"537104410191{serial}"))
            refused = [one for one in answers if not one.ok]
            if refused:
                break
        assert len(refused) == 2, "a batch is stored whole or not at all"
        assert refused[0].status == "not_stored" and "full" in (refused[0].error or "")
        stored = store.position().last_seq
        assert store.connection.execute("SELECT count(*) FROM resident").fetchone()[0] == stored
        with pytest.raises(StorageFullError):
            store.append(drafts(64, size=60_000), NOW_MS)
        disk.free()
        assert record(store, line("5371044101929001"))[0].ok
        assert store.position().last_seq == stored + 1
        assert all(one.is_ok for one in examine(store)), examine(store)
        store.close()


WRITER = """
import sys
from pathlib import Path
from node.storage.store import NodeStore
from tests.support.office import line, record
store = NodeStore.open(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    assert record(store, line(f"53710441019{sys.argv[2]}{number:04d}"[:12] + f"{9000 + number:04d}"))[0].ok
"""


def test_two_processes_record_at_once_into_one_unbroken_chain(tmp_path: Path) -> None:
    make_office(tmp_path / "node").close()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "node"), digit, "150"], cwd=ROOT)
        for digit in ("0", "1")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = NodeStore.open(tmp_path / "node")
    assert store.position().last_seq == 300
    all_rows_fit(store)
    assert store.connection.execute("SELECT count(*) FROM job").fetchone()[0] == 300
    store.close()


KILLED = """
import json, sys
from pathlib import Path
from node.storage.store import NodeStore
from tests.support.office import line, record
store = NodeStore.open(Path(sys.argv[1]))
for number in range(9999):
    answer = record(store, line(f"537104410190{9000 + number % 1000:04d}"))[0]
    print(answer.to_json(), flush=True)
"""


@pytest.mark.parametrize("answers", [1, 17, 60])
def test_a_killed_recorder_loses_nothing_that_it_answered(tmp_path: Path, answers: int) -> None:
    make_office(tmp_path / "node").close()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "node")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(answers)]
    process.kill()
    said += process.stdout.readlines()
    process.wait(10)
    process.stdout.close()
    events = [json.loads(one)["event"] for one in said if one.endswith("\n")]
    store = NodeStore.open(tmp_path / "node")
    last = store.position().last_seq
    assert last >= len(events) >= answers
    assert int(events[-1].rpartition(":")[2]) == len(events)
    all_rows_fit(store)
    jobs = store.connection.execute("SELECT count(*) FROM job").fetchone()[0]
    residents = store.connection.execute("SELECT count(*), sum(claims) FROM resident").fetchone()
    assert residents[1] == last and residents[0] == jobs
    assert record(store, line(HOME_NIK, reason="lost"))[0].ok
    store.close()
