"""The table of partitions: whatever order the processes' beats come in, each partition ends with one reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.leases import LEASE_S, Table, Watch, next_table, without

NAMES = ("hub", "worker-a", "worker-b", "worker-c", "worker-d")
beats = st.lists(st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))), max_size=30)


def settled(table: Table, names: list[str], partitions: int) -> Table:
    """After everybody's beat came round often enough."""
    gone = table.beats.keys() - set(names)
    for _ in range(3):
        for name in names:
            table = next_table(table, name, partitions, gone)
    return table


@given(beats, st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(1, 20))
def test_from_any_past_each_partition_ends_with_one_living_reader_and_shares_differ_by_one(
    past: list[tuple[str, set[str]]], names: list[str], partitions: int
) -> None:
    table = Table()
    for name, dead in past:
        table = next_table(table, name, partitions, dead)
    table = settled(table, names, partitions)
    shares = [len(table.held_by(name)) for name in names]
    assert set(table.holders) == set(range(partitions))
    assert set(table.holders.values()) <= set(names)
    assert max(shares) - min(shares) <= 1


@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(1, 20), st.sampled_from(NAMES))
def test_nobody_takes_what_another_living_process_holds(names: list[str], partitions: int, beating: str) -> None:
    before = settled(Table(), names, partitions)
    after = next_table(before, beating, partitions)
    for number, holder in after.holders.items():
        assert before.holders[number] in (holder, beating)


def test_who_leaves_frees_its_partitions_and_a_larger_count_is_shared_out_too() -> None:
    table = settled(Table(), ["hub", "worker-a"], 8)
    left = without(table, "worker-a")
    assert set(left.beats) == {"hub"} and len(left.holders) == 4
    grown = settled(left, ["hub"], 12)
    assert grown.held_by("hub") == frozenset(range(12))
    # Those beyond a smaller count stay read: frames may be left in them.
    assert settled(grown, ["hub", "worker-b"], 8).held_by("worker-b") == frozenset(range(6, 12))


@given(beats)
def test_a_table_survives_being_written_down(past: list[tuple[str, set[str]]]) -> None:
    table = Table()
    for name, dead in past:
        table = next_table(table, name, 8, dead)
    assert Table.parse(table.to_bytes()) == table


def test_what_is_no_table_is_an_empty_one() -> None:
    for data in (b"", b"{", b"[]", b'{"beats": 1, "holders": {}}', b'{"beats": {}, "holders": {"x": "hub"}}'):
        assert Table.parse(data) == Table()


def test_silence_is_judged_by_our_own_clock_alone() -> None:
    now = [0.0]
    watch = Watch(clock=lambda: now[0])
    table = settled(Table(), ["hub", "worker-a"], 8)
    assert watch.dead(table) == set()  # Seen for the first time: it may have beaten just now.
    now[0] += LEASE_S / 2
    table = next_table(table, "hub", 8)
    assert watch.dead(table) == set()
    now[0] += LEASE_S / 2 + 0.1
    assert watch.dead(table) == {"worker-a"}
    table = next_table(table, "worker-a", 8)
    assert watch.dead(table) == set()
