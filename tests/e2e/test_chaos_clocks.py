"""Wrong clocks: sync never stops, a wrong stamp never wins for ever, and the hub names the node."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.merge.store import HubStore
from hub.read.person import person
from hub.read.status import nodes
from sepe.nik import Nik
from tests.support.faults.clock import YEAR_S, wrong_clock
from tests.support.place import Environment, Place, lines_of, place
from tests.support.world import nik_of


@pytest.fixture
def here(site: Path, tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "place", site=site, hub=False) as made:
        made.make_hub()
        yield made


def say_address(here: Place, office: Path, address: str, others: int = 0, env: Environment | None = None) -> None:
    """The same resident comes again and tells where she lives; then ``others``, each for the first time."""
    line = {
        "nik": f"{nik_of(0):016}", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P", "address": address,
        "reason": "data-change",
    }  # fmt: skip
    first = sum(here.held().values()) + 1
    here.ok("node", "record", office, "-", text=json.dumps(line) + "\n" + lines_of(first, others), env=env)


def address_at_hub(here: Place) -> str:
    with HubStore.open(here.hub_dir) as store:
        found = person(store.connection, Nik.from_number(nik_of(0)))
    assert found is not None
    return str(found["fields"]["address"]["value"])


def flags(here: Place) -> tuple[str, ...]:
    with HubStore.open(here.hub_dir) as store:
        (row,) = nodes(store.connection, now_ms=time.time_ns() // 1_000_000)
    return row.flags


@pytest.mark.timeout(180)
def test_five_years_ahead_then_corrected_later_true_edits_are_visible(here: Place, tmp_path: Path) -> None:
    clock = wrong_clock(tmp_path / "clock", offset_s=5 * YEAR_S)
    here.start_hub()
    office = here.make_office()
    running = here.start_office(office, clock.environment)
    say_address(here, office, "JL. LAMA I", env=clock.environment)
    here.until_received(office)
    assert "clock_ahead" in flags(here)

    # Somebody sets the date while the program runs.
    clock.set(0)
    say_address(here, office, "JL. BARU II", 20, clock.environment)
    here.until_received(office)
    assert address_at_hub(here) == "JL. BARU II"
    assert here.held().total() == 22
    assert running.process.poll() is None
    running.stop()
    here.start_office(office, clock.environment)
    here.until("the flag is gone", lambda: "clock_ahead" not in flags(here))


@pytest.mark.timeout(180)
def test_an_office_that_boots_in_1970_keeps_order_and_is_heard(here: Place, tmp_path: Path) -> None:
    clock = wrong_clock(tmp_path / "clock")
    here.start_hub()
    office = here.make_office()
    running = here.start_office(office, clock.environment)
    say_address(here, office, "JL. PERTAMA I", env=clock.environment)
    here.until_received(office)
    running.kill()

    # The battery is dead: the machine comes back in 1970, and later its clock creeps to five years behind.
    for turn, date_s in enumerate((0, 1_600_000_000)):
        clock.set_date(date_s)
        running = here.start_office(office, clock.environment)
        say_address(here, office, f"JL. BERIKUT {'I' * (turn + 1)}", 10, clock.environment)
        here.until_received(office)
        assert "clock_behind" in flags(here)
        assert address_at_hub(here) == f"JL. BERIKUT {'I' * (turn + 1)}"
        running.kill()
    assert here.held().total() == 23


@pytest.mark.timeout(180)
def test_a_hub_whose_clock_is_wrong_by_a_year_goes_on_before_and_after(here: Place, tmp_path: Path) -> None:
    clock = wrong_clock(tmp_path / "clock")
    hub = here.start_hub(clock.environment)
    office = here.make_office()
    here.start_office(office)
    for turn, offset_s in enumerate((0, YEAR_S, -YEAR_S, 0)):
        clock.set(offset_s)
        say_address(here, office, f"JL. JAM {'I' * (turn + 1)}", 10)
        here.until_received(office)
    assert hub.process.poll() is None
    assert here.held().total() == 44
    before = here.digest()
    here.ok("hub", "rebuild", here.hub_dir)
    assert here.digest() == before
