"""What one recording means at an office, without a database."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from node.desk.day import day_of, seen_ms
from node.desk.plan import Known, Planned, Wanted, issue_of, plan
from node.printing.spool import JobState
from sepe import hlc
from sepe.recording import parse_recording
from sepe.wire.v1 import event_pb2
from tests.support.office import NOW_MS, line

TODAY = date(2024, 11, 23)


def planned(known: Known | None = None, wanted: tuple[Wanted, ...] = (), **fields: Any) -> Planned:
    recording, _ = parse_recording(line(**fields), today=TODAY, regions=None)
    return plan(recording, known, wanted, attached={}, now_ms=NOW_MS, today=TODAY, first_day=date(2024, 11, 1))


def test_a_first_recording_asks_for_the_first_issue() -> None:
    one = planned()
    assert one.job is not None
    assert (one.status, one.job.issue, one.job.state) == ("queued", 1, JobState.QUEUED)
    assert event_pb2.Recorded.FromString(one.draft.body).issue == 1


def test_every_field_that_can_be_given_reaches_the_event() -> None:
    texts = ("birth_place", "address", "kelurahan", "religion", "marital_status", "occupation", "blood_type",
             "citizenship", "education", "mother_name", "father_name", "operator")  # fmt: skip
    given = {name: f"X {name[:5]}".upper() for name in texts}
    given |= {"kk": "5371042501100012", "rt": "003", "rw": "001", "phone": "0812345678", "reason": "lost"}
    body = event_pb2.Recorded.FromString(planned(product="kk", **given).draft.body)
    assert {name: getattr(body, name) for name in given} == given
    unset = {field.name for field in body.DESCRIPTOR.fields} - {field.name for field, _ in body.ListFields()}
    assert unset == {"photo_sha256", "signature_sha256", "biometric_sha256", "extra"}
    assert body.product == "kk"


def test_a_product_without_paper_makes_no_job() -> None:
    one = planned(product="ikd")
    assert (one.status, one.job) == ("recorded", None)
    assert event_pb2.Recorded.FromString(one.draft.body).issue == 0


def test_a_pupil_is_recorded_ahead_and_his_card_waits_for_the_birthday() -> None:
    one = planned(nik="5371040101089001", birth_date="2008-01-01", sex="L")
    assert one.job is not None
    assert (one.status, one.job.state, one.job.due_day) == ("not_yet_due", JobState.WAITING_DUE, "2025-01-01")


def test_the_same_person_again_gets_a_warning_and_no_second_card() -> None:
    first = planned()
    again = planned(first.known, (Wanted("ktp-el", 1, JobState.PRINTED),))
    assert (again.status, again.job, again.known.claims) == ("already_requested", None, 2)
    assert any("2024-11-01" in warning for warning in again.warnings)


def test_another_name_for_the_nik_puts_cards_on_hold() -> None:
    first = planned()
    other = planned(first.known, (), name="SITI AMINAH")
    assert other.job is not None
    assert (other.status, other.job.state, other.disputes) == ("on_hold", JobState.HELD, True)
    third = planned(other.known, ())
    assert (third.status, third.disputes) == ("on_hold", False)


def test_a_title_is_no_other_name_and_changed_data_with_their_evidence_are_no_dispute() -> None:
    known = planned(name="H. YUSUF TAEK").known
    assert not planned(known, name="YUSUF TAEK, S.PD").disputes
    assert planned(known, name="YUSUF LAY").disputes
    proof = {"reason": "data-change", "proof": "474/2024", "old_card": "A000001"}
    changed = planned(known, name="YUSUF LAY", **proof)
    assert changed.changes and not changed.disputes and changed.status == "queued"
    assert not planned(changed.known, name="YUSUF LAY").disputes
    assert planned(changed.known, name="YUSUF TAEK").disputes
    assert planned(known, name="YUSUF LAY", reason="data-change", proof="474/2024").disputes


def test_the_latest_given_value_of_each_field_is_known() -> None:
    first = planned(address="JL. LAMA", phone="0812345678")
    second = planned(
        first.known, (Wanted("ktp-el", 1, JobState.PRINTED),), address="JL. BARU", reason="data-change"
    )
    known = event_pb2.Recorded.FromString(second.known.known)
    assert (known.address, known.phone) == ("JL. BARU", "0812345678")


@pytest.mark.parametrize(
    ("reason", "wanted", "expected"),
    [
        ("new", [], (1, True)),
        ("lost", [], (2, True)),
        ("lost", [(1, JobState.PRINTED)], (2, True)),
        ("lost", [(1, JobState.HANDED_OVER), (2, JobState.HANDED_OVER)], (3, True)),
        # Asked for twice while the reprint is under way: one card.
        ("lost", [(1, JobState.HANDED_OVER), (2, JobState.QUEUED)], (2, False)),
        ("damaged", [(1, JobState.HANDED_OVER), (2, JobState.IN_DOUBT)], (2, False)),
        # Every attempt at the reprint failed: it is still to be made.
        ("lost", [(1, JobState.HANDED_OVER), (2, JobState.SPOILED)], (2, True)),
        ("new", [(1, JobState.SPOILED)], (1, True)),
        ("new", [(1, JobState.VOID), (1, JobState.QUEUED)], (1, False)),
        ("new", [(2, JobState.PRINTED)], (1, True)),
    ],
)
def test_issues_count_up_and_none_is_printed_twice(
    reason: str, wanted: list[tuple[int, JobState]], expected: tuple[int, bool]
) -> None:
    held = [Wanted("ktp-el", issue, state) for issue, state in wanted]
    noise = [Wanted("kk", 7, JobState.PRINTED)]
    assert issue_of("ktp-el", reason, held + noise) == expected


def test_a_clock_that_fell_back_to_1970_does_not_take_the_day_with_it() -> None:
    stamp = hlc.stamp_of(NOW_MS)
    assert day_of(seen_ms(0, hub_ms=0, last_stamp=stamp), "537104-1") == TODAY
    assert day_of(seen_ms(0, hub_ms=NOW_MS, last_stamp=0), "537104-1") == TODAY


def test_an_event_stamped_years_ahead_is_not_believed_once_the_hub_was_heard() -> None:
    in_2031 = hlc.stamp_of(NOW_MS + 7 * 365 * 86_400_000)
    assert day_of(seen_ms(NOW_MS, hub_ms=NOW_MS, last_stamp=in_2031), "537104-1") == TODAY


def test_the_day_turns_at_midnight_of_the_offices_own_zone() -> None:
    before_midnight_utc = 1_732_374_000_000  # 2024-11-23 15:00 UTC
    assert day_of(before_midnight_utc, "310101-1") == date(2024, 11, 23)  # Jakarta, UTC+7
    assert day_of(before_midnight_utc, "910101-1") == date(2024, 11, 24)  # Papua, UTC+9


def test_a_field_that_the_contract_does_not_know_travels_along() -> None:
    one = planned(document_number="AK-1")
    assert dict(event_pb2.Recorded.FromString(one.draft.body).extra) == {"document_number": "AK-1"}
