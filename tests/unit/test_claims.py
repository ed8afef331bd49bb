"""Whose a NIK is, and which card is valid for it: corrections, decisions after the print, replaced numbers, deaths."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sepe import card
from sepe.card import HANDED_OVER, IDENTITY, NIK_REPLACED, PRINTED, SENT, issues_of, owed, to_collect
from sepe.case import NIK_CONFLICT, cases_of, is_on_hold
from sepe.claims import claims_of, standing_claim
from sepe.events import Event, Kind
from sepe.hlc import stamp_of
from sepe.ids import EventId
from sepe.life import LIFE_ELSEWHERE, life_of
from sepe.replaced import REPLACED_TWICE, carried_over, replaced_by, with_older
from sepe.resident import Resident, fold
from sepe.wire.v1 import event_pb2

NIK, OTHER = 5371044107959091, 5371044107959092
OEBOBO, OEBOBO_2, KOTA_RAJA, HUB = "537104-1", "537104-2", "537105-1", "hub"
EPOCH = b"e" * 16
DAY_MS = 24 * 3_600_000


def event(node: str, seq: int, at_ms: int, kind: Kind, body: object, nik: int = NIK) -> Event:
    data = body.SerializeToString()  # type: ignore[attr-defined]
    return Event(EventId(node, EPOCH, seq), stamp_of(at_ms), kind, nik, data)


def ref(one: EventId) -> event_pb2.EventRef:
    return event_pb2.EventRef(node=one.node, epoch=one.epoch, seq=one.seq)


def recorded(
    node: str, seq: int, at_ms: int, name: str, *, issue: int = 1, reason: str = "new", **extra: str
) -> Event:
    body = event_pb2.Recorded(
        name=name, birth_date="1995-07-01", sex="P", product="ktp-el", issue=issue, reason=reason
    )
    body.extra.update(extra)
    return event(node, seq, at_ms, Kind.RECORDED, body)


def corrected(node: str, seq: int, at_ms: int, name: str, *wrong: Event, **evidence: str) -> Event:
    body = event_pb2.ClaimCorrected(
        corrects=[ref(one.id) for one in wrong], name=name, birth_date="1995-07-01", sex="P", evidence=evidence
    )
    return event(node, seq, at_ms, Kind.CLAIM_CORRECTED, body)


def step(
    node: str, seq: int, at_ms: int, state: int, *, claim: Event | None, attempt: str = "a", issue: int = 1,
    fence: int = 0,
) -> Event:  # fmt: skip
    body = event_pb2.CardMoved(
        product="ktp-el", issue=issue, attempt=attempt, state=state, serial=f"S-{attempt}", fence=fence,
        claim=None if claim is None else ref(claim.id),
    )  # fmt: skip
    return event(node, seq, at_ms, Kind.CARD_MOVED, body)


def decided(seq: int, at_ms: int, keep: Event, *seen: Event) -> Event:
    body = event_pb2.CaseDecided(
        case_kind=NIK_CONFLICT, keep=ref(keep.id), seen=[ref(one.id) for one in (keep, *seen)], reason="akta"
    )
    return event(HUB, seq, at_ms, Kind.CASE_DECIDED, body)


def replaced(seq: int, at_ms: int, new: int, *seen: Event, nik: int = NIK) -> Event:
    body = event_pb2.NikReplaced(new_nik=new, why="mistyped", seen=[ref(one.id) for one in seen])
    return event(HUB, seq, at_ms, Kind.NIK_REPLACED, body, nik)


def valid(record: Resident) -> list[tuple[int, str]]:
    return [(one.issue, one.valid.attempt) for one in issues_of(record) if one.valid is not None]


def collected(record: Resident) -> list[tuple[str, str]]:
    return [(one.attempt, why) for _, one, why in to_collect(record)]


WRONG = recorded(OEBOBO, 1, 1_000, "SALAH ORANG")
PRINT = [step(OEBOBO, 2, 2_000, SENT, claim=WRONG), step(OEBOBO, 3, 3_000, PRINTED, claim=None)]
RIGHT = recorded(KOTA_RAJA, 1, 4_000, "BENAR ORANG")


def test_a_decision_after_the_print_makes_the_losers_card_void_and_owes_the_winner_one_where_he_was_recorded() -> (
    None
):
    open_case = fold([WRONG, *PRINT, RIGHT])
    assert is_on_hold(open_case) and valid(open_case) == [(1, "a")] and collected(open_case) == []
    record = fold([WRONG, *PRINT, RIGHT, decided(1, 5_000, RIGHT, WRONG)])
    assert (valid(record), collected(record)) == ([], [("a", IDENTITY)])
    assert [(one.issue, one.claim.version.node) for one in owed(record)] == [(2, KOTA_RAJA)]
    done = [step(KOTA_RAJA, 2, 6_000, SENT, claim=RIGHT, attempt="b", issue=2)]
    assert owed(record.join(fold(done))) == ()
    done.append(step(KOTA_RAJA, 3, 7_000, PRINTED, claim=None, attempt="b", issue=2))
    assert valid(record.join(fold(done))) == [(2, "b")]


def test_a_revised_decision_makes_the_card_good_again_and_ends_the_others() -> None:
    second = [step(KOTA_RAJA, 2, 6_000, SENT, claim=RIGHT, attempt="b", issue=2)]
    second.append(step(KOTA_RAJA, 3, 6_500, PRINTED, claim=None, attempt="b", issue=2))
    record = fold(
        [WRONG, *PRINT, RIGHT, decided(1, 5_000, RIGHT, WRONG), *second, decided(2, 7_000, WRONG, RIGHT)]
    )
    assert (valid(record), collected(record), owed(record)) == ([(1, "a")], [("b", IDENTITY)], ())
    # Withdrawn before it was printed, and revived.
    withdrawn = step(OEBOBO, 2, 4_500, card.VOID, claim=None)
    record = fold([WRONG, withdrawn, RIGHT, decided(1, 5_000, RIGHT, WRONG), decided(2, 7_000, WRONG, RIGHT)])
    assert [(one.issue, one.claim.version.node) for one in owed(record)] == [(1, OEBOBO)]


def test_a_spoiled_card_of_a_claim_that_its_office_corrected_is_not_made_again_and_leaves_the_winner_owed_his() -> (
    None
):
    # Seed 1204326069 of the world: the winner has the name that the other office had typed by mistake at first.
    typed = recorded(OEBOBO, 1, 1_000, "BENAR ORANG")
    spoiled = [step(OEBOBO, 2, 2_000, SENT, claim=typed), step(OEBOBO, 3, 2_500, card.SPOILED, claim=None)]
    case = [typed, *spoiled, RIGHT, decided(1, 5_000, RIGHT, typed)]
    assert owed(fold(case)) == ()  # Its own office makes it again.
    mended = corrected(OEBOBO, 4, 3_000, "SALAH ORANG", typed)
    record = fold([typed, *spoiled, mended, RIGHT, decided(1, 5_000, RIGHT, mended)])
    assert [(one.issue, one.claim.version.node) for one in owed(record)] == [(1, KOTA_RAJA)]


def test_while_nobody_decided_a_card_that_does_not_stand_is_in_question_and_not_recalled() -> None:
    # The hub hears the later claim and its card first, then the earlier claim of an office that was cut off.
    card_of_right = [step(KOTA_RAJA, 2, 4_500, SENT, claim=RIGHT), step(KOTA_RAJA, 3, 4_600, PRINTED, claim=None)]
    record = fold([RIGHT, *card_of_right])
    assert valid(record) == [(1, "a")]
    record = record.join(fold([WRONG]))
    (issue,) = issues_of(record)
    assert (issue.valid, issue.recalled, issue.void) == (None, (), ()) and len(issue.in_question) == 1
    assert is_on_hold(record) and collected(record) == []
    assert valid(record.join(fold([decided(1, 9_000, RIGHT, WRONG)]))) == [(1, "a")]


def test_a_card_of_an_office_that_names_no_claim_bears_its_own_claim_from_before_it() -> None:
    old = [step(OEBOBO, 2, 2_000, SENT, claim=None), step(OEBOBO, 3, 3_000, PRINTED, claim=None)]
    later = recorded(OEBOBO, 4, 4_000, "BENAR ORANG")
    assert collected(fold([WRONG, *old, later, decided(1, 5_000, later, WRONG)])) == [("a", IDENTITY)]
    assert valid(fold([WRONG, *old, later, decided(1, 5_000, WRONG, later)])) == [(1, "a")]


def test_a_card_whose_claim_was_written_again_under_another_name_bears_its_offices_own() -> None:
    """A machine that was put back names its events anew where the hub had lost them; the card still has the old name."""
    lost = recorded(OEBOBO, 9, 1, "SALAH ORANG")
    salah, benar = recorded(OEBOBO, 1, 1, "SALAH ORANG"), recorded(KOTA_RAJA, 1, 3, "BENAR ORANG")
    printed = [step(OEBOBO, 2, 2, SENT, claim=lost), step(OEBOBO, 3, 2, PRINTED, claim=None)]
    record = fold([salah, benar, *printed, decided(1, 4, benar, salah)])
    assert valid(record) == []
    assert collected(record) == [("a", IDENTITY)]


def test_an_offices_correction_of_its_own_typing_is_no_conflict_and_a_strangers_claim_is() -> None:
    typed = recorded(OEBOBO, 1, 1_000, "MARIA TAEKK")
    mended = corrected(OEBOBO_2, 1, 60_000, "MARIA TAEK", typed)
    record = fold([typed, mended])
    assert cases_of(record) == () and standing_claim(record).name == "MARIA TAEK"
    assert (standing_claim(record).product, standing_claim(record).issue) == ("ktp-el", 1)
    printed = [step(OEBOBO, 2, 2_000, SENT, claim=typed), step(OEBOBO, 3, 3_000, PRINTED, claim=None)]
    assert collected(fold([typed, *printed, mended])) == [("a", IDENTITY)]
    stranger = fold([typed, corrected(KOTA_RAJA, 1, 60_000, "MARIA LAY", typed)])
    assert is_on_hold(stranger) and standing_claim(stranger).name == "MARIA TAEKK"
    assert is_on_hold(record.join(fold([recorded(KOTA_RAJA, 1, 90_000, "MARIA LAY")])))


def test_typing_is_corrected_within_a_day_and_before_the_card_is_given_out_else_with_the_evidence() -> None:
    typed = recorded(OEBOBO, 1, 1_000, "MARIA TAEKK")
    proven = {"proof": "474/2024", "old_card": "A0001"}
    late = corrected(OEBOBO, 4, 1_000 + DAY_MS + 1, "MARIA TAEK", typed)
    assert is_on_hold(fold([typed, late]))
    assert not is_on_hold(fold([typed, corrected(OEBOBO, 4, 9 * DAY_MS, "MARIA TAEK", typed, **proven)]))
    given = step(OEBOBO, 2, 2_000, HANDED_OVER, claim=typed)
    assert is_on_hold(fold([typed, given, corrected(OEBOBO, 4, 3_000, "MARIA TAEK", typed)]))
    assert not is_on_hold(fold([typed, given, corrected(OEBOBO, 4, 3_000, "MARIA TAEK", typed, **proven)]))


def test_changed_data_with_its_evidence_are_no_conflict_where_the_resident_is_known() -> None:
    proven = {"proof": "474/2024", "old_card": "A0001"}
    first, elsewhere = recorded(OEBOBO, 1, 1_000, "MARIA TAEK"), recorded(KOTA_RAJA, 1, 2_000, "MARIA TAEK")
    changed = recorded(OEBOBO, 2, 99 * DAY_MS, "MARIA LAY", issue=2, reason="data-change", **proven)
    record = fold([first, elsewhere, changed])
    assert not is_on_hold(record) and standing_claim(record).name == "MARIA LAY"
    assert is_on_hold(fold([first, recorded(OEBOBO, 2, 2_000, "MARIA LAY", issue=2, reason="data-change")]))
    # An office that never knew him changes nobody's name.
    assert is_on_hold(fold([first, recorded(KOTA_RAJA, 1, 2_000, "MARIA LAY", reason="data-change", **proven)]))
    # After an officer's decision the law's change needs no second one, a correction does.
    rival = recorded(KOTA_RAJA, 2, 3_000, "YOHANES TAEK")
    settled = [first, rival, decided(1, 4_000, first, rival)]
    assert not is_on_hold(fold([*settled, changed]))
    assert is_on_hold(fold([*settled, corrected(OEBOBO, 3, 5_000, "MARIA LAYY", first)]))


def test_titles_are_no_part_of_a_name() -> None:
    names = [
        "ABDUL RAHMAN",
        "H. ABDUL RAHMAN",
        "DRS. ABDUL RAHMAN, S.PD",
        "ABDUL RAHMAN (ALM)",
        "Abdul Rahman, S. Pd., M.Si",
    ]
    record = fold([recorded(KOTA_RAJA, number, number, name) for number, name in enumerate(names, start=1)])
    assert cases_of(record) == ()
    # The keys of names as written agree too: HALIM and H ALIM may be one.
    assert cases_of(fold([recorded(OEBOBO, 1, 1, "HALIM"), recorded(KOTA_RAJA, 1, 2, "H. ALIM")])) == ()
    assert is_on_hold(fold([recorded(OEBOBO, 1, 1, "SITI SE"), recorded(KOTA_RAJA, 1, 2, "SITI")]))


def test_a_replaced_number_has_no_valid_card_and_its_claims_stand_under_the_new_one() -> None:
    old = fold([WRONG, *PRINT, replaced(1, 9_000, OTHER)])
    assert (replaced_by(old), valid(old), collected(old), owed(old)) == (OTHER, [], [("a", NIK_REPLACED)], ())
    said = event_pb2.NikReplaced(old_nik=NIK, why="mistyped")
    new = fold([event(HUB, 2, 9_000, Kind.NIK_REPLACED, said, OTHER)])
    assert [one.name for one in with_older(new, OTHER, {NIK: old}.__getitem__).claims] == ["SALAH ORANG"]
    # Taken back: it counts again, and nothing of it stands there any more.
    back = old.join(fold([replaced(3, 9_500, 0, replaced(1, 9_000, OTHER))]))
    assert (replaced_by(back), valid(back)) == (0, [(1, "a")])
    assert with_older(new, OTHER, {NIK: back}.__getitem__).claims == frozenset()


def test_two_officers_who_name_two_numbers_are_a_case_until_one_of_them_sees_the_others_word() -> None:
    words = [replaced(1, 9_000, OTHER), replaced(2, 9_100, OTHER + 1)]
    record = fold([WRONG, *words])
    assert [one.kind for one in cases_of(record)] == [REPLACED_TWICE] and replaced_by(record) == OTHER + 1
    settled = record.join(fold([replaced(3, 9_200, OTHER, *words)]))
    assert cases_of(settled) == () and replaced_by(settled) == OTHER


def test_a_circle_of_replacements_carries_nothing_round() -> None:
    one = fold(
        [
            WRONG,
            replaced(1, 9_000, OTHER),
            event(HUB, 2, 9_000, Kind.NIK_REPLACED, event_pb2.NikReplaced(old_nik=OTHER)),
        ]
    )
    other = Resident(replacements=fold([replaced(3, 9_000, NIK, nik=OTHER)]).replacements)
    other = other.join(fold([event(HUB, 4, 9_000, Kind.NIK_REPLACED, event_pb2.NikReplaced(old_nik=NIK))]))
    found = with_older(other, OTHER, {NIK: one, OTHER: other}.__getitem__)
    assert found.claims == carried_over(one).claims


def test_a_death_from_an_office_that_never_recorded_the_resident_waits_for_an_officer() -> None:
    death = event_pb2.LifeChanged(state=event_pb2.LIFE_STATE_DEAD, document_number="KM-1")
    said = event(KOTA_RAJA, 1, 2_000, Kind.LIFE_CHANGED, death)
    record = fold([WRONG, said])
    assert life_of(record) == event_pb2.LIFE_STATE_ALIVE
    assert [(one.kind, one.is_open) for one in cases_of(record)] == [(LIFE_ELSEWHERE, True)]
    for keep, state in ((said, event_pb2.LIFE_STATE_DEAD), (None, event_pb2.LIFE_STATE_ALIVE)):
        body = event_pb2.CaseDecided(case_kind=LIFE_ELSEWHERE, seen=[ref(said.id)], keep=keep and ref(keep.id))
        settled = record.join(fold([event(HUB, 1, 3_000, Kind.CASE_DECIDED, body)]))
        assert life_of(settled) == state
        assert [one.is_open for one in cases_of(settled)] == [False]
    # Recorded there, before or after, it is their resident.
    assert life_of(record.join(fold([recorded(KOTA_RAJA, 2, 3_000, "SALAH ORANG")]))) == event_pb2.LIFE_STATE_DEAD


NAMES = ("SALAH ORANG", "BENAR ORANG")
claims = st.lists(
    st.tuples(st.sampled_from((OEBOBO, OEBOBO_2, KOTA_RAJA)), st.sampled_from(NAMES)), min_size=1, max_size=3
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Claims, cards that came out for some of them, corrections and decisions, as offices and officers could write them."""
    events: list[Event] = []
    said = []
    for number, (node, name) in enumerate(draw(claims)):
        said.append(recorded(node, 100 + number, 1_000 * number, name, issue=draw(st.integers(1, 2))))
        if draw(st.booleans()):
            named = said[-1] if draw(st.booleans()) else None
            kind = draw(st.sampled_from((SENT, PRINTED, HANDED_OVER)))
            events += [
                step(node, 200 + number, 1_000 * number + 100, state, claim=named if state == SENT else None,
                     attempt=f"c{number}", issue=draw(st.integers(1, 2)), fence=draw(st.integers(0, 2)))
                for state in (SENT, kind)
            ]  # fmt: skip
    if draw(st.booleans()):
        target = draw(st.sampled_from(said))
        events.append(
            corrected(draw(st.sampled_from((OEBOBO, KOTA_RAJA))), 300, 5_000, draw(st.sampled_from(NAMES)), target)
        )
    for number in range(draw(st.integers(0, 2))):
        events.append(
            decided(
                400 + number, 8_000 + number, draw(st.sampled_from(said)), *draw(st.sets(st.sampled_from(said)))
            )
        )
    if draw(st.integers(0, 5)) == 0:
        events.append(replaced(500, 9_000, OTHER))
    return said + events


@given(history=histories(), data=st.data())
def test_in_any_order_the_valid_card_bears_the_standing_identity(
    history: Sequence[Event], data: st.DataObject
) -> None:
    record = fold(history)
    found = claims_of(record)
    for issue in issues_of(record):
        if issue.valid is None:
            continue
        assert replaced_by(record) == 0
        bearer = issue.valid.claim
        assert bearer is None or found.agree(bearer, found.standing)
    # What is out is valid, or somebody is told why not.
    for issue in issues_of(record):
        told = {one.attempt for one in (*issue.recalled, *issue.in_question, *(one for one, _ in issue.void))}
        out = {one.attempt for one in issue.attempts if one.state in card.OUT}
        assert out == told | ({issue.valid.attempt} if issue.valid else set())
        assert not issue.in_question or found.is_on_hold
    shuffled = data.draw(st.permutations(history))
    again = fold([*shuffled[:2], *shuffled])
    assert (issues_of(again), cases_of(again), owed(again)) == (issues_of(record), cases_of(record), owed(record))
