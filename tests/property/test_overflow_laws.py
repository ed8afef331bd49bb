"""Laws of moving cards and blanks between offices: nobody gives what he needs, nothing is made of nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.overflow import TOLD_MS_MAX, Kind, Move, Office, plan

NODES = ["537104-1", "537105-1", "530201-1", "530202-1", "340101-1"]
NOW_MS = 10 * TOLD_MS_MAX
small = st.integers(0, 40)
offices = st.builds(
    Office,
    st.sampled_from(NODES), small, small, small,
    st.sampled_from([NOW_MS, NOW_MS - TOLD_MS_MAX - 1]),
    st.one_of(st.none(), st.tuples(st.integers(-10, 0).map(float), st.integers(119, 125).map(float))),
)  # fmt: skip
regions = st.lists(offices, max_size=5, unique_by=lambda office: office.node)


@given(regions, st.integers(1, 6))
def test_a_plan_lets_more_be_printed_and_nobody_print_less_of_his_own(region: list[Office], least: int) -> None:
    found = plan(region, NOW_MS, move_min=least)
    by_node = {one.node: one for one in region}
    cards = Counter({one.node: one.waiting for one in region})
    blanks = Counter({one.node: one.blanks for one in region})
    for move in found.moves:
        assert move.count >= 1 and move.from_node != move.to_node
        assert move.from_node[:2] == move.to_node[:2], "nobody drives to another province"
        assert move.kind is Kind.BLANKS or move.count >= least
        moved = cards if move.kind is Kind.CARDS else blanks
        moved[move.from_node] -= move.count
        moved[move.to_node] += move.count
        assert moved[move.from_node] >= 0
        assert not {move.from_node, move.to_node} & set(found.silent)
    fresh = [one for one in region if one.node not in found.silent]
    after = {one.node: min(cards[one.node], blanks[one.node], one.capacity) for one in fresh}
    assert found.after == sum(after.values()) >= found.before == sum(one.prints for one in fresh)
    assert found.left == sum(one.waiting for one in fresh) - found.after
    assert all(after[one.node] >= min(by_node[one.node].prints, cards[one.node]) for one in fresh)
    if found.moves:
        assert found.after > found.before, "nobody drives for nothing"


def office(node: str, waiting: int, blanks: int, capacity: int, told_ms: int = NOW_MS) -> Office:
    return Office(node, waiting, blanks, capacity, told_ms)


def test_blanks_come_to_people_and_cards_go_to_printers() -> None:
    found = plan([office("537104-1", 100, 20, 100), office("537105-1", 0, 500, 0)], NOW_MS)
    assert found.moves == (Move(Kind.BLANKS, "537105-1", "537104-1", 80),)
    found = plan([office("537104-1", 100, 100, 30), office("537105-1", 10, 15, 60)], NOW_MS)
    assert found.moves == (
        Move(Kind.BLANKS, "537104-1", "537105-1", 45),
        Move(Kind.CARDS, "537104-1", "537105-1", 50),
    )
    assert (found.before, found.after, found.left) == (40, 90, 20)


def test_the_same_regency_helps_first_and_the_silent_are_left_out() -> None:
    helpers = [office("530201-1", 0, 99, 99), office("537105-1", 0, 99, 99)]
    found = plan([office("537104-1", 50, 50, 0), *helpers], NOW_MS)
    assert found.moves == (Move(Kind.CARDS, "537104-1", "537105-1", 50),)
    silent = office("537105-1", 0, 99, 99, NOW_MS - TOLD_MS_MAX - 1)
    found = plan([office("537104-1", 50, 50, 0), helpers[0], silent], NOW_MS)
    assert [move.to_node for move in found.moves] == ["530201-1"] and found.silent == ("537105-1",)


def test_nobody_is_sent_for_a_handful() -> None:
    assert plan([office("537104-1", 14, 99, 10), office("537105-1", 0, 99, 99)], NOW_MS).moves == ()
