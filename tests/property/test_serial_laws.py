"""Laws of serials kept as ranges, and of the books that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sepe.serials import SerialSet
from sepe.stock import INTAKES, Move, Movement, Spent, StockBooks

NUMBERS = st.integers(0, 12)
SPANS = st.tuples(st.sampled_from("AB"), NUMBERS, NUMBERS).map(lambda one: (one[0], min(one[1:]), max(one[1:])))
SETS = st.sets(st.tuples(st.sampled_from("AB"), NUMBERS).map(lambda one: f"{one[0]}{one[1]:02d}"), max_size=12)


@given(st.lists(st.tuples(st.booleans(), SPANS), max_size=12))
def test_a_set_of_ranges_holds_what_a_set_of_serials_holds(steps: list[tuple[bool, tuple[str, int, int]]]) -> None:
    ranges, plain = SerialSet(), set[str]()
    for is_added, (prefix, start, end) in steps:
        serials = {f"{prefix}{number:02d}" for number in range(start, end + 1)}
        if is_added:
            ranges.add((prefix, 2), start, end)
            plain |= serials
        else:
            ranges.discard((prefix, 2), start, end)
            plain -= serials
    assert list(ranges.serials()) == sorted(plain)
    assert ranges == SerialSet.of(plain) and len(ranges) == len(plain)
    spans = list(ranges.spans())
    # Touching ranges are one: what is equal looks equal.
    assert all(one[0] != two[0] or one[2] + 1 < two[1] for one, two in pairwise(spans))


@given(SETS, SETS)
def test_differences_and_intersections_are_those_of_sets(one: set[str], two: set[str]) -> None:
    first, second = SerialSet.of(one), SerialSet.of(two)
    assert set((first - second).serials()) == one - two
    assert set((first & second).serials()) == one & two


@st.composite
def honest_worlds(draw: Callable[..., object]) -> tuple[list[Move], list[Spent], dict[str, str]]:
    """What three machines that follow the rules report, and where each serial really is at the end."""
    place: dict[str, str] = {f"{number:02d}": "hub" for number in range(8)}
    moves, spent = [], []
    for stamp in range(1, draw(st.integers(1, 40)) + 1):  # type: ignore[operator]
        serial = draw(st.sampled_from(sorted(place)))
        node = draw(st.sampled_from(["A", "B", "C"]))
        act = draw(st.sampled_from(["take", "give", "print", "spoil", "lose", "find"]))
        day = f"d{stamp // 10}"

        was = place[str(serial)]
        move = partial(Move, stamp, product="kia", day=day, first=str(serial), last=str(serial))
        if act == "take" and was == "hub":
            moves.append(move(str(node), movement=Movement.RECEIVED))
            place[str(serial)] = f"{node} held"
        elif act == "take" and was.startswith("to "):
            moves.append(move(was[3:], movement=Movement.MOVED_IN, other_node="x"))
            place[str(serial)] = f"{was[3:]} held"
        elif was.endswith(" held"):
            owner = was[0]
            if act == "give" and node != owner:
                moves.append(move(owner, movement=Movement.MOVED_OUT, other_node=str(node)))
                place[str(serial)] = f"to {node}"
            elif act == "print":
                is_spoiled_later = draw(st.booleans())
                later = (stamp + 5, f"d{(stamp + 5) // 10}") if is_spoiled_later else (0, "")
                spent.append(Spent(owner, "kia", str(serial), f"{stamp}", stamp, day, *later))
                place[str(serial)] = f"{owner} spent"
            elif act == "spoil":
                moves.append(move(owner, movement=Movement.SPOILED))
                place[str(serial)] = f"{owner} spent"
            elif act == "lose":
                moves.append(move(owner, movement=Movement.LOST))
                place[str(serial)] = f"{owner} lost"
        elif act == "find" and was.endswith(" lost"):
            moves.append(move(was[0], movement=Movement.FOUND))
            place[str(serial)] = f"{was[0]} held"
    return moves, spent, place


@given(honest_worlds(), st.randoms(use_true_random=False))
def test_the_books_of_honest_machines_close_and_know_each_serial_whatever_order_they_come_in(
    world: tuple[list[Move], list[Spent], dict[str, str]], chance: object
) -> None:
    moves, spent, place = world
    chance.shuffle(moves)  # type: ignore[attr-defined]
    books = StockBooks.of(moves, spent)
    assert books.faults() == []
    found: dict[str, str] = {}
    for one in books.machines:
        assert all(day.closes for day in one.days.values())
        for name, serials in (("held", one.held), ("spent", one.spent), ("lost", one.lost)):
            found |= {serial: f"{one.node} {name}" for serial in serials.serials()}
    for transit in books.transits:
        found |= {serial: f"to {transit.receiver}" for serial in transit.serials.serials()}
    assert found == {serial: where for serial, where in place.items() if where != "hub"}


@given(honest_worlds(), st.data())
def test_a_serial_taken_in_a_second_time_never_goes_unnoticed(
    world: tuple[list[Move], list[Spent], dict[str, str]], data: st.DataObject
) -> None:
    moves, spent, _ = world
    taken = [move for move in moves if move.movement in INTAKES and move.movement != Movement.FOUND]
    if not taken:
        return
    one = data.draw(st.sampled_from(taken))
    others = [node for node in "ABC" if node != one.node]
    copy = Move(99, data.draw(st.sampled_from(others)), "d9", "kia", Movement.RECEIVED, one.first, one.last)
    gave_away = any(move.movement == Movement.MOVED_OUT and move.first == one.first for move in moves)
    if not gave_away:
        assert StockBooks.of([*moves, copy], spent).conflicts
