"""Whether a resident lives here: the furthest of alive < moved < dead that was said with authority.

A death or a court's word from an office that never recorded the resident may be a mistyped number, and would end
somebody else's life. It changes nothing until an officer accepts it: a `LIFE_ELSEWHERE` case.
"""

from __future__ import annotations

from sepe.ids import HUB_NODE, kecamatan_of
from sepe.resident import LifeChange, Resident
from sepe.wire.v1 import event_pb2

LIFE_ELSEWHERE = "life_elsewhere"


def life_of(resident: Resident) -> int:
    """A ``LifeState``: the furthest of alive < moved < dead that was said since the last court order.

    A court order sets the state whatever it was, so a wrong death can be undone.
    """
    if not resident.life:
        return int(event_pb2.LIFE_STATE_ALIVE)
    changes = [change for change in resident.life if counts(resident, change)]
    orders = [change for change in changes if change.court_order]
    base = max(orders) if orders else None
    said = [int(event_pb2.LIFE_STATE_ALIVE)] if base is None else [base.state]
    said += [
        change.state
        for change in changes
        if not change.court_order and (base is None or change.version > base.version)
    ]
    return max(said)


def counts(resident: Resident, change: LifeChange) -> bool:
    """Whether this word takes effect: its office knows the resident, or an officer accepted it."""
    if not needs_officer(resident, change):
        return True
    words = [
        one
        for one in resident.decisions
        if one.case_kind == LIFE_ELSEWHERE and change.version.event_id in one.seen
    ]
    return bool(words) and max(words).keep == change.version.event_id


def needs_officer(resident: Resident, change: LifeChange) -> bool:
    """Whether this word came from an office that never recorded the resident."""
    if not change.court_order and change.state != event_pb2.LIFE_STATE_DEAD:
        return False
    if change.version.node == HUB_NODE:
        return False
    office = kecamatan_of(change.version.node)
    return all(kecamatan_of(claim.version.node) != office for claim in resident.claims)


def is_decided(resident: Resident, change: LifeChange) -> bool:
    """Whether an officer accepted or refused it."""
    return any(
        one.case_kind == LIFE_ELSEWHERE and change.version.event_id in one.seen for one in resident.decisions
    )
