"""One office, several printers of different speed: each card once, the urgent first, nobody waits for a stuck one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.desk.doctor import examine
from node.printing.condition import Conditions, Limits
from node.printing.ledger import Ledger
from node.printing.outlook import office_day
from node.printing.press import Press, keep_pressing
from node.printing.printers import Mode, Printers
from node.printing.queue import Place, QueueStore, default_policy, load_policy
from node.printing.spool import JobState
from node.storage.store import NodeStore
from sepe.dispatch.outlook import Limit
from sepe.dispatch.policy import Policy
from sepe.errors import InvalidInputError
from surge.printer import VirtualPrinter
from tests.support.office import NOW_MS, PlainMaker, ScriptedPrinter, line, make_office, record
from tests.support.processes import sepe

COUNT = 30
# 17.00: nobody is expected any more.
AFTERNOON_MS = NOW_MS + 8 * 3_600_000


def niks(count: int = COUNT) -> list[str]:
    return [f"537104410190{9001 + number}" for number in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    store = make_office(tmp_path / "node", blanks=2 * COUNT)
    yield store
    store.close()


@asynccontextmanager
async def pressing(folder: Path) -> AsyncIterator[None]:
    """The press as `node run` has it."""
    stop = asyncio.Event()
    task = asyncio.create_task(keep_pressing(folder, rights=None, stop=stop, now_ms=lambda: NOW_MS))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the press is to be seen from outside
            await asyncio.sleep(0.02)


def is_whole(store: NodeStore) -> None:
    found = examine(store)
    assert all(one.is_ok for one in found), found


def printed(store: NodeStore) -> int:
    return Ledger(store).counts().get("printed", 0)


async def test_printers_of_different_speed_share_the_queue_and_make_each_card_once(store: NodeStore) -> None:
    record(store, *map(line, niks()))
    async with VirtualPrinter(pace_s=0.02) as quick, VirtualPrinter(pace_s=0.1) as slow, VirtualPrinter() as stuck:
        stuck.jam()
        Printers(store).adopt([quick.url, slow.url, stuck.url])
        async with pressing(store.folder):
            await until(lambda: printed(store) == COUNT)
        made = [sheet.job_name for printer in (quick, slow, stuck) for sheet in printer.tray]
        assert len(made) == len(set(made)) == COUNT
        assert len(quick.tray) > len(slow.tray) > 0 and not stuck.tray
    assert {job.name for job in Ledger(store).in_state(JobState.PRINTED)} == set(made)
    assert QueueStore(store).took_ms(quick.url) and QueueStore(store).took_ms(slow.url)
    is_whole(store)


async def test_a_paused_printer_takes_nothing_and_one_that_is_added_begins_at_once(store: NodeStore) -> None:
    record(store, *map(line, niks(6)))
    async with VirtualPrinter() as first, VirtualPrinter() as second:
        printers = Printers(store)
        printers.adopt([first.url])
        printers.set_mode(Mode.PAUSED)
        async with pressing(store.folder):
            printers.add(second.url, name="belakang", media=["card"])
            await until(lambda: printed(store) == 6)
            assert not first.tray and len(second.tray) == 6
            printers.remove(second.url)
            printers.set_mode(Mode.ON, first.url)
            record(store, line("5371044101909100", product="kk"))
            await until(lambda: len(first.tray) == 1)
    assert [(one.name, one.mode) for one in printers.used()] == [("p1", Mode.ON)]


async def test_a_draining_printer_finishes_its_card_and_its_other_cards_go_elsewhere(store: NodeStore) -> None:
    record(store, *map(line, niks(8)))
    async with VirtualPrinter(pace_s=0.4) as slow, VirtualPrinter() as other:
        printers = Printers(store)
        printers.adopt([slow.url])
        async with pressing(store.folder):
            await until(lambda: slow.engine.current is not None)
            printers.set_mode(Mode.DRAINING, slow.url)
            printers.add(other.url)
            await until(lambda: printed(store) == 8)
            await until(lambda: printers.find(slow.url).mode is Mode.PAUSED)
        assert len(slow.tray) + len(other.tray) == 8 and 1 <= len(slow.tray) <= 2
        assert len({sheet.job_name for sheet in slow.tray + other.tray}) == 8
    is_whole(store)


def turn(store: NodeStore, *printers: tuple[str, ScriptedPrinter]) -> None:
    """One turn of a press with these printers."""

    async def one() -> None:
        press = Press(
            store, printers[0][1], PlainMaker(), printer=printers[0][0], rights=None, now_ms=lambda: NOW_MS
        )
        try:
            await press.turn()
        finally:
            await press.close()

    asyncio.run(one())


def order(store: NodeStore, printer: ScriptedPrinter) -> list[int]:
    ledger = Ledger(store)
    return [job.nik % 10_000 for name in printer.cards if (job := ledger.named(name))]


def test_the_policy_decides_who_is_first_and_a_slip_of_the_pen_in_it_stops_nobody(store: NodeStore) -> None:
    policy = store.folder / "queue.toml"
    policy.write_text(
        'vote_day = "2024-11-27"\n[head_start_hours]\nvoter = 1\nfirst = 40\n[complete]\nwaits = false\n'
    )
    (one, two, three, four) = niks(4)
    record(store, line(one), now_ms=NOW_MS - 3_600_000)  # A voter, an hour before.
    record(store, line(two, reason="lost"), line(three, product="kk"), line(four))
    Ledger(store).want(4)
    printer = ScriptedPrinter()
    turn(store, ("folder:a", printer))
    assert order(store, printer) == [9004, 9003, 9002, 9001]
    record(store, line("5371044101909100", product="kk"))
    policy.write_text("head_start_hours = 7\n")
    turn(store, ("folder:a", printer))
    assert 9100 in order(store, printer)
    with pytest.raises(InvalidInputError, match="dikenal"):
        policy.write_text("nonsense = 1\n")
        load_policy(store.folder, store.node)


def test_the_policy_that_ships_is_the_default(store: NodeStore) -> None:
    (store.folder / "queue.toml").unlink()
    assert load_policy(store.folder, store.node) == Policy()
    (store.folder / "queue.toml").write_text(default_policy())
    assert load_policy(store.folder, store.node) == Policy()


def test_a_batch_keeps_the_order_of_its_list_and_stands_behind_who_is_more_urgent(store: NodeStore) -> None:
    record(store, *map(line, niks(5)))
    queue = QueueStore(store)
    queue.place([(job, Place("", "sman-3", position, NOW_MS)) for position, job in enumerate((5, 1, 3))])
    printer = ScriptedPrinter()
    turn(store, ("folder:a", printer))
    assert order(store, printer) == [9002, 9004, 9005, 9001, 9003]
    assert queue.batches() == [("sman-3", 3, 3, 0, 0)]


def test_a_job_goes_to_the_printer_that_somebody_named_and_never_moves_once_it_may_be_there(
    store: NodeStore,
) -> None:
    record(store, *map(line, niks(2)))
    Printers(store).adopt(["folder:a", "folder:b"])
    queue, printer = QueueStore(store), ScriptedPrinter(is_forgetful=True)
    queue.move(1, "folder:b")
    turn(store, ("folder:a", printer))
    assert order(store, printer) == [9002]
    with pytest.raises(InvalidInputError, match="belum dikirim"):
        queue.move(2, "folder:b")
    turn(store, ("folder:a", printer))
    assert Ledger(store).job(2).state is JobState.IN_DOUBT
    with pytest.raises(InvalidInputError, match="belum dikirim"):
        queue.move(2, "folder:b")
    other = ScriptedPrinter()
    turn(store, ("folder:b", other))
    assert order(store, other) == [9001], "the doubt of one printer is not printed by the other"


def test_a_hot_printer_gets_paper_and_no_cards(store: NodeStore) -> None:
    record(store, *map(line, niks(4)), line(product="kk"))
    Conditions(store).set_limits("folder:a", Limits(day_cards=2))
    printer = ScriptedPrinter()
    for _ in range(3):
        turn(store, ("folder:a", printer))
    assert len(printer.cards) == 3
    Printers(store).adopt(["folder:a"])
    day = office_day(store, AFTERNOON_MS)
    assert (day.seen.binding, day.seen.done_by_close, day.seen.left_at_close) == ((Limit.HEAT,), 0, 2)


def test_the_outlook_counts_what_waits_for_the_line_and_names_it(store: NodeStore) -> None:
    Printers(store).adopt(["folder:a"])
    record(store, *(line(f"537105410190{9001 + number}") for number in range(9)), line())
    day = office_day(store, AFTERNOON_MS)
    assert day.seen.binding == (Limit.LINE,) and len(day.queue) == 10
    assert list(day.seen.played.finish_ms) == [10], "the home resident's card needs nobody's leave"


def test_a_desk_sees_the_queue_sets_printers_and_makes_a_batch(store: NodeStore, tmp_path: Path) -> None:
    office = str(store.folder)
    record(store, *map(line, niks(3)))
    added = sepe("node", "printers", office, "--add", f"folder:{tmp_path}/out", "--name", "depan", "--json")
    assert [one["name"] for one in json.loads(added.stdout)] == ["depan"]
    assert sepe("node", "pause", office, "depan").returncode == 0
    queue = json.loads(sepe("node", "queue", office, "--json").stdout)
    assert (queue["waiting"], queue["binding"], queue["printers"][0]["mode"]) == (3, ["printers"], "paused")
    assert sepe("node", "resume", office).returncode == 0
    made = sepe("node", "batch", office, "sman-3", niks(3)[2], niks(3)[0], "--json")
    assert json.loads(made.stdout) == [{"batch": "sman-3", "cards": 2, "printed": 0, "waiting": 2, "stuck": 0}]
    queue = json.loads(sepe("node", "queue", office, "--json").stdout)
    assert [(job["job"], job["class"]) for job in queue["jobs"]] == [(2, "first"), (3, "batch"), (1, "batch")]
    assert all(job["finish_ms"] for job in queue["jobs"])
    shown = sepe("node", "queue", office).stdout
    assert "Antrean 3" in shown and "depan" in shown and niks(3)[0] not in shown
    assert sepe("node", "print", office, "--all").returncode == 0
    assert sepe("node", "drain", office).returncode == 0
    assert len(list((tmp_path / "out").glob("*.pdf"))) == 3
