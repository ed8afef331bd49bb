"""What people read of a record: identity, fields, life, cards and cases."""

from sepe.card import (
    DEATH,
    HANDED_OVER,
    PRINTED,
    REISSUED,
    SENT,
    SPOILED,
    VOID,
    issues_of,
    next_issue,
    to_collect,
)
from sepe.case import DOUBLE_PRINT, NIK_CONFLICT, cases_of, is_on_hold
from sepe.claims import identities, standing_claim
from sepe.events import Event, Kind
from sepe.ids import EventId
from sepe.life import life_of
from sepe.resident import fold
from sepe.wire.v1 import event_pb2

NIK = 5371044101909001
OEBOBO, KOTA_RAJA = "537104-1", "537105-1"
EPOCH = b"e" * 16


def event(node: str, seq: int, stamp: int, kind: Kind, body: object) -> Event:
    data = body.SerializeToString()  # type: ignore[attr-defined]
    return Event(EventId(node, EPOCH, seq), stamp, kind, NIK, data)


def recorded(node: str, seq: int, stamp: int, name: str = "MARIA TAEK", **fields: str) -> Event:
    body = event_pb2.Recorded(name=name, birth_date="1990-01-01", sex="P", product="ktp-el", **fields)
    return event(node, seq, stamp, Kind.RECORDED, body)


def card(
    node: str, seq: int, stamp: int, state: int, attempt: str, *, serial: str = "S1", fence: int = 0, issue: int = 1,
    override: bool = False,
) -> Event:  # fmt: skip
    body = event_pb2.CardMoved(
        product="ktp-el", issue=issue, attempt=attempt, state=state, serial=serial, fence=fence, override=override
    )  # fmt: skip
    return event(node, seq, stamp, Kind.CARD_MOVED, body)


def life(node: str, seq: int, stamp: int, state: int, *, court: bool = False) -> Event:
    return event(
        node, seq, stamp, Kind.LIFE_CHANGED, event_pb2.LifeChanged(state=state, court_order=court)
    )  # fmt: skip


def decision(seq: int, stamp: int, keep: EventId, seen: list[EventId]) -> Event:
    def ref(one: EventId) -> event_pb2.EventRef:
        return event_pb2.EventRef(node=one.node, epoch=one.epoch, seq=one.seq)

    body = event_pb2.CaseDecided(case_kind=NIK_CONFLICT, keep=ref(keep), seen=map(ref, seen), reason="akta")
    return event("hub", seq, stamp, Kind.CASE_DECIDED, body)


def test_claims_that_differ_in_case_and_punctuation_alone_agree() -> None:
    record = fold([recorded(OEBOBO, 1, 1, "MARIA TA'EK"), recorded(KOTA_RAJA, 1, 2, "Maria  Taek")])
    assert len(record.claims) == 2
    assert len(identities(record)) == 1
    assert cases_of(record) == ()


def test_one_nik_with_two_names_is_a_conflict_that_shows_both_and_holds_the_card() -> None:
    record = fold([recorded(KOTA_RAJA, 1, 9, "MARIA TAEK LAY"), recorded(OEBOBO, 1, 5)])
    (case,) = cases_of(record)
    assert (case.kind, case.is_open) == (NIK_CONFLICT, True)
    assert [claim.name for claim in case.claims] == ["MARIA TAEK", "MARIA TAEK LAY"]
    assert is_on_hold(record)
    assert standing_claim(record).name == "MARIA TAEK"


def test_an_officers_decision_closes_the_conflict_until_an_identity_comes_that_he_did_not_see() -> None:
    first, second = recorded(OEBOBO, 1, 1), recorded(KOTA_RAJA, 1, 2, "MARIA TAEK LAY")
    decided = fold([first, second, decision(1, 3, second.id, [first.id, second.id])])
    assert not is_on_hold(decided)
    assert standing_claim(decided).name == "MARIA TAEK LAY"
    assert len(decided.claims) == 2, "the losing claim is kept"
    again = decided.join(fold([recorded(KOTA_RAJA, 2, 4, "MARIA TAEK")]))
    assert not is_on_hold(again), "a repeat of a known identity changes nothing"
    third = again.join(fold([recorded(OEBOBO, 2, 5, "YULIANA NENO")]))
    assert is_on_hold(third)


def test_the_latest_stamp_wins_a_field_and_the_loser_stays_in_its_history() -> None:
    record = fold([recorded(OEBOBO, 1, 7, address="JL. BARU"), recorded(KOTA_RAJA, 9, 3, address="JL. LAMA")])
    assert record.fields["address"].top[1] == "JL. BARU"
    assert [value for _, value in record.fields["address"].history] == ["JL. LAMA"]


def test_equal_stamps_go_by_node_and_never_by_value() -> None:
    record = fold([recorded(OEBOBO, 1, 7, address="Z"), recorded(KOTA_RAJA, 1, 7, address="A")])
    assert record.fields["address"].top[1] == "A"


def test_life_only_goes_forward_except_by_court_order() -> None:
    died = [
        recorded(OEBOBO, 9, 1), life(OEBOBO, 1, 5, event_pb2.LIFE_STATE_DEAD),
        life(KOTA_RAJA, 1, 6, event_pb2.LIFE_STATE_MOVED),
    ]  # fmt: skip
    assert life_of(fold(died)) == event_pb2.LIFE_STATE_DEAD
    order = life(OEBOBO, 2, 8, event_pb2.LIFE_STATE_ALIVE, court=True)
    assert life_of(fold([order, *died])) == event_pb2.LIFE_STATE_ALIVE
    assert (
        life_of(fold([order, *died, life(OEBOBO, 3, 9, event_pb2.LIFE_STATE_MOVED)])) == event_pb2.LIFE_STATE_MOVED
    )


def test_of_two_cards_for_one_issue_the_highest_fence_is_valid_and_the_other_recalled() -> None:
    record = fold([
        card(OEBOBO, 1, 1, PRINTED, "a", serial="S1", fence=0),
        card(KOTA_RAJA, 1, 9, PRINTED, "b", serial="S2", fence=1),
    ])  # fmt: skip
    (issue,) = issues_of(record)
    assert issue.valid.serial == "S2"
    assert [one.serial for one in issue.recalled] == ["S1"]
    assert [case.kind for case in cases_of(record)] == [DOUBLE_PRINT]
    collected = record.join(fold([card(OEBOBO, 2, 10, SPOILED, "a")]))
    assert cases_of(collected) == (), "the case closes when the recalled card came back"


def test_a_rightful_card_goes_before_a_forced_one_and_a_tie_to_the_first_that_came_out() -> None:
    home = [card(OEBOBO, 1, 1, SENT, "a", serial="S1"), card(OEBOBO, 2, 8, PRINTED, "a", serial="S1")]
    forced = [card(KOTA_RAJA, 1, 9, PRINTED, "b", serial="S2", override=True)]
    (issue,) = issues_of(fold(home + forced))
    assert issue.valid.serial == "S1", "printed before, at the same fence 0"
    assert [(one.serial, one.override) for one in issue.recalled] == [("S2", True)]
    earlier = [card(KOTA_RAJA, 1, 5, PRINTED, "b", serial="S2", override=True)]
    assert issues_of(fold(home + earlier))[0].valid.serial == "S1", "later, and still the rightful one"
    # Forced while its own card was on hold: it had a right of a high fence, and was not to be printed.
    on_hold = [card(KOTA_RAJA, 1, 9, PRINTED, "b", serial="S2", fence=5, override=True)]
    assert issues_of(fold(home + on_hold))[0].valid.serial == "S1"
    twice = [card(OEBOBO, 1, 5, PRINTED, "a", override=True), card(KOTA_RAJA, 1, 4, PRINTED, "b", override=True)]
    assert issues_of(fold(twice))[0].valid.attempt == "b", "of two forced ones the first"


def test_a_card_ends_with_its_owner_and_with_the_next_issue_and_is_then_to_be_collected() -> None:
    first = [recorded(OEBOBO, 8, 0), card(OEBOBO, 1, 1, HANDED_OVER, "a", serial="S1")]
    second = [card(KOTA_RAJA, 1, 5, PRINTED, "b", serial="S2", fence=1, issue=2)]
    record = fold(first + second)
    assert [(issue.issue, issue.ended) for issue in issues_of(record)] == [(1, REISSUED), (2, "")]
    assert [(one.serial, why) for _, one, why in to_collect(record)] == [("S1", REISSUED)]
    assert cases_of(record) == ()
    died = record.join(fold([life(OEBOBO, 9, 9, event_pb2.LIFE_STATE_DEAD)]))
    assert [(one.serial, why) for _, one, why in to_collect(died)] == [("S1", DEATH), ("S2", DEATH)]
    body = event_pb2.CardWithdrawn(product="ktp-el", serial="S1", reason="move-in")
    taken = record.join(fold([event(KOTA_RAJA, 2, 6, Kind.CARD_WITHDRAWN, body)]))
    assert to_collect(taken) == ()
    assert issues_of(taken)[0].attempts[0].state == VOID
    assert next_issue(issues_of(taken), "ktp-el") == 3, "an issue that was out is never made again"


def test_a_late_report_never_takes_a_card_back() -> None:
    record = fold(
        [card(OEBOBO, 3, 3, HANDED_OVER, "a"), card(OEBOBO, 1, 1, SENT, "a"), card(OEBOBO, 2, 2, PRINTED, "a")]
    )
    (issue,) = issues_of(record)
    assert issue.valid.state == HANDED_OVER


def test_an_event_of_an_unknown_kind_says_nothing_and_breaks_nothing() -> None:
    unknown = Event(EventId(OEBOBO, EPOCH, 9), 9, 999, NIK, b"\xff\xff")
    assert fold([unknown, recorded(OEBOBO, 1, 1)]) == fold([recorded(OEBOBO, 1, 1)])
