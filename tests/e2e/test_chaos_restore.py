"""Backups put back and disks copied with ``cp -r`` under running programs; nobody types a command to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.merge.store import HubStore
from hub.read.status import counts
from tests.support.place import NODE, Place, numbered, place


@pytest.fixture
def here(site: Path, tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "place", site=site) as made:
        yield made


def put_back(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


@pytest.mark.timeout(180)
def test_an_office_put_back_from_a_backup_loses_nothing_and_reuses_no_number(here: Place, tmp_path: Path) -> None:
    office = here.make_office()
    running = here.start_office(office)
    named = here.record(office, 0, 40)
    here.until_received(office)
    shutil.copytree(office, tmp_path / "backup")
    named |= here.record(office, 40, 40)
    here.until_received(office)
    old_epoch = here.position(office).epoch

    running.kill()
    put_back(tmp_path / "backup", office)
    # Somebody records before the line is there: these rows bear numbers that the hub knows for others.
    again = here.record(office, 80, 20)
    assert again <= {f"{NODE}:{old_epoch.hex()}:{seq}" for seq in range(41, 61)}
    here.start_office(office)
    here.until("a new history", lambda: here.position(office).epoch != old_epoch)
    here.record(office, 100, 20)
    here.until_received(office)

    assert here.held() == numbered(0, 120)
    assert here.known_at(office) == numbered(0, 120).keys(), "it fetched what it had lost"
    # The hub still holds what it had acknowledged under the old names.
    assert named <= here.logged().keys()


@pytest.mark.timeout(180)
def test_a_copied_disk_that_goes_on_beside_the_first_gets_a_history_of_its_own(
    here: Place, tmp_path: Path
) -> None:
    office = here.make_office()
    running = here.start_office(office)
    here.record(office, 0, 30)
    here.until_received(office)
    twin = tmp_path / "twin"
    shutil.copytree(office, twin)
    # Both write under one name before the copy meets the hub for the first time.
    here.record(office, 100, 30)
    here.record(twin, 200, 30)
    here.until_received(office)
    epoch = here.position(office).epoch

    here.start_office(twin)
    here.until("the copy's own history", lambda: here.position(twin).epoch != epoch)
    here.until_received(office, twin)
    here.record(office, 300, 10)
    here.record(twin, 400, 10)
    here.until_received(office, twin)

    assert here.position(office).epoch == epoch
    wanted = numbered(0, 30) + numbered(100, 30) + numbered(200, 30) + numbered(300, 10) + numbered(400, 10)
    assert here.held() == wanted
    assert running.process.poll() is None


@pytest.mark.timeout(180)
def test_a_hub_put_back_from_a_backup_gets_everything_again_from_the_offices(here: Place, tmp_path: Path) -> None:
    offices = [here.make_office("537104-1", "oebobo"), here.make_office("537105-1", "kota-raja")]
    for office in offices:
        here.start_office(office)
    for number, office in enumerate(offices):
        here.record(office, 1000 * number, 30)
    here.until_received(*offices)
    shutil.copytree(here.hub_dir, tmp_path / "backup")
    for number, office in enumerate(offices):
        here.record(office, 1000 * number + 30, 30)
    here.until_received(*offices)
    before = here.digest()

    here.hub.kill()
    put_back(tmp_path / "backup", here.hub_dir)
    here.start_hub()
    # One office goes on recording, the other one's desk is closed: both are asked for what the hub lost.
    here.until("the lost events again", lambda: here.digest() == before)
    here.record(offices[0], 60, 10)
    here.until_received(*offices)
    assert here.held() == numbered(0, 70) + numbered(1000, 60)
    with HubStore.open(here.hub_dir) as store:
        assert counts(store.connection).quarantined == 0


@pytest.mark.timeout(180)
def test_a_replacement_and_the_old_machine_that_comes_back_are_both_heard(here: Place) -> None:
    old = here.make_office(NODE, "old")
    running = here.start_office(old)
    here.record(old, 0, 30)
    here.until_received(old)
    # The old machine is taken away with events that nobody has received yet, and an empty one takes its name.
    running.kill()
    here.record(old, 30, 10)
    new = here.make_office(NODE, "new")
    here.start_office(new)
    here.record(new, 100, 30)
    here.until_received(new)
    here.start_office(old)
    here.record(old, 40, 10)
    here.until_received(old, new)
    assert here.position(old).epoch != here.position(new).epoch
    assert here.held() == numbered(0, 50) + numbered(100, 30)
