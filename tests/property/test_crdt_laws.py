"""The laws of every join: order, grouping and repetition do not matter, and a join forgets neither side.

Ranges are tiny so that equal stamps, equal nodes and equal NIK really happen.
"""

from hypothesis import given
from hypothesis import strategies as st

from sepe.card import OUT, issues_of, next_issue, to_collect
from sepe.crdt import NodeCounter, Register, Version
from sepe.events import Event, Kind
from sepe.ids import EventId
from sepe.resident import Resident, fold, lift
from sepe.wire.v1 import event_pb2

NODES = ["537101-1", "537104-1", "537105-1"]

versions = st.builds(
    Version,
    stamp=st.integers(0, 3),
    node=st.sampled_from(NODES),
    epoch=st.just(b"e" * 16),
    seq=st.integers(1, 4),
)
# One write has one value: the value is a function of the version.
registers = st.frozensets(versions, max_size=4).map(
    lambda written: Register(frozenset((version, f"value of {version.seq}") for version in written))
)
counters = st.dictionaries(st.sampled_from(NODES), st.integers(0, 5)).map(NodeCounter)


def body(kind: Kind, pick: int) -> bytes:
    """A body that is a function of its event's name, as in the real world."""
    names = ["MARIA TAEK", "MARIA TAEK LAY", "MARIA TA'EK"]
    match kind:
        case Kind.RECORDED:
            message = event_pb2.Recorded(
                name=names[pick % 3], birth_date="1990-01-01", sex="P", address=f"JL. {pick}", product="ktp-el"
            )
        case Kind.CORRECTED:
            message = event_pb2.Corrected(fields={"address": f"JL. BARU {pick}"})
        case Kind.LIFE_CHANGED:
            message = event_pb2.LifeChanged(state=[10, 20, 30][pick % 3], court_order=pick % 4 == 0)
        case Kind.CARD_WITHDRAWN:
            message = event_pb2.CardWithdrawn(product="ktp-el", serial=f"S{pick % 7}", reason="recall")
            if pick % 2:  # A lost card, of which nobody knows the number.
                message = event_pb2.CardWithdrawn(product="ktp-el", issue=1, reason="lost")
        case _:
            message = event_pb2.CardMoved(
                product="ktp-el", issue=1 + pick % 2, attempt=f"a{pick % 3}", state=[20, 30, 50, 60, 70][pick % 5],
                serial=f"S{pick % 7}", fence=pick % 2, override=pick % 3 == 0,
            )  # fmt: skip
    return message.SerializeToString(deterministic=True)


@st.composite
def events(draw: st.DrawFn) -> Event:
    version = draw(versions)
    kinds = [Kind.RECORDED, Kind.CORRECTED, Kind.LIFE_CHANGED, Kind.CARD_MOVED, Kind.CARD_WITHDRAWN]
    pick = NODES.index(version.node) * 7 + version.seq * 3
    kind = kinds[pick % 5]
    # The stamp rises with the seq in each node, so that one name never carries two stamps.
    return Event(version.event_id, version.seq, kind, 5371044101909001, body(kind, pick))


histories = st.lists(events(), max_size=8)
residents = histories.map(fold)


def includes(whole: Resident, part: Resident) -> bool:
    return (
        whole.claims >= part.claims
        and whole.life >= part.life
        and whole.steps >= part.steps
        and whole.decisions >= part.decisions
        and whole.withdrawals >= part.withdrawals
        and all(whole.fields[name].writes >= register.writes for name, register in part.fields.items())
    )


@given(registers, registers, registers)
def test_a_register_joins_in_any_order_grouping_and_repetition(
    a: Register[str], b: Register[str], c: Register[str]
) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a


@given(registers, registers)
def test_a_registers_join_is_an_upper_bound(a: Register[str], b: Register[str]) -> None:
    # Pins the direction: an oldest-wins join obeys the three laws above as well.
    tops = [top for top in (a.top, b.top) if top is not None]
    assert a.join(b).top == max(tops, default=None)
    assert a.join(b).writes >= a.writes | b.writes


@given(registers, registers)
def test_no_losing_value_disappears(a: Register[str], b: Register[str]) -> None:
    joined = a.join(b)
    kept = {value for _, value in joined.history} | ({joined.top[1]} if joined.top else set())
    assert kept == {value for _, value in a.writes | b.writes}


@given(counters, counters, counters)
def test_a_counter_joins_like_a_lattice(a: NodeCounter, b: NodeCounter, c: NodeCounter) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a
    assert a.join(b).value >= max(a.value, b.value)
    assert all(a.join(b).totals[node] >= total for node, total in a.totals.items())


@given(residents, residents, residents)
def test_a_record_joins_in_any_order_grouping_and_repetition(a: Resident, b: Resident, c: Resident) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a


@given(residents, residents)
def test_a_records_join_is_an_upper_bound(a: Resident, b: Resident) -> None:
    assert includes(a.join(b), a)
    assert includes(a.join(b), b)


@given(histories, st.randoms(use_true_random=False))
def test_a_history_folds_to_one_record_however_it_arrives(history: list[Event], random: object) -> None:
    shuffled = history * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(shuffled) == fold(history)


@given(events())
def test_one_event_is_its_own_record(event: Event) -> None:
    assert fold([event]) == lift(event)
    assert EventId.parse(str(event.id)) == event.id


card_histories = st.lists(
    events().filter(lambda one: one.kind in (Kind.CARD_MOVED, Kind.CARD_WITHDRAWN)), max_size=8
)


@given(card_histories)
def test_every_issue_with_a_card_out_has_one_valid_card_and_the_rightful_one_goes_first(
    history: list[Event],
) -> None:
    record = fold(history)
    found = issues_of(record)
    for issue in found:
        out = [one for one in issue.attempts if one.state in OUT]
        assert (issue.valid is None) == (not out)
        if issue.valid is None:
            continue
        assert sorted(out, key=lambda one: one.attempt) == sorted(
            (issue.valid, *issue.recalled), key=lambda one: one.attempt
        )
        for other in issue.recalled:
            assert (issue.valid.override, -issue.valid.fence) <= (other.override, -other.fence)
        assert issue.issue < next_issue(found, issue.product)
    collected = {(issue.product, issue.issue, one.attempt) for issue, one, _ in to_collect(record)}
    kept = [issue for issue in found if issue.valid is not None and not issue.ended]
    assert len({issue.product for issue in kept}) == len(kept), "of each product one card is good"
    assert not {(one.product, one.issue, one.valid.attempt) for one in kept if one.valid} & collected
