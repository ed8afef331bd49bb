"""What an officer decides about rights: an office that is gone for good, and rights given beforehand.

Each decision is an event of the hub with its reason, so it is never undone silently and a rebuild finds it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.dispatch import feed
from hub.dispatch.book import entry_of_roll
from hub.dispatch.rights import Answer, RightClaim
from hub.merge import registry
from hub.merge.store import HubStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.ids import HUB_NODE, check_node
from sepe.rights import HOME_FENCE, Entry, taken_away
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection, transaction

REASON_CHARS_MAX = 1000
RIGHTS_PER_STEP = 500


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a machine that is gone held: how many rights of its own, and whether its kecamatan's whole roll."""

    rights: int
    roll: bool


def give_back_for(
    store: HubStore, node: str, *, roll_to: str, reason: str, officer: str, now_ms: int
) -> GivenBack:
    """Give back every right of a machine that is gone for good; done twice it changes nothing more.

    It must have been shut out before: whatever it still prints then is not taken in without a person's look, and
    the higher fence makes the other card the valid one.

    Args:
        roll_to: another machine of the same office that gets the roll; ``""``: whoever asks first gets each right.

    Raises:
        InvalidInputError: the machine may still send, ``roll_to`` is none of its office, or no reason is given.
    """
    check_node(node)
    _check_reason(reason)
    connection = store.connection
    if not connection.execute("SELECT 1 FROM node WHERE node = ?", (node,)).fetchone():
        raise InvalidInputError(
            "no such node was ever enrolled", field="NODE", value=node, hint="`sepe hub nodes DIR` lists them."
        )
    if registry.is_enrolled(connection, node):
        raise InvalidInputError(
            "rights are taken only from a machine that was shut out: it may be printing under them", field="NODE",
            value=node, hint=f"If it is gone for good: sepe hub revoke DIR {node}. Else wait until it lets go.",
        )  # fmt: skip
    if roll_to and (check_node(roll_to)[:6] != node[:6] or not registry.is_enrolled(connection, roll_to)):
        raise InvalidInputError(
            "the roll goes to an enrolled machine of the same office", field="--roll-to", value=roll_to
        )
    count = 0
    while True:
        rows = connection.execute(
            "SELECT nik, product, issue FROM print_right WHERE holder = ? LIMIT ?", (node, RIGHTS_PER_STEP)
        ).fetchall()
        if not rows:
            break
        with transaction(connection):
            desk = store.rights_desk(now_ms)
            for nik, product, issue in rows:
                desk.take_away(nik, product, issue, to="", reason=reason, officer=officer)
            store.append_in_transaction(desk.drafts, now_ms)
        count += len(rows)
    with transaction(connection):
        is_moved = _move_roll(store, node, roll_to=roll_to, reason=reason, officer=officer, now_ms=now_ms)
    return GivenBack(count, is_moved)


def assign(
    store: HubStore, node: str, rights: Iterable[tuple[int, str, int]], *, now_ms: int
) -> list[tuple[tuple[int, str, int], Answer]]:
    """Claim rights on behalf of a machine that will need them without a line; each with the answer.

    A right that another machine holds is asked for as by a claim; run it again later for those.

    Raises:
        InvalidInputError: the machine is not enrolled.
    """
    check_node(node)
    if not registry.is_enrolled(store.connection, node):
        raise InvalidInputError(
            "this machine is not enrolled, or was shut out", field="NODE", value=node,
            hint=f"sepe hub enrol DIR --node {node}",
        )  # fmt: skip
    wanted = list(rights)
    found: list[tuple[tuple[int, str, int], Answer]] = []
    for start in range(0, len(wanted), RIGHTS_PER_STEP):
        part = wanted[start : start + RIGHTS_PER_STEP]
        with transaction(store.connection):
            desk = store.rights_desk(now_ms)
            found += [(key, desk.assign(RightClaim(*key, node))) for key in part]
            store.append_in_transaction(desk.drafts, now_ms)
    return found


def _move_roll(store: HubStore, node: str, *, roll_to: str, reason: str, officer: str, now_ms: int) -> bool:
    connection, code = store.connection, node[:6]
    entry, is_written = _roll(connection, code)
    spoke = _lowest_ever(connection, code)
    if (entry.holder if is_written else spoke) != node:
        return False
    found = taken_away(entry, roll_to)
    if roll_to:
        # It must know what is not the roll's any more before it hears that it holds the rest.
        rows = connection.execute(
            "SELECT nik, product, issue, holder, fence FROM print_right WHERE nik >= ? AND nik < ?",
            (int(code) * 10**10, (int(code) + 1) * 10**10),
        ).fetchall()
        for nik, product, issue, holder, fence in rows:
            feed.tell_moved(connection, [roll_to], nik, product, issue, Entry(holder, fence))
    feed.tell_roll(connection, [node, roll_to], code, found)
    body = event_pb2.RollMoved(
        kecamatan_code=code, holder=found.holder, fence=found.fence, reason=reason, officer=officer
    )
    store.append_in_transaction([draft(Kind.ROLL_MOVED, 0, body)], now_ms)
    return True


def _roll(connection: Connection, code: str) -> tuple[Entry, bool]:
    entry = entry_of_roll(connection, int(code) * 10**10)
    row = connection.execute("SELECT 1 FROM roll_right WHERE kecamatan = ?", (int(code),)).fetchone()
    return (entry, True) if row else (Entry("", HOME_FENCE), False)


def _lowest_ever(connection: Connection, code: str) -> str:
    """Who spoke for the roll before anybody was shut out."""
    machines: Sequence[tuple[str]] = connection.execute(
        "SELECT DISTINCT node FROM key WHERE node > ? AND node < ? AND node <> ?",
        (f"{code}-", f"{code}.", HUB_NODE),
    ).fetchall()
    return min((node for (node,) in machines), key=lambda one: int(one[7:]), default="")


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise InvalidInputError(
            f"a decision needs a reason of at most {REASON_CHARS_MAX} characters", field="--reason", value=reason,
            hint="Say what happened to the machine, and who says so.",
        )  # fmt: skip
