"""An officer decides after a card was printed: two real offices and a hub, the printers scripted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.app import decide as app_decide
from hub.app import replace_nik as app_replace
from hub.merge.digest import deep_digest, digest
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read import cards as read_cards
from hub.read import cases as read_cases
from node.clock import now_ms
from node.desk.correct import correct
from node.desk.hand_over import hand_over
from node.desk.standing import recalls
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from sepe.card import IDENTITY, NIK_REPLACED
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from tests.integration.test_two_offices import AWAY, HOME, Office, Region
from tests.support.office import HOME_NIK, line, record

NEW_NIK = "5371044101909002"
WRONG, RIGHT = {"name": "SALAH ORANG"}, {"name": "BENAR ORANG"}


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


def recalled(region: Region) -> list[dict[str, Any]]:
    return region.at_hub(lambda hub: read_cards.recalled(hub.connection))  # type: ignore[return-value]


def decide(region: Region, keep: str, *, revise: bool = False) -> dict[str, Any]:
    """Keep the claim with this name, of the only conflict; what was planned."""

    def act(hub: HubStore) -> dict[str, Any]:
        (found,) = (one for one in read_cases.cases(hub.connection, include_decided=True) if "claims" in one)
        number = next(one["number"] for one in found["claims"] if one["name"] == keep)
        planned = app_decide.plan(
            hub, found["id"], str(number), reason="akta", officer="kabid", now_ms=now_ms(), revise=revise
        )
        app_decide.take(hub, planned, now_ms())
        return {"recalls": planned.effects.recalls, "prints": planned.effects.prints}

    return region.at_hub(act)  # type: ignore[return-value]


def give(office: Office, nik: str = HOME_NIK) -> None:
    hand_over(office.store, int(nik), product="ktp-el", operator="op", now_ms=now_ms())


async def settle(region: Region, *offices: Office) -> None:
    """Everything that can happen by itself: send, fold, hear, print, send."""
    for _ in range(3):
        for office in offices:
            await office.sync()
        region.at_hub(lambda hub: None)
        for office in offices:
            await office.hear()
            for _ in range(2):
                await office.turn()


@pytest.mark.parametrize("winner", [HOME, AWAY])
async def test_the_decision_reaches_the_card_that_is_printed_and_the_winner_gets_one_by_itself(
    region: Region, winner: str
) -> None:
    home, where = region[HOME], region[winner]
    record(home.store, line(HOME_NIK, **WRONG))
    await home.turn()
    await home.turn()
    wrong = home.job()
    assert wrong.state is JobState.PRINTED
    record(where.store, line(HOME_NIK, **RIGHT))
    async with region.line():
        await settle(region, home, where)
        assert recalled(region) == [] and [one["valid"] for one in region.cards_of(HOME_NIK)] == [True]
        planned = decide(region, "BENAR ORANG")
        assert [(one["serial"], one["node"]) for one in planned["recalls"]] == [(wrong.serial, HOME)]
        assert [(one["issue"], one["node"]) for one in planned["prints"]] == [(2, winner)]
        await settle(region, home, where)
        # The card of the one who lost is void here and there, and goes over no desk.
        assert [(one["serial"], one["why"]) for one in recalled(region)] == [(wrong.serial, IDENTITY)]
        assert [(one["serial"], one["why"]) for one in recalls(home.store)] == [(wrong.serial, IDENTITY)]
        if winner == AWAY:
            with pytest.raises(InvalidInputError):
                give(home)
        right = where.job()
        assert (right.state, right.issue) == (JobState.PRINTED, 2)
        assert [(one["serial"], one["valid"]) for one in region.cards_of(HOME_NIK)] == [
            (wrong.serial, False), (right.serial, True),
        ]  # fmt: skip
        if winner == AWAY:
            give(where)
            assert where.job().state is JobState.HANDED_OVER, "nobody is asked for a card that he never had"
        # Heard once more, from the beginning, nothing is made twice.
        where.store.put("feed", "")
        where.store.put("feed_place", "0")
        await settle(region, home, where)
        assert len(region.cards_of(HOME_NIK)) == 2


async def test_a_revision_takes_it_back_and_revives_what_was_withdrawn(region: Region) -> None:
    home, away = region[HOME], region[AWAY]
    record(home.store, line(HOME_NIK, **WRONG))
    record(away.store, line(HOME_NIK, **RIGHT))
    async with region.line():
        for office in (home, away):
            await office.sync()
        region.at_hub(lambda hub: None)
        for office in (home, away):
            await office.hear()
        assert home.job().state is JobState.HELD
        decide(region, "BENAR ORANG")
        await settle(region, home, away)
        assert home.job().state is JobState.VOID
        card = away.job()
        assert (card.state, card.issue) == (JobState.PRINTED, 1)
        with pytest.raises(InvalidInputError, match="kabid"):
            decide(region, "SALAH ORANG")
        planned = decide(region, "SALAH ORANG", revise=True)
        assert [one["serial"] for one in planned["recalls"]] == [card.serial]
        await settle(region, home, away)
        assert (home.job().state, home.job().issue) == (JobState.PRINTED, 2)
        assert [one["serial"] for one in recalls(away.store)] == [card.serial]
    before = region.at_hub(lambda hub: (digest(hub.connection), deep_digest(hub.connection)))
    region.at_hub(lambda hub: rebuild(hub.connection))
    assert region.at_hub(lambda hub: (digest(hub.connection), deep_digest(hub.connection))) == before
    assert [one["serial"] for one in recalled(region)] == [card.serial]


async def test_a_replaced_number_ends_its_card_withdraws_its_jobs_and_is_told_to_whoever_types_it(
    region: Region,
) -> None:
    home, away = region[HOME], region[AWAY]
    record(home.store, line(HOME_NIK))
    await home.turn()
    await home.turn()
    async with region.line():
        await home.sync()
        record(away.store, line(HOME_NIK, reason="lost"))
        await away.sync()
        nik, new = Nik.parse(HOME_NIK), Nik.parse(NEW_NIK)

        def replace(hub: HubStore) -> None:
            planned = app_replace.plan(
                hub, nik, new, why="mistyped", reason="KK", officer="kabid", now_ms=now_ms()
            )
            assert [one["why"] for one in planned.effects.recalls] == [NIK_REPLACED]
            app_replace.take(hub, planned, now_ms())
            # Said again it changes nothing; said otherwise it wants to be a revision.
            assert app_replace.plan(hub, nik, new, why="mistyped", reason="KK", officer="o", now_ms=1).drafts == ()
            with pytest.raises(InvalidInputError, match="kabid"):
                other = Nik.parse("5371044101909003")
                app_replace.plan(hub, nik, other, why="double", reason="KK", officer="o", now_ms=1)
            with pytest.raises(InvalidInputError, match="circle"):
                app_replace.plan(hub, new, nik, why="double", reason="KK", officer="o", now_ms=1)

        region.at_hub(replace)
        await settle(region, home, away)
        assert [one["why"] for one in recalls(home.store)] == [NIK_REPLACED]
        assert away.job().state is JobState.VOID
        (refused,) = record(away.store, line(HOME_NIK, reason="lost"))
        assert not refused.ok and NEW_NIK in str(refused.error) and HOME_NIK not in str(refused.error)
        assert [one["valid"] for one in region.cards_of(HOME_NIK)][:1] == [False]
        assert record(away.store, line(NEW_NIK))[0].ok


async def test_a_correction_of_ones_own_typing_is_no_case_and_the_card_that_came_out_is_spoiled_stock(
    region: Region,
) -> None:
    home = region[HOME]
    record(home.store, line(HOME_NIK, name="MARIA TAEKK"), now_ms=now_ms())
    await home.turn()
    await home.turn()
    wrong = home.job()

    def mend(**changes: str) -> Any:
        return correct(
            home.store, Nik.parse(HOME_NIK), changes, reason="salah ketik", operator="op", now_ms=now_ms(),
            evidence={}, regions=None,
        )  # fmt: skip

    done = mend(name="Maria Taek")
    assert (done.spoiled, done.at_printer) == ((wrong.id,), ())
    with pytest.raises(InvalidInputError, match="tidak ada yang berubah"):
        mend(name="MARIA TAEK")
    async with region.line():
        await settle(region, home)
        assert region.at_hub(lambda hub: read_cases.cases(hub.connection)) == []
        right = home.job()
        assert (right.state, right.issue) == (JobState.PRINTED, 1)
        assert [(one["state"], one["valid"]) for one in region.cards_of(HOME_NIK)] == [
            ("spoiled", False), ("printed", True),
        ]  # fmt: skip
        give(home)
        assert Ledger(home.store).job(right.id).state is JobState.HANDED_OVER
        with pytest.raises(InvalidInputError, match="sudah diserahkan"):
            mend(name="MARIA LAY")
        # A stranger's different claim still is a conflict.
        record(region[AWAY].store, line(HOME_NIK, name="MARIA TAEKK"), now_ms=now_ms())
        await region[AWAY].sync()
        (case,) = region.at_hub(lambda hub: read_cases.cases(hub.connection))  # type: ignore[misc]
        assert {one["name"] for one in case["claims"]} == {"MARIA TAEK", "MARIA TAEKK"}


async def test_an_office_that_does_not_know_such_orders_is_sent_none(region: Region) -> None:
    home, away = region[HOME], region[AWAY]
    record(home.store, line(HOME_NIK, **WRONG))
    record(away.store, line(HOME_NIK, **RIGHT))

    def orders(hub: HubStore) -> int:
        return int(hub.connection.execute("SELECT count(*) FROM feed WHERE kind = 'card'").fetchone()[0])

    async with region.line():
        for office in (home, away):
            await office.sync()
        region.at_hub(lambda hub: hub.connection.execute("UPDATE node SET contract = 1"))
        decide(region, "BENAR ORANG")
        assert region.at_hub(orders) == 0
        # Its own card was held and is released by the decision, as ever.
        await away.hear()
        assert away.job().state is JobState.QUEUED
        region.at_hub(lambda hub: hub.connection.execute("UPDATE node SET contract = 2"))
        decide(region, "BENAR ORANG", revise=True)
        assert region.at_hub(orders) == 1


async def test_an_order_that_a_revision_ended_is_given_anew_by_the_next(region: Region) -> None:
    home, away = region[HOME], region[AWAY]
    record(home.store, line(HOME_NIK, **WRONG))
    await home.turn()
    await home.turn()
    record(away.store, line(HOME_NIK, **RIGHT))
    async with region.line():
        await settle(region, home, away)

        async def hear() -> list[JobState]:
            # The printer rests: only the centre's word moves anything there.
            for office in (home, away):
                await office.sync()
            region.at_hub(lambda hub: None)
            await away.hear()
            return [job.state for job in Ledger(away.store).of_resident(int(HOME_NIK))]

        decide(region, "BENAR ORANG")
        assert JobState.VOID not in await hear()
        decide(region, "SALAH ORANG", revise=True)
        assert set(await hear()) == {JobState.VOID}
        decide(region, "BENAR ORANG", revise=True)
        await hear()
        await settle(region, home, away)
        assert (away.job().state, away.job().issue) == (JobState.PRINTED, 2)
