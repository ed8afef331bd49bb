"""Backups put back and disks copied with ``cp -r`` under running programs; nobody types a command to mend it."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hub.merge import digest, log
from hub.merge.store import HubStore
from node.storage.store import NodeStore, Position
from sepe.events import Kind
from tests.support.processes import Program
from tests.support.world import nik_of

if TYPE_CHECKING:
    from conftest import Sepe

NODE = "537104-1"
SETTLE_S = 45.0


class Place:
    """A hub and office directories on one machine, with their programs."""

    def __init__(self, sepe: Sepe, folder: Path) -> None:
        self.sepe = sepe
        self.hub_dir = folder / "hub"
        self.folder = folder
        sepe.ok("hub", "init", self.hub_dir)
        self.hub = sepe.hub_run(self.hub_dir)

    def office(self, node: str = NODE, name: str = "office") -> Path:
        """A new office directory that is enrolled with its first greeting."""
        token = self.sepe.ok("hub", "enrol", self.hub_dir, "--node", node).strip()
        ready = self.hub.ready
        addresses = ("--hub", ready["grpc"], "--nats", ready["nats"])
        self.sepe.ok("node", "init", self.folder / name, "--node", node, *addresses, "--token", token)
        return self.folder / name

    def run_hub(self) -> Program:
        """The hub again, where the offices know it."""
        port = self.hub.ready["nats"].rpartition(":")[2]
        self.hub = self.sepe.hub_run(self.hub_dir, "--grpc", self.hub.ready["grpc"], "--nats-port", port)
        return self.hub

    def record(self, office: Path, first: int, count: int) -> set[str]:
        """Record ``count`` residents, from the ``first``-th synthetic one; the names of their events."""
        lines = [
            json.dumps(
                {"nik": f"{nik_of(number):016}", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P"}
            )
            for number in range(first, first + count)
        ]
        answers = self.sepe.ok("node", "record", office, "-", stdin="\n".join(lines) + "\n").splitlines()
        events = {json.loads(answer)["event"] for answer in answers}
        assert len(events) == count
        return events

    def position(self, office: Path) -> Position:
        """What ``node status`` shows, without starting a program for each look."""
        store = NodeStore.open(office, read_only=True)
        try:
            return store.position()
        finally:
            store.close()

    def logged(self) -> dict[str, int]:
        """The NIK of each recording that the hub holds, by the event's name."""
        with HubStore.open(self.hub_dir) as store:
            found = [
                (str(event.id), event.nik)
                for frame in log.all_frames(store.connection)
                for event in log.events_in(frame)
                if event.kind == Kind.RECORDED
            ]
        assert len(dict(found)) == len(found), "one name, two events"
        return dict(found)

    def held(self) -> Counter[int]:
        """How often the hub holds a recording of each synthetic resident."""
        return Counter(self.logged().values())

    def digest(self) -> str:
        with HubStore.open(self.hub_dir) as store:
            return digest.digest(store.connection).digest

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {SETTLE_S:.0f} s: {what}"
            time.sleep(0.1)

    def until_received(self, *offices: Path) -> None:
        def is_received(office: Path) -> bool:
            position = self.position(office)
            return position.durable_seq == position.last_seq

        self.until("everything received", lambda: all(is_received(office) for office in offices))


@pytest.fixture
def place(sepe: Sepe, tmp_path: Path) -> Place:
    return Place(sepe, tmp_path)


def numbered(first: int, count: int) -> Counter[int]:
    return Counter(nik_of(number) for number in range(first, first + count))


def put_back(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


@pytest.mark.timeout(180)
def test_an_office_put_back_from_a_backup_loses_nothing_and_reuses_no_number(place: Place, tmp_path: Path) -> None:
    office = place.office()
    running = place.sepe.node_run(office)
    named = place.record(office, 0, 40)
    place.until_received(office)
    shutil.copytree(office, tmp_path / "backup")
    named |= place.record(office, 40, 40)
    place.until_received(office)
    old_epoch = place.position(office).epoch

    running.kill()
    put_back(tmp_path / "backup", office)
    # Somebody records before the line is there: these rows bear numbers that the hub knows for others.
    again = place.record(office, 80, 20)
    assert again <= {f"{NODE}:{old_epoch.hex()}:{seq}" for seq in range(41, 61)}
    place.sepe.node_run(office)
    place.until("a new history", lambda: place.position(office).epoch != old_epoch)
    place.record(office, 100, 20)
    place.until_received(office)

    assert place.held() == numbered(0, 120)
    # The hub still holds what it had acknowledged under the old names.
    assert named <= place.logged().keys()


@pytest.mark.timeout(180)
def test_a_copied_disk_that_goes_on_beside_the_first_gets_a_history_of_its_own(
    place: Place, tmp_path: Path
) -> None:
    office = place.office()
    running = place.sepe.node_run(office)
    place.record(office, 0, 30)
    place.until_received(office)
    twin = tmp_path / "twin"
    shutil.copytree(office, twin)
    # Both write under one name before the copy meets the hub for the first time.
    place.record(office, 100, 30)
    place.record(twin, 200, 30)
    place.until_received(office)
    epoch = place.position(office).epoch

    place.sepe.node_run(twin)
    place.until("the copy's own history", lambda: place.position(twin).epoch != epoch)
    place.until_received(office, twin)
    place.record(office, 300, 10)
    place.record(twin, 400, 10)
    place.until_received(office, twin)

    assert place.position(office).epoch == epoch
    wanted = numbered(0, 30) + numbered(100, 30) + numbered(200, 30) + numbered(300, 10) + numbered(400, 10)
    assert place.held() == wanted
    assert running.process.poll() is None


@pytest.mark.timeout(180)
def test_a_hub_put_back_from_a_backup_gets_everything_again_from_the_offices(place: Place, tmp_path: Path) -> None:
    offices = [place.office("537104-1", "oebobo"), place.office("537105-1", "kota-raja")]
    for office in offices:
        place.sepe.node_run(office)
    for number, office in enumerate(offices):
        place.record(office, 1000 * number, 30)
    place.until_received(*offices)
    shutil.copytree(place.hub_dir, tmp_path / "backup")
    for number, office in enumerate(offices):
        place.record(office, 1000 * number + 30, 30)
    place.until_received(*offices)
    before = place.digest()

    place.hub.kill()
    put_back(tmp_path / "backup", place.hub_dir)
    place.run_hub()
    # One office goes on recording, the other one's desk is closed: both are asked for what the hub lost.
    place.until("the lost events again", lambda: place.digest() == before)
    place.record(offices[0], 60, 10)
    place.until_received(*offices)
    assert place.held() == numbered(0, 70) + numbered(1000, 60)
    quarantined = json.loads(place.sepe.ok("hub", "status", place.hub_dir, "--json"))["quarantined"]
    assert quarantined == 0
