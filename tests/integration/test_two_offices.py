"""Two offices and one hub, all real but the printers: who prints, who waits, and what comes out when lines return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.app import decide as app_decide
from hub.endpoints import Endpoints
from hub.merge.registry import add_key
from hub.merge.store import HubStore
from hub.read import cards as read_cards
from hub.read import cases as read_cases
from hub.read.person import person
from node.clock import now_ms
from node.desk.standing import recalls
from node.link.rights import GrpcRights
from node.printing.job import Job
from node.printing.keeper import RightsKeeper
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.printing.rights import RightBook
from node.printing.spool import JobState
from node.settings import KEY_NAME
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from node.sync import sync
from sepe.nik import Nik
from sepe_io import keys
from sepe_io.sqlite import transaction
from tests.support.live_hub import running_hub, until
from tests.support.office import HOME_NIK, PlainMaker, ScriptedPrinter, line, make_office, record
from tests.support.processes import hub_run, node_run, running

HOME, AWAY, THIRD = "537104-1", "537105-1", "537106-1"
NOWHERE = "127.0.0.1:1"
THIRDS_NIK = "5371064101909001"


@dataclass
class Office:
    """One office machine, its printer and its clock, which goes on by itself between turns."""

    store: NodeStore
    printer: ScriptedPrinter
    hub: str = NOWHERE
    later_ms: int = 0

    def job(self, nik: str = HOME_NIK) -> Job:
        return Ledger(self.store).of_resident(int(nik))[-1]

    async def turn(self) -> None:
        """The press comes by, minutes after the last time."""
        self.later_ms += 400_000
        rights = self.rights()
        press = Press(
            self.store, self.printer, PlainMaker(), printer="folder:test", rights=rights,
            now_ms=lambda: now_ms() + self.later_ms,
        )  # fmt: skip
        try:
            await press.turn()
        finally:
            await press.close()
            await rights.close()

    async def sync(self) -> None:
        """``sepe node sync``: everything goes, everything is heard."""
        report = await asyncio.to_thread(sync, self.store.folder, 20, hub=self.hub)
        assert report.pending == 0, report

    async def hear(self) -> None:
        """Rights alone."""
        rights = self.rights()
        keeper = RightsKeeper(self.store, rights, now_ms)
        await keeper.settle()
        await keeper.close()
        await rights.close()

    def rights(self) -> GrpcRights:
        return GrpcRights(self.hub, self.store.node, keys.load(self.store.folder / KEY_NAME))


class Region:
    """The offices and the hub's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "hub"
        self.offices = {}
        with HubStore.create(self.folder, now_ms=now_ms()) as hub:
            for letter, name in zip("ABC", (HOME, AWAY, THIRD), strict=True):
                store = make_office(folder / name, name)
                # Serials of one office are none of another's.
                serials = SerialRange("ktp-el", f"{letter}000001", f"{letter}000005")
                Stock(store).receive(serials, now_ms=now_ms())
                self.offices[name] = Office(store, ScriptedPrinter())
                with transaction(hub.connection):
                    key = keys.load(store.folder / KEY_NAME).public_key
                    add_key(hub.connection, name, key, now_ms=now_ms())

    def __getitem__(self, name: str) -> Office:
        return self.offices[name]

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Endpoints]:
        """The hub runs and every office reaches it."""
        async with running_hub(self.folder) as at:
            for office in self.offices.values():
                office.hub = at.grpc
            try:
                yield at
            finally:
                for office in self.offices.values():
                    office.hub = NOWHERE

    def at_hub(self, read: Callable[[HubStore], object]) -> object:
        with HubStore.open(self.folder) as hub:
            hub.project()
            return read(hub)

    def cards_of(self, nik: str) -> list[dict[str, object]]:
        found = self.at_hub(lambda hub: person(hub.connection, Nik.parse(nik)))
        assert isinstance(found, dict)
        cards: list[dict[str, object]] = found["cards"]
        return cards


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


async def test_two_offices_offline_asked_for_one_nik_make_one_card_and_the_other_says_where(
    region: Region,
) -> None:
    home, away = region[HOME], region[AWAY]
    for office in (home, away):
        record(office.store, line(HOME_NIK))
        await office.turn()
    assert home.job().state is JobState.PRINTED
    assert away.job().state is JobState.WAITING_RIGHT and "belum ada sambungan" in away.job().reason

    async with region.line():
        await away.turn()
        assert away.job().reason == f"hak cetak dipegang {HOME}; sudah diminta, menunggu jawabannya"
        await home.hear()
        await away.turn()
        assert "kartunya sedang atau sudah dibuat di sana" in away.job().reason, "before the events are here"
        await home.sync()
        await away.turn()
        await away.sync()
    assert (away.job().state, away.printer.cards) == (JobState.WAITING_RIGHT, [])
    assert away.job().reason.startswith(f"sudah dicetak di {HOME} pada ")
    assert away.job().reason.endswith(f", blangko {home.job().serial}")
    (card,) = region.cards_of(HOME_NIK)
    assert (card["valid"], card["recall"], card["node"]) == (True, False, HOME)
    assert region.at_hub(lambda hub: read_cases.cases(hub.connection)) == []


async def test_the_holder_lets_go_by_itself_and_the_waiting_card_is_printed_with_the_higher_fence(
    region: Region,
) -> None:
    home, away = region[HOME], region[AWAY]
    record(away.store, line(HOME_NIK))
    async with region.line():
        await away.turn()
        assert away.job().state is JobState.WAITING_RIGHT
        await home.hear()  # Nobody was recorded there: it lets go.
        await away.turn()
        assert (away.job().state, away.job().fence) == (JobState.PRINTED, 2)
    # The line is cut; the home office is asked for the same card and knows that the right is not its own any more.
    record(home.store, line(HOME_NIK))
    await home.turn()
    assert (home.job().state, home.printer.cards) == (JobState.WAITING_RIGHT, [])
    assert RightBook(home.store).fence(int(HOME_NIK), "ktp-el", 1) is None
    async with region.line():
        await away.sync()
        await home.turn()
    assert home.job().reason.startswith(f"sudah dicetak di {AWAY} pada ")


async def test_a_card_that_waits_for_a_blank_gives_way_and_one_that_waits_for_a_printer_does_not(
    region: Region,
) -> None:
    home, away = region[HOME], region[AWAY]
    for office in (home, away):
        record(office.store, line(HOME_NIK))
    async with region.line():
        await away.turn()
        await home.hear()
        await away.turn()
        assert away.job().reason == f"hak cetak dipegang {HOME}: akan dicetak di sana"
        # The blanks at home are gone before its printer came to the card.
        home.store.connection.execute("UPDATE blank SET state = 'lost' WHERE state = 'at_hand'")
        await home.turn()
        assert home.job().state is JobState.WAITING_BLANK
        await home.hear()
        await away.turn()
    assert (away.job().state, away.job().fence) == (JobState.PRINTED, 2)
    assert home.job().fence is None


async def test_with_overrides_on_both_there_are_two_cards_one_valid_one_to_collect_and_one_case(
    region: Region,
) -> None:
    """The right belongs to a third office that nobody reaches."""
    first, second = region[HOME], region[AWAY]
    for office in (first, second):
        record(office.store, line(THIRDS_NIK))
        await office.turn()
        job = office.job(THIRDS_NIK)
        assert job.state is JobState.WAITING_RIGHT
        Ledger(office.store).override(job.id, reason="besok pemilu", operator="camat", now_ms=now_ms())
        await office.turn()
        assert office.job(THIRDS_NIK).state is JobState.PRINTED
    async with region.line():
        await first.sync()
        await second.sync()
        cards = sorted(region.cards_of(THIRDS_NIK), key=lambda card: str(card["at"]))
        assert [(card["node"], card["valid"], card["recall"], card["override"]) for card in cards] == [
            (HOME, True, False, True), (AWAY, False, True, True),
        ]  # fmt: skip
        cases = region.at_hub(lambda hub: read_cases.cases(hub.connection))
        assert isinstance(cases, list) and [case["kind"] for case in cases] == ["double_print"]
        forced = region.at_hub(lambda hub: read_cards.forced(hub.connection))
        assert isinstance(forced, list) and {(one["node"], one["reason"]) for one in forced} == {
            (HOME, "besok pemilu"), (AWAY, "besok pemilu"),
        }  # fmt: skip
        recalled = region.at_hub(lambda hub: read_cards.recalled(hub.connection))
        assert isinstance(recalled, list)
        assert [(one["node"], one["serial"]) for one in recalled] == [(AWAY, second.job(THIRDS_NIK).serial)]
        await second.hear()
        assert [one["serial"] for one in recalls(second.store)] == [second.job(THIRDS_NIK).serial]
        await first.hear()
        assert recalls(first.store) == []
    for office in (first, second):
        counts = Stock(office.store).counts()["ktp-el"]
        assert (counts["at_hand"], counts["printed"]) == (4, 1)


async def test_a_conflict_holds_the_card_at_both_offices_until_the_decision_releases_the_right_one(
    region: Region,
) -> None:
    home, away = region[HOME], region[AWAY]
    home.store.connection.execute("UPDATE blank SET state = 'lost' WHERE state = 'at_hand'")
    record(home.store, line(HOME_NIK))
    record(away.store, line(HOME_NIK, name="YULIANA LAY"))
    async with region.line():
        for office in (home, away, home):
            await office.sync()
        region.at_hub(lambda hub: None)
        await home.hear()
        assert home.job().state is JobState.HELD and "menunggu keputusan pusat" in home.job().reason
        cases = region.at_hub(lambda hub: read_cases.cases(hub.connection))
        assert isinstance(cases, list)
        keep = next(one["event"] for one in cases[0]["claims"] if one["node"] == HOME)
        region.at_hub(
            lambda hub: app_decide.decide(
                hub, cases[0]["id"], keep, reason="akta", officer="kabid", now_ms=now_ms()
            )
        )
        await home.hear()
        await away.hear()
    assert home.job().state in (JobState.QUEUED, JobState.WAITING_BLANK)
    assert (away.job().state, away.job().reason[:22]) == (JobState.VOID, "pusat memutuskan ident")
    # Recording him again with the name that stays is not held; with the other one it is.
    assert record(away.store, line(HOME_NIK))[0].status == "queued"
    assert record(home.store, line(HOME_NIK, name="YULIANA LAY", reason="lost"))[0].status == "on_hold"


async def test_running_offices_move_a_right_by_themselves_within_seconds(region: Region) -> None:
    """``hub run`` and two ``node run`` as processes: nobody types anything after the recording."""
    hub = await asyncio.to_thread(hub_run, region.folder)
    with running(hub):
        offices = await asyncio.gather(
            *(
                asyncio.to_thread(
                    node_run, region[name].store.folder, "--hub", hub.ready["grpc"],
                    "--printer", f"folder:{region.folder.parent / f'out-{name}'}",
                )
                for name in (HOME, AWAY)
            )
        )  # fmt: skip
        try:
            record(region[AWAY].store, line(HOME_NIK), now_ms=now_ms())
            await until(lambda: region[AWAY].job().state is JobState.PRINTED, 40)
        finally:
            for office in offices:
                office.kill()
    assert region[AWAY].job().fence == 2
    assert RightBook(region[HOME].store).fence(int(HOME_NIK), "ktp-el", 1) is None


async def test_a_question_for_news_waits_at_the_hub_is_answered_at_once_and_ends_when_the_hub_stops(
    region: Region,
) -> None:
    loop = asyncio.get_running_loop()
    async with region.line():
        rights = region[HOME].rights()
        first = await rights.changes(b"", 0, wait_ms=20_000, kept=[])
        assert first.feed and not first.changes, "which list it is, is said at once"
        waiting = asyncio.create_task(rights.changes(first.feed, first.last, wait_ms=20_000, kept=[]))
        asker = region[AWAY].rights()
        began = loop.time()
        assert (await asker.claim(int(HOME_NIK), "ktp-el", 1)).reason == "held"
        (change,) = (await waiting).changes
        assert change.let_go.asked_by == AWAY and loop.time() - began < 10
        waiting = asyncio.create_task(rights.changes(first.feed, change.number, wait_ms=20_000, kept=[]))
        await asyncio.wait([waiting], timeout=0.2)
        began = loop.time()
    assert loop.time() - began < 10, "a stopping hub lets nobody wait"
    await asyncio.gather(waiting, return_exceptions=True)
    await rights.close()
    await asker.close()
