"""Serials as ranges, and what the reports of several machines about them add up to."""

from __future__ import annotations

import pytest

from sepe.errors import InvalidInputError
from sepe.serials import SerialSet, serials_between
from sepe.stock import Move, Spent, StockBooks, StockSum, day_sums

KTP = "ktp-el"
A, B = "537104-1", "537105-1"


def move(stamp: int, node: str, movement: str, first: str, last: str = "", **more: object) -> Move:
    return Move(stamp, node, f"2024-11-{20 + stamp // 10}", KTP, movement, first, last or first, **more)  # type: ignore[arg-type]


def test_a_pack_given_to_another_office_is_in_transit_until_that_office_has_it() -> None:
    given = [
        move(1, A, "received", "A001", "A100"),
        move(2, A, "moved_out", "A050", "A059", other_node=B),
        move(3, B, "moved_in", "A050", "A055", other_node=A),
    ]
    books = StockBooks.of(given, [])
    assert books.faults() == []
    assert [(one.sender, one.receiver, str(one.serials)) for one in books.transits] == [(A, B, "A056-A059")]
    assert [str(one.held) for one in books.machines] == ["A001-A049, A060-A100", "A050-A055"]


def test_a_serial_that_two_offices_report_is_named_with_both() -> None:
    books = StockBooks.of(
        [move(1, A, "received", "A001", "A100"), move(1, B, "received", "A098", "A120")],
        [Spent(A, KTP, "A099", "one", 5, "2024-11-20"), Spent(B, KTP, "A001", "two", 5, "2024-11-20")],
    )
    assert [(one.nodes, str(one.serials)) for one in books.conflicts] == [((A, B), "A001, A098-A100")]
    assert f"{B} {KTP}: spent without having come: A001" in books.faults()


def test_each_day_closes_and_a_card_that_proves_useless_later_changes_its_term_then() -> None:
    books = StockBooks.of(
        [move(1, A, "received", "A001", "A010"), move(11, A, "lost", "A010"), move(21, A, "found", "A010")],
        [Spent(A, KTP, "A001", "one", 5, "2024-11-20", 12, "2024-11-21")],
    )
    assert books.machines[0].days == {
        "2024-11-20": StockSum(received=10, printed=1, closing=9),
        "2024-11-21": StockSum(opening=9, printed=-1, spoiled=1, lost=1, closing=8),
        "2024-11-22": StockSum(opening=8, lost=-1, closing=9),
    }
    assert all(day.closes for day in books.machines[0].days.values()) and not books.faults()


@pytest.mark.parametrize(
    ("more", "spent", "fault"),
    [
        (move(2, A, "received", "A010"), [], "the sum is off by 1"),
        (None, [Spent(A, KTP, "A001", name, 5, "2024-11-20") for name in "xy"], "printed on twice: A001"),
        (None, [Spent(A, KTP, "A011", "x", 5, "2024-11-20")], "spent without having come: A011"),
        (move(9, A, "counted", "A001", "A010", count=9), [], "counted -1 on 2024-11-20"),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_named(more: Move | None, spent: list[Spent], fault: str) -> None:
    reports = [move(1, A, "received", "A001", "A010"), *([more] if more else [])]
    assert any(fault in one for one in StockBooks.of(reports, spent).faults())


def test_a_count_is_held_against_what_was_known_at_that_moment() -> None:
    reports = [move(1, A, "received", "A001", "A010"), move(6, A, "counted", "A002", "A010", count=9)]
    spent = [Spent(A, KTP, f"A{number:03d}", str(number), 5 + number, "2024-11-20") for number in range(1, 5)]
    assert StockBooks.of(reports, spent).faults() == []


def test_a_sum_that_was_counted_otherwise_shows_how_many_are_missing() -> None:
    (day,) = day_sums({"2024-11-20": {"received": 10, "printed": 3}}, closing=5).values()
    assert (day.closing, day.gap, day.closes) == (5, 2, False)


def test_ranges_join_split_and_count_like_the_sets_they_stand_for() -> None:
    serials = SerialSet.between("A005", "A009")
    serials.add(("A", 3), 1, 4)
    serials.discard(("A", 3), 3, 6)
    serials.update(SerialSet.of(["B1", "A006"]))
    assert (str(serials), len(serials)) == ("A001-A002, A006-A009, B1", 7)
    assert "A006" in serials and "A005" not in serials and "A6" not in serials
    assert str(serials & SerialSet.between("A002", "A007")) == "A002, A006-A007"


@pytest.mark.parametrize(("first", "last"), [("A1", "B2"), ("A1", "A10"), ("A9", "A1"), ("", "A1"), ("a1", "a2")])
def test_what_is_no_range_is_refused(first: str, last: str) -> None:
    with pytest.raises(InvalidInputError):
        serials_between(first, last)
