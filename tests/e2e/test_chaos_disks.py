"""Real hub and office processes on disks that fail, fill up and lose their power."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sepe_io import sqlite
from tests.support.faults.fsync import bad_sync
from tests.support.faults.fullness import small_disk
from tests.support.faults.power import disk
from tests.support.place import Place, lines_of, numbered, place


@pytest.fixture
def here(site: Path, tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "place", site=site, hub=False) as made:
        yield made


@pytest.mark.timeout(180)
def test_hub_and_office_end_when_their_disk_fails_and_a_restart_is_all_it_takes(
    here: Place, tmp_path: Path
) -> None:
    hub_disk, office_disk = bad_sync(tmp_path / "hub-disk"), bad_sync(tmp_path / "office-disk")
    here.make_hub()
    hub = here.start_hub(hub_disk.environment)
    office = here.make_office()
    running = here.start_office(office, office_disk.environment)
    here.record(office, 0, 20)
    here.until_received(office)

    # Not once only: the first sync that fails may be that of the attachments' own index, which ends nothing.
    hub_disk.fail()
    here.record(office, 20, 20)
    assert here.until_ended(hub) != 0
    assert "the disk failed while hub.db was written" in hub.tail()
    hub_disk.heal()
    here.start_hub(hub_disk.environment)
    here.until_received(office)

    # The watermark that the office stores next meets the fault.
    office_disk.fail_once()
    here.record(office, 40, 20)
    assert here.until_ended(running) != 0
    assert "the disk failed while node.db was written" in running.tail()
    here.start_office(office, office_disk.environment)
    here.until_received(office)
    assert here.held() == numbered(0, 60)


@pytest.mark.timeout(180)
def test_a_full_disk_at_the_hub_stops_acks_only_and_freeing_it_is_all_it_takes(here: Place) -> None:
    with small_disk(here.hub_dir, size_mb=24) as small:
        here.make_hub()
        hub = here.start_hub()
        office = here.make_office()
        here.start_office(office)
        here.record(office, 0, 20)
        here.until_received(office)

        small.fill()
        # Enough that it cannot fit into pages that are there already.
        here.record(office, 20, 1500)
        here.until("the hub says so", lambda: "the disk is full" in readiness(hub.ready["http"])["storage"])
        assert here.position(office).durable_seq < 1520
        small.free()
        here.until_received(office)
        assert hub.process.poll() is None
        assert readiness(hub.ready["http"])["storage"] == "ok"
        assert here.held() == numbered(0, 1520)
        here.end()


@pytest.mark.timeout(180)
def test_an_office_on_a_full_disk_refuses_clearly_and_goes_on_when_freed(here: Place) -> None:
    here.make_hub()
    here.start_hub()
    with small_disk(here.folder / "small", size_mb=12) as small:
        office = here.make_office(name="small/office")
        running = here.start_office(office)
        here.record(office, 0, 20)
        here.until_received(office)

        small.fill()
        refused = here.sepe("node", "record", office, "-", text=lines_of(20, 300))
        answers = [json.loads(line) for line in refused.stdout.splitlines()]
        assert refused.returncode == 3
        assert len(answers) == 300 and not any(answer["ok"] for answer in answers)
        assert all("disk is full" in answer["error"] for answer in answers)
        small.free()
        here.record(office, 20, 300)
        here.until_received(office)
        assert running.process.poll() is None
        assert here.held() == numbered(0, 320)
        here.end()


@pytest.mark.timeout(180)
def test_a_full_disk_under_the_broker_leaves_grpc_to_carry_everything(here: Place) -> None:
    here.make_hub()
    with small_disk(here.hub_dir / "nats", size_mb=4) as small:
        small.fill(leave_bytes=256 << 10)
        here.start_hub()
        office = here.make_office()
        here.start_office(office)
        for round_number in range(5):
            here.record(office, 2000 * round_number, 2000)
        small.fill()
        here.record(office, 10_000, 100)
        here.until_received(office)
        assert here.held() == numbered(0, 10_100)
        here.end()


@pytest.mark.timeout(240)
def test_a_power_cut_at_the_centre_under_load_loses_nothing(here: Place) -> None:
    with disk(here.hub_dir, size_mb=256) as medium:
        here.make_hub()
        hub = here.start_hub()
        office = here.make_office()
        here.start_office(office)
        for turn in range(3):
            here.record(office, 3000 * turn, 3000)
            # Broker, database and its journal lose their power together, in the middle of the backlog.
            medium.cut()
            hub.kill()
            here.until("nobody holds the disk", lambda: is_released(medium.folder))
            medium.power_on()
            hub = here.start_hub()
        here.until_received(office)
        assert here.held() == numbered(0, 9000)
        here.end()


@pytest.mark.timeout(240)
def test_a_power_cut_at_an_office_loses_no_answered_line(here: Place) -> None:
    here.make_hub()
    here.start_hub()
    with disk(here.folder / "medium", size_mb=128) as medium:
        office = here.make_office(name="medium/office")
        for turn in range(3):
            running = here.start_office(office)
            here.record(office, 1000 * turn, 1000)
            medium.cut()
            running.kill()
            medium.power_on()
        here.start_office(office)
        here.until_received(office)
        assert here.held() == numbered(0, 3000)
        here.end()


@pytest.mark.timeout(180)
def test_a_database_that_another_program_holds_delays_acks_and_nothing_else(here: Place) -> None:
    here.make_hub()
    hub = here.start_hub()
    office = here.make_office()
    here.start_office(office)
    here.record(office, 0, 20)
    here.until_received(office)
    holder = sqlite.connect(here.hub_dir / "hub.db")
    holder.execute("BEGIN IMMEDIATE")
    here.record(office, 20, 200)
    # Longer than the busy timeout of one try, so that batches are given up and come again.
    here.until("the hub says so", lambda: "holds the database" in readiness(hub.ready["http"])["storage"])
    assert here.position(office).durable_seq == 20
    holder.execute("ROLLBACK")
    holder.close()
    here.until_received(office)
    assert hub.process.poll() is None
    assert here.held() == numbered(0, 220)


def readiness(url: str) -> dict[str, str]:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as exc:
        return dict(json.load(exc))


def is_released(folder: Path) -> bool:
    """Whether no process of ours works in this folder any more (the broker ends a moment after its hub)."""
    wanted = str(folder.resolve())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            handles = [str(handle.readlink()) for handle in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(handle.startswith(wanted) for handle in handles):
            return False
    return True
