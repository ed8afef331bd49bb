"""How the hub stands: counts, nodes and what they still owe."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from hub.merge import log
from hub.merge.project import state_name
from sepe.errors import PeerProtocolError
from sepe.events import Kind, body_of
from sepe.hlc import AHEAD_MS_MAX
from sepe.ids import HUB_NODE
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

# A node on the line greets or sends within this; beyond it the list calls it silent.
FORK_SHOWN_MS = 7 * 86_400_000
SILENT_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What the hub holds. Exact when the projector has nothing left (`hub.merge.project.project`).

    Attributes:
        events: events of nodes; the hub's own decisions and moved rights are ``hub_events``.
        residents: NIK with at least one claim.
        duplicates: claims that agree with an earlier claim of their NIK: claims minus distinct identities.
        cards: attempts that were reported printed.
        quarantined: frames in quarantine; ``parked``: events in the log that this version cannot fold.
    """

    events: int
    hub_events: int
    frames: int
    residents: int
    claims: int
    duplicates: int
    cards: int
    cases_open: int
    cases: int
    quarantined: int
    parked: int
    nodes: int


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node as ``hub nodes`` shows it; times in milliseconds since 1970, ``None`` for never.

    Attributes:
        lag_events: what the node last told it holds and the hub has not committed.
        flags: ``revoked``, ``fork`` (frames of another branch wait in quarantine, or one was met in the last
            week), ``clock_ahead``, ``clock_behind``, ``quarantine``, ``silent``.
    """

    node: str
    epoch: str
    durable_seq: int
    events: int
    last_seen_ms: int | None
    lag_events: int
    link: str
    clock_skew_ms: int | None
    software: str
    flags: tuple[str, ...]


def counts(connection: Connection) -> Counts:
    """All counts; one pass over the heads, some 0.3 s for a million residents."""

    def one(sql: str, *arguments: object) -> int:
        return int(connection.execute(sql, arguments).fetchone()[0] or 0)

    residents, claims, prints = connection.execute(
        "SELECT COUNT(*) FILTER (WHERE claims > 0), COALESCE(SUM(claims), 0), COALESCE(SUM(prints), 0) FROM head"
    ).fetchone()
    # A NIK that was never suspect has at most one identity and one print; the others were folded.
    folded = connection.execute(
        "SELECT COALESCE(SUM(f.identities), 0), COUNT(*) FILTER (WHERE h.claims > 0),"
        " COALESCE(SUM(f.cards), 0), COALESCE(SUM(h.prints), 0) FROM folded f JOIN head h USING (nik)"
    ).fetchone()
    identities = residents - folded[1] + folded[0]
    return Counts(
        events=one("SELECT SUM(durable_seq) FROM epoch WHERE node <> ?", HUB_NODE),
        hub_events=one("SELECT SUM(durable_seq) FROM epoch WHERE node = ?", HUB_NODE),
        frames=one("SELECT COUNT(*) FROM frame WHERE node <> ?", HUB_NODE),
        residents=residents,
        claims=claims,
        duplicates=claims - identities,
        cards=prints - folded[3] + folded[2],
        cases_open=one("SELECT COUNT(*) FROM resident_case WHERE is_open"),
        cases=one("SELECT COUNT(*) FROM resident_case"),
        quarantined=one("SELECT COUNT(*) FROM quarantine"),
        parked=one("SELECT COUNT(*) FROM parked"),
        nodes=one("SELECT COUNT(*) FROM node"),
    )


def as_json(found: Counts) -> dict[str, int]:
    """The counts as a document."""
    return asdict(found)


def nodes(connection: Connection, *, now_ms: int) -> list[NodeRow]:
    """Every node that was ever enrolled, by name."""
    rows = connection.execute(
        "SELECT n.node, COALESCE(n.epoch, e.epoch), COALESCE(e.durable_seq, 0),"
        " (SELECT COALESCE(SUM(durable_seq), 0) FROM epoch WHERE node = n.node),"
        " n.last_seen_ms, n.told_seq, n.via, n.clock_skew_ms, n.software, n.revoked_ms, n.forked_ms,"
        " EXISTS (SELECT 1 FROM quarantine q WHERE q.node = n.node),"
        " EXISTS (SELECT 1 FROM quarantine q WHERE q.node = n.node AND q.reason = 'fork')"
        " FROM node n LEFT JOIN epoch e ON e.node = n.node AND e.epoch = COALESCE(n.epoch,"
        " (SELECT epoch FROM epoch WHERE node = n.node ORDER BY last_seen_ms DESC, epoch LIMIT 1)) ORDER BY n.node"
    )
    found = []
    for (
        node, epoch, durable, events, seen_ms, told, via, skew, software, revoked_ms, forked_ms, held, branch
    ) in rows:  # fmt: skip
        flags = {
            "revoked": revoked_ms is not None,
            "fork": bool(branch) or (forked_ms is not None and now_ms - forked_ms < FORK_SHOWN_MS),
            "clock_ahead": skew is not None and skew > AHEAD_MS_MAX,
            "clock_behind": skew is not None and skew < -AHEAD_MS_MAX,
            "quarantine": bool(held),
            "silent": seen_ms is not None and now_ms - seen_ms > SILENT_MS,
        }
        found.append(
            NodeRow(
                node=node,
                epoch="" if epoch is None else bytes(epoch).hex(),
                durable_seq=durable,
                events=events,
                last_seen_ms=seen_ms,
                lag_events=max(told - durable, 0),
                link=via,
                clock_skew_ms=skew,
                software=software,
                flags=tuple(flag for flag, is_set in flags.items() if is_set),
            )
        )
    return found


def products(connection: Connection) -> dict[str, dict[str, int]]:
    """Per product: how many were recorded, and how many attempts stand in each card state.

    Reads the whole log, about a second for 200,000 events: for a report, not for a dashboard.
    """
    recorded: Counter[str] = Counter()
    states: dict[tuple[int, str, int, str], int] = {}
    for logged in log.all_frames(connection):
        for event in log.events_in(logged):
            if event.kind not in (Kind.RECORDED, Kind.CARD_MOVED):
                continue
            try:
                body = body_of(event.kind, event.body)
            except PeerProtocolError:
                continue  # Parked.
            if isinstance(body, event_pb2.Recorded):
                recorded[body.product] += 1
            elif isinstance(body, event_pb2.CardMoved):
                key = (event.nik, body.product, body.issue, body.attempt)
                states[key] = max(states.get(key, 0), body.state)
    result: dict[str, dict[str, Any]] = {}
    for product in sorted({*recorded, *(key[1] for key in states)}):
        result[product] = {"recorded": recorded[product]}
    for (_, product, _, _), state in sorted(states.items()):
        name = state_name(state)
        result[product][name] = result[product].get(name, 0) + 1
    return result
