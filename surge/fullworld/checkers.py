"""What must hold when a full world has come to rest. Each checker reads the real files and says what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from hub.merge import log, registry
from hub.merge.digest import deep_digest, digest
from hub.merge.project import whole_record
from hub.merge.proving import VIA_IMPORT
from hub.merge.rebuild import rebuild
from hub.merge.store import Arrival, HubStore
from node.storage.check import check_rows
from node.storage.store import NodeStore
from sepe.card import issues_of, to_collect
from sepe.claims import claims_of
from sepe.codec import Header, chain_start
from sepe.errors import SepeError
from sepe.ids import HUB_NODE, EventId
from sepe.sync.centre import Judgement
from sepe_io.frames import peek_header, reopen_frame
from surge.fullworld import disk
from surge.world.checkers.exactly_once_in_log import is_of_two_disasters
from surge.world.loop import START_MS

if TYPE_CHECKING:
    from surge.fullworld.world import FullWorld

PROBLEMS_MAX = 10


def no_lost_event(world: FullWorld) -> list[str]:
    """Every fact that an office committed is in the hub's log.

    But for those whose last copy a disaster destroyed; those that no outbox has since a disaster while their
    frame, which a courier may have brought, waits in quarantine for a person; and those that an office pruned too
    early, because its own clock and the hub's both showed another year, before the hub was restored.
    """
    oracle = world.oracle
    missing = oracle.committed.keys() - oracle.facts(world.hub.bodies()) - oracle.erased
    if missing:
        in_outboxes = oracle.facts(body for office in world.offices for body in disk.outbox_bodies(office.folder))
        forgotten = oracle.at_risk | (world.facts_on_offices() - in_outboxes)
        missing -= _in_review(world) & forgotten
        missing -= oracle.pruned_early(world.facts_on_offices())
    return [f"fact {fact} of {oracle.committed[fact]} is not in the hub's log" for fact in sorted(missing)]


def exactly_once_in_log(world: FullWorld) -> list[str]:
    """No event name is in the log twice, and no fact but as `is_of_two_disasters` says."""
    fact_of = world.oracle.fact_of
    events = [event for row in log.all_frames(world.hub.store.connection) for event in log.events_in(row)]
    names = Counter(str(event.id) for event in events)
    facts: dict[int, list[EventId]] = defaultdict(list)
    for event in events:
        if event.body in fact_of:
            facts[fact_of[event.body]].append(event.id)
    put_back = {office.node for office in world.offices if office.name in world.oracle.unruly}
    return [f"event {name} is in the log {count} times" for name, count in names.items() if count > 1] + [
        f"fact {fact} is in the log {len(ids)} times"
        for fact, ids in sorted(facts.items())
        if len(ids) > 1 and not is_of_two_disasters(ids, put_back, world.oracle.hub_restores)
    ]


def convergence(world: FullWorld) -> list[str]:
    """The state is the same after a rebuild, and at a second hub that got the frames in another order."""
    connection = world.hub.store.connection
    world.hub.store.project()
    before, deep = digest(connection), deep_digest(connection)
    problems = []
    rebuild(connection)
    if digest(connection) != before:
        problems.append("a rebuild gives another digest")
    with _second_hub(world, Random(before.digest)) as second:
        if digest(second.connection) != before:
            problems.append("a second hub with the same frames has another digest")
        if deep_digest(second.connection) != deep:
            problems.append("a second hub shows other residents")
        if _watermarks(second) != _watermarks(world.hub.store):
            problems.append("a second hub has other watermarks")
    return problems


def valid_card_bears_standing_identity(world: FullWorld) -> list[str]:
    """What the hub calls valid says the name that stands, and its list of recalls is what its log says.

    The list is made step by step, beside the merge; the record is folded here from the log as it ended. Not judged
    is a card whose claim has another name since a machine or the hub was put back, as in the first speed.
    """
    store = world.hub.store
    store.project()
    connection, problems = store.connection, []
    recalled = {attempt for (attempt,) in connection.execute("SELECT attempt FROM recalled_card")}
    drawn = {one.attempt: one for one in world.oracle.cards}
    for nik in sorted({one.nik for one in drawn.values()}):
        events = log.events_of(connection, [nik]).get(nik, [])
        record = whole_record(connection, nik, events)
        claims = claims_of(record)
        should = {attempt.attempt for _, attempt, _ in to_collect(record)}
        known = {step.attempt for step in record.steps}
        if should != recalled & known:
            problems.append(f"the list of recalls has {len(recalled & known)} cards of a NIK, not {len(should)}")
        named = {
            one.attempt: claims.known[one.claim] for one in record.steps if one.claim and one.claim in claims.known
        }
        for issue in issues_of(record):
            card = drawn.get(issue.valid.attempt) if issue.valid is not None else None
            claim = named.get(card.attempt) if card is not None else None
            if card is None or claim is None or claim.name != card.name or claims.standing is None:
                continue
            if not claims.agree(claim, claims.standing):
                problems.append(f"the valid card {card.attempt} says {card.name}, which does not stand")
    return problems


def files_are_whole(world: FullWorld) -> list[str]:
    """Every database passes SQLite's own check, and every outbox its chain."""
    problems = []
    for office in world.offices:
        store = NodeStore.open(office.folder)
        try:
            if (word := store.connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                problems.append(f"{office.name}: {word}")
            for epoch in store.epochs():
                rows = list(store.events_after(0, epoch))
                if rows and rows[0].seq == 1:
                    check_rows(chain_start(store.node, epoch), iter(rows))
        except SepeError as exc:
            problems.append(f"{office.name}: {exc}")
        finally:
            store.close()
    word = world.hub.store.connection.execute("PRAGMA integrity_check").fetchone()[0]
    return problems if word == "ok" else [*problems, f"hub: {word}"]


Check = Callable[["FullWorld"], list[str]]
CHECKERS: dict[str, Check] = {
    "no_lost_event": no_lost_event,
    "exactly_once_in_log": exactly_once_in_log,
    "convergence": convergence,
    "valid_card_bears_standing_identity": valid_card_bears_standing_identity,
    "files_are_whole": files_are_whole,
}


def _in_review(world: FullWorld) -> set[int]:
    rows = world.hub.store.connection.execute("SELECT data FROM quarantine WHERE reason = 'fork'")
    return world.oracle.facts(body for (data,) in rows for body in reopen_frame(data).columns.bodies)


def _second_hub(world: FullWorld, rng: Random) -> HubStore:
    """A hub that got the frames of the first: epochs interleaved anew, some frames twice, some too early."""
    path = world.new_path("second")
    disk.make_hub(path, rng.randbytes(32), now_ms=START_MS)
    second = HubStore.open(path)
    from surge.fullworld.world import enrol

    for office in {office.node: office for office in world.offices}.values():
        enrol(second, office.node, world.hub.store.keys_of(office.node)[0])
    registry.add_key(second.connection, HUB_NODE, world.hub.store.keys_of(HUB_NODE)[0], now_ms=START_MS)
    rows = sorted(
        ((row.received_ms, row.data, peek_header(row.data)) for row in log.all_frames(world.hub.store.connection)),
        key=lambda row: (row[2].node, row[2].epoch, row[2].last_seq),
    )
    queues = [list(run)[::-1] for _, run in groupby(rows, key=lambda row: (row[2].node, row[2].epoch))]
    order = [queue for queue in queues for _ in queue]
    rng.shuffle(order)
    arrivals: list[Arrival] = []
    for queue in order:
        chance = rng.random()
        # Too early for the hub only if nothing in it is next: one that overlaps would be merged at its own hour.
        if chance < 0.1 and queue[0][2].first_seq > queue[-1][2].last_seq:
            arrivals.append(_arrival(queue[0]))
        arrivals.append(_arrival(queue.pop()))
        if chance > 0.9:
            arrivals.append(arrivals[-1])
    while arrivals:
        size = rng.randrange(1, 20)
        for outcome in second.merge(arrivals[:size]):
            assert outcome.judgement not in (None, Judgement.FORK), outcome
        arrivals = arrivals[size:]
    second.project()
    return second


def _arrival(row: tuple[int, bytes, Header]) -> Arrival:
    # Only a person brings what a hub said itself to another one.
    return Arrival(row[1], VIA_IMPORT if row[2].node == HUB_NODE else "nats", row[0])


def _watermarks(store: HubStore) -> list[tuple[object, ...]]:
    return list(store.connection.execute("SELECT node, epoch, durable_seq, chain FROM epoch ORDER BY node, epoch"))
