"""What the centre has to tell an office machine: one list per machine, read by `sepe.rpc.v1.Rights.Changes`.

Each row is the newest word on one subject: a newer one takes its place under a higher number. So the list of a
machine that is silent for a month does not grow beyond its subjects, and a machine that lost its place reads
everything once more. Every word says how things are and not what changed, so hearing it twice does nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hub.dispatch.moves import BlanksOrder
from sepe import card
from sepe.claims import claims_of
from sepe.life import life_of
from sepe.replaced import replaced_by as replaced_by_of
from sepe.resident import Resident
from sepe.rights import Entry
from sepe.rpc.v1 import rights_pb2
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

CHANGES_MAX = 500
MOVED, LET_GO, STANDING, ROLL, CARD = "moved", "let_go", "standing", "roll", "card"
BLANKS, BRING = "blanks", "bring"


@dataclass(frozen=True, slots=True)
class News:
    """A part of one machine's list: changes in order, where to go on, and whether more wait."""

    changes: list[rights_pb2.Change]
    last: int
    more: bool


def tell(  # noqa: PLR0917 - the columns of a row
    connection: Connection, node: str, kind: str, nik: int, product: str, issue: int, body: rights_pb2.Change
) -> bool:
    """Put a word on a machine's list unless it says what the last one on its subject said; whether it is new."""
    data = body.SerializeToString(deterministic=True)
    subject = (node, kind, nik, product, issue)
    row = connection.execute(
        "SELECT body FROM feed WHERE node = ? AND kind = ? AND nik = ? AND product = ? AND issue = ?", subject
    ).fetchone()
    if row is not None and bytes(row[0]) == data:
        return False
    connection.execute(
        "INSERT OR REPLACE INTO feed (node, kind, nik, product, issue, body) VALUES (?, ?, ?, ?, ?, ?)",
        (*subject, data),
    )
    return True


def tell_moved(  # noqa: PLR0917 - the parts of a right
    connection: Connection, nodes: Iterable[str], nik: int, product: str, issue: int, entry: Entry
) -> None:
    """Say who holds a right now. What a machine was asked about it before is answered by that."""
    right = rights_pb2.Right(product=product, issue=issue, holder=entry.holder, fence=entry.fence)
    for node in sorted(set(nodes) - {""}):
        tell(connection, node, MOVED, nik, product, issue, rights_pb2.Change(moved=right))
        for answered in (LET_GO,) if node == entry.holder else (LET_GO, CARD):
            connection.execute(
                "DELETE FROM feed WHERE node = ? AND kind = ? AND nik = ? AND product = ? AND issue = ?",
                (node, answered, nik, product, issue),
            )


def ask_to_let_go(
    connection: Connection, entry: Entry, nik: int, product: str, issue: int, *, asked_by: str,
    decided_until_ms: int = 0,
) -> None:  # fmt: skip
    """Ask the holder of a right for it.

    Args:
        decided_until_ms: an officer decided so, and until then it counts; 0: nobody did.
    """
    question = rights_pb2.LetGo(
        product=product, issue=issue, fence=entry.fence, asked_by=asked_by, decided_until_ms=decided_until_ms
    )
    tell(connection, entry.holder, LET_GO, nik, product, issue, rights_pb2.Change(let_go=question))


def tell_card(
    connection: Connection, node: str, nik: int, product: str, issue: int, *, from_node: str, reason: str,
    by_decision: bool = False,
) -> None:  # fmt: skip
    """Have a card printed by the machine that holds its right now, or that recorded whom an officer kept.

    What is to be printed is put in when the list is read (`hub.dispatch.orders`), so the list holds nothing of the
    resident that the log does not hold, and says what is known then.
    """
    order = rights_pb2.CardOrder(
        product=product, issue=issue, from_node=from_node, reason=reason, by_decision=by_decision
    )
    tell(connection, node, CARD, nik, product, issue, rights_pb2.Change(card=order))


def take_back_orders(connection: Connection, nik: int, still: Collection[tuple[str, str, int]]) -> None:
    """Forget the orders by a decision on this NIK that nobody owes any more; ``still``: (machine, product, issue).

    An order that becomes due again, as the officer decided anew, is new then: `tell` skips what says the same.
    """
    rows = connection.execute(
        "SELECT node, product, issue, body FROM feed WHERE kind = ? AND nik = ?", (CARD, nik)
    ).fetchall()
    for node, product, issue, body in rows:
        if (node, product, issue) not in still and rights_pb2.Change.FromString(body).card.by_decision:
            connection.execute(
                "DELETE FROM feed WHERE node = ? AND kind = ? AND nik = ? AND product = ? AND issue = ?",
                (node, CARD, nik, product, issue),
            )


def want_blanks(connection: Connection, order: BlanksOrder) -> None:
    """Have a machine bring blanks to another; the newest word on each pair of machines counts."""
    said = rights_pb2.BlanksWanted(
        product=order.product, count=order.count, to_node=order.to_node, until_ms=order.until_ms,
        reason=order.reason,
    )  # fmt: skip
    number = subject_of(order.to_node)
    tell(connection, order.from_node, BRING, number, order.product, 0, rights_pb2.Change(bring=said))


def subject_of(node: str) -> int:
    """A machine as a number, where other words have a NIK: 537104-1 is 5371040001."""
    kecamatan, _, machine = node.partition("-")
    return int(kecamatan) * 10_000 + int(machine) if machine else 0


def tell_roll(connection: Connection, nodes: Iterable[str], kecamatan_code: str, entry: Entry) -> None:
    """Say who holds a kecamatan's roll; the code stands where other words have a NIK."""
    right = rights_pb2.RollRight(kecamatan_code=kecamatan_code, holder=entry.holder, fence=entry.fence)
    for node in sorted(set(nodes) - {""}):
        tell(connection, node, ROLL, int(kecamatan_code), "", 0, rights_pb2.Change(roll=right))


def tell_standing(
    connection: Connection, nik: int, resident: Resident, others: Iterable[str], *, replaced_by: int = 0
) -> None:
    """Say what decides over a resident's cards, to every machine that has to do with him and to ``others``.

    Who is alive, undisputed and has no card to be collected is not worth a word, unless there was another one.
    """
    standing = standing_of(resident)
    standing.replaced_by = replaced_by or replaced_by_of(resident)
    nodes = {claim.version.node for claim in resident.claims} | {step.version.node for step in resident.steps}
    told = {
        node for (node,) in connection.execute("SELECT node FROM feed WHERE kind = ? AND nik = ?", (STANDING, nik))
    }
    is_plain = standing == rights_pb2.Standing(life=event_pb2.LIFE_STATE_ALIVE)
    for node in sorted((told if is_plain else nodes | told | set(others)) - {""}):
        tell(connection, node, STANDING, nik, "", 0, rights_pb2.Change(standing=standing))


def standing_of(resident: Resident) -> rights_pb2.Standing:
    """What of a record decides over cards."""
    claims = claims_of(resident)
    found = rights_pb2.Standing(on_hold=claims.is_on_hold, life=event_pb2.LifeState.ValueType(life_of(resident)))
    standing = claims.standing
    if standing is not None and not claims.is_on_hold and len(set(claims.number.values())) > 1:
        # An officer decided, or an office corrected itself: what stays, and what else was ever claimed.
        found.settled.extend(sorted({key for claim in claims.known.values() for key in claim.keys}))
        found.kept.extend(
            sorted({key for claim in claims.known.values() if claims.agree(claim, standing) for key in claim.keys})
        )
        found.keep = standing.keys[0]
        found.reason = claims.decision.reason if claims.decision is not None else ""
    for issue, attempt, reason in card.to_collect(resident):
        found.recalls.add(
            product=issue.product, issue=issue.issue, attempt=attempt.attempt, serial=attempt.serial,
            node=attempt.node, reason=reason,
        )  # fmt: skip
    return found


def list_id(connection: Connection) -> bytes:
    """Names this hub's lists: another one after a restore, so that every machine reads its list from the start."""
    return bytes(connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()[0])


def news(connection: Connection, node: str, feed: bytes, after: int, limit: int = CHANGES_MAX) -> News:
    """What a machine has not heard yet, from the start when it counts in another list."""
    start = after if feed == list_id(connection) else 0
    rows = connection.execute(
        "SELECT number, nik, body FROM feed WHERE node = ? AND number > ? ORDER BY number LIMIT ?",
        (node, start, limit + 1),
    ).fetchall()
    changes = []
    for number, nik, body in rows[:limit]:
        change = rights_pb2.Change.FromString(body)
        change.number, change.nik = number, nik
        changes.append(change)
    return News(changes, changes[-1].number if changes else start, len(rows) > limit)


def last_number(connection: Connection) -> int:
    """The highest number given so far."""
    return int(connection.execute("SELECT COALESCE(MAX(number), 0) FROM feed").fetchone()[0])


def nodes_with_news(connection: Connection, after: int) -> set[str]:
    """Machines to which something was said since."""
    rows = connection.execute("SELECT DISTINCT node FROM feed WHERE number > ?", (after,))
    return {node for (node,) in rows}
