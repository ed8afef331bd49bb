"""The right to print one issue of one document: one holder at a time, and a fence that rises as it moves.

Who holds a right that never moved: the *home machine*, the first machine of the kecamatan that the NIK begins
with, at fence 0. It prints its own roll offline and asks nobody. It cannot be one right for a whole office,
because two machines of an office that is cut off would each print; the others of its office ask like everybody.
An office whose machine ``-1`` is not enrolled is spoken for by its lowest number, and as that may change, its
right is written down when it asks. So:

=====================================================  ==================================================
the claimant                                           gets
=====================================================  ==================================================
is not enrolled, or shut out                           ``unknown_node``, ``revoked``
asks for a NIK in an open conflict of identities       ``nik_conflict``
asks for an issue of which a card is out               ``already_printed``, and who printed it
asks for an issue that another machine has in hand     ``held``: a job is sent or in doubt
holds the right                                        granted, same fence
asks while another machine holds it                    ``held``
asks while nobody holds it (given back, or no home     granted; the right moves to it, fence + 1
machine is enrolled)
=====================================================  ==================================================

So while rights are respected no issue has two holders that may print, line or no line: a right leaves a machine
only when that machine gives it back. What this costs: a resident whose home machine is silent for long waits, or a
supervisor prints by override, which the fence and the ``double_print`` case make visible.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.merge import log, project, registry
from sepe import card, case
from sepe.codec import Columns
from sepe.errors import PeerProtocolError
from sepe.events import Draft, Kind, body_of, draft
from sepe.ids import HUB_NODE
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

FENCE_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hub says to a claim or a return.

    Attributes:
        holder: who holds the right after this answer; ``""`` nobody.
        moves: whether a RIGHT_MOVED event must be written for it.
    """

    granted: bool
    holder: str
    fence: int
    reason: str
    moves: bool = False

    def draft(self, nik: int, product: str, issue: int) -> Draft:
        """The event that makes the answer true."""
        body = event_pb2.RightMoved(
            product=product, issue=issue, holder=self.holder, fence=self.fence, reason=self.reason
        )
        return draft(Kind.RIGHT_MOVED, nik, body)


def home_machine(connection: Connection, nik: int) -> str:
    """The machine that holds the rights of this NIK's roll beforehand; ``""`` when none is enrolled there."""
    kecamatan = f"{nik // 10**10:06}"
    machines = connection.execute(
        "SELECT DISTINCT node FROM key WHERE node > ? AND node < ? AND revoked_ms IS NULL",
        (f"{kecamatan}-", f"{kecamatan}."),  # The full stop follows the hyphen in ASCII.
    ).fetchall()
    return min((node for (node,) in machines), key=lambda node: int(node[7:]), default="")


def holder_of(connection: Connection, nik: int, product: str, issue: int) -> tuple[str, int]:
    """(holder, fence) now; the holder is ``""`` when nobody holds it."""
    row = connection.execute(
        "SELECT holder, fence FROM print_right WHERE nik = ? AND product = ? AND issue = ?", (nik, product, issue)
    ).fetchone()
    if row is not None:
        return str(row[0]), int(row[1])
    return home_machine(connection, nik), 0


def decide_claim(connection: Connection, nik: int, product: str, issue: int, node: str) -> Answer:
    """The answer to a claim, by the table above; inside a write transaction."""
    refusal = _stranger(connection, node)
    if refusal:
        return Answer(False, "", 0, refusal)
    holder, fence = holder_of(connection, nik, product, issue)
    resident = project.fold_events(log.events_of(connection, [nik])[nik])
    if case.is_on_hold(resident):
        return Answer(False, holder, fence, "nik_conflict")
    for found in card.issues_of(resident):
        if (found.product, found.issue) != (product, issue):
            continue
        if found.valid is not None:
            return Answer(False, found.valid.first.node, found.valid.fence, "already_printed")
        for attempt in found.attempts:
            in_hand = attempt.state in (card.SENT, card.IN_DOUBT)
            if in_hand and attempt.first.node != node:
                return Answer(False, attempt.first.node, attempt.fence, "held")
    if holder == node:
        # Only machine 1 may lean on a right that is written nowhere.
        is_implied = fence == 0 and not node.endswith("-1")
        return Answer(True, node, fence + is_implied, "", moves=is_implied)
    if holder:
        return Answer(False, holder, fence, "held")
    return Answer(True, node, fence + 1, "", moves=True)


def decide_return(connection: Connection, nik: int, product: str, issue: int, node: str, *, fence: int) -> Answer:
    """The answer to a return; giving back what one gave back already is answered the same way again."""
    holder, held_fence = holder_of(connection, nik, product, issue)
    if not holder and held_fence == fence + 1:
        return Answer(True, "", held_fence, "")
    if holder != node:
        return Answer(False, holder, held_fence, "not_holder")
    if fence != held_fence:
        return Answer(False, holder, held_fence, "stale_fence")
    return Answer(True, "", held_fence + 1, "returned", moves=True)


def apply_frame(connection: Connection, columns: Columns, start: int, table: str = "print_right") -> None:
    """Fold the moved rights of a hub's frame, in any order: the highest fence stands, ties go by stamp."""
    for index in range(start, len(columns)):
        if columns.kinds[index] != Kind.RIGHT_MOVED:
            continue
        try:
            moved = body_of(columns.kinds[index], columns.bodies[index])
        except PeerProtocolError:
            continue  # Parked with its reason.
        assert isinstance(moved, event_pb2.RightMoved)
        if moved.fence > FENCE_MAX:
            continue
        connection.execute(
            f"INSERT INTO {table} (nik, product, issue, holder, fence, stamp, reason) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET holder = excluded.holder, fence = excluded.fence, stamp = excluded.stamp,"
            " reason = excluded.reason WHERE (excluded.fence, excluded.stamp) > (fence, stamp)",
            (
                columns.niks[index], moved.product, moved.issue, moved.holder, moved.fence,
                min(columns.stamps[index], FENCE_MAX), moved.reason,
            ),
        )  # fmt: skip


def _stranger(connection: Connection, node: str) -> str:
    if node == HUB_NODE or not registry.is_enrolled(connection, node):
        known = connection.execute("SELECT 1 FROM node WHERE node = ?", (node,)).fetchone()
        return "revoked" if known else "unknown_node"
    return ""
