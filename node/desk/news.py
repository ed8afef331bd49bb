"""What the centre said that people here should know: kept until they have read it.

Written in the transaction that takes the word in, so there is no word without its item and none twice
(`node.desk.headlines`). Bounded: items go after `KEEP_DAYS`, read or not, and the oldest beyond `ITEMS_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from typing import Any

from node.desk import headlines
from node.desk.headlines import Headline, Holding, Kind, Recall, Resident
from node.link.notes import ALARM_KEY
from node.printing.rights import Right, RightBook
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.rights import is_home
from sepe.rpc.v1 import rights_pb2
from sepe.serials import SerialSet, span_of

KEEP_DAYS = 60
ITEMS_MAX = 5_000
# A clock that is off by more is not what an item's time goes by.
SKEW_MS_MAX = 600_000
_COLUMNS = ", ".join(one.name for one in fields(Headline))
_MARKS = ", ".join("?" * len(fields(Headline)))


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news. Numbers rise and are never given twice."""

    number: int
    at_ms: int
    is_read: bool
    headline: Headline


def look(store: NodeStore, change: rights_pb2.Change) -> Any:
    """What this machine knows of the subject of a word, to be held against what it knows afterwards."""
    match change.WhichOneof("what"):
        case "standing":
            return _resident(store, change.nik)
        case "moved":
            return _holding(store, Right(change.nik, change.moved.product, change.moved.issue))
        case "roll":
            return _roll(store, change.roll.kecamatan_code)
        case "card":
            return _jobs(store, Right(change.nik, change.card.product, change.card.issue))
        case "blanks":
            return _on_way(store, change.blanks.product, change.blanks.from_node)
    return None


def note(store: NodeStore, change: rights_pb2.Change, before: Any, now_ms: int) -> None:
    """Keep what a word changed, in the transaction that took it in; ``before``: what `look` said before that."""
    add(store, _headlines(store, change, before, look(store, change)), now_ms)


def note_alarm(store: NodeStore, now_ms: int) -> None:
    """Keep the alarm that stands (`node.link.notes`), once; in the caller's transaction."""
    if text := store.get(ALARM_KEY):
        add(store, _if_new(store, Headline(Kind.ALARM, reason=text), says=True), now_ms)


def add(store: NodeStore, found: Iterable[Headline], now_ms: int) -> None:
    """Keep these items; in the caller's transaction or one of its own."""
    listed = list(found)
    if not listed:
        return
    skew_ms = store.clock().skew_ms
    at_ms = now_ms - skew_ms if abs(skew_ms) > SKEW_MS_MAX else now_ms
    with store.transaction():
        execute = store.connection.execute
        for one in listed:
            execute(f"INSERT INTO news (at_ms, {_COLUMNS}) VALUES (?, {_MARKS})", (at_ms, *_row(one)))
        execute("DELETE FROM news WHERE at_ms < ?", (at_ms - KEEP_DAYS * 86_400_000,))
        execute("DELETE FROM news WHERE number <= (SELECT max(number) FROM news) - ?", (ITEMS_MAX,))


def listing(store: NodeStore, limit: int) -> list[Item]:
    """The news, unread first, the latest of each first."""
    rows = store.connection.execute(
        f"SELECT number, at_ms, read_ms > 0, {_COLUMNS} FROM news ORDER BY read_ms > 0, number DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return [
        Item(number, at_ms, bool(is_read), Headline(Kind(kind), *rest))
        for number, at_ms, is_read, kind, *rest in rows
    ]


def unread(store: NodeStore) -> int:
    """How many items nobody has read."""
    return int(store.connection.execute("SELECT count(*) FROM news WHERE read_ms = 0").fetchone()[0])


def mark_read(store: NodeStore, numbers: Iterable[int], now_ms: int) -> None:
    """These were read. What came meanwhile stays unread."""
    with store.transaction():
        store.connection.executemany(
            "UPDATE news SET read_ms = ? WHERE number = ? AND read_ms = 0",
            [(max(now_ms, 1), number) for number in numbers],
        )


def _headlines(store: NodeStore, change: rights_pb2.Change, before: Any, after: Any) -> Iterable[Headline]:
    nik = change.nik
    match change.WhichOneof("what"):
        case "standing":
            yield from headlines.of_resident(nik, change.standing, before, after)
        case "moved":
            yield from headlines.of_right(nik, change.moved, store.node, before, after)
        case "roll" if after != before:
            yield Headline(Kind.ROLL_MOVED, serial=change.roll.kecamatan_code, node=change.roll.holder)
        case "card" if after > before:
            order = change.card
            yield Headline(
                Kind.CARD_CAME, nik, order.product, order.issue, node=order.from_node, reason=order.reason
            )
        case "blanks":
            yield from headlines.of_blanks(change.blanks, before, after)
        case "bring":
            wish = change.bring
            yield from _if_new(
                store,
                Headline(
                    Kind.BLANKS_WANTED, product=wish.product, node=wish.to_node, count=wish.count,
                    until_ms=wish.until_ms, reason=wish.reason,
                ),
                says=wish.count > 0,
            )  # fmt: skip


def _if_new(store: NodeStore, one: Headline, *, says: bool) -> Iterable[Headline]:
    """An item unless it says what the last of its kind on its subject said.

    For words of which this machine keeps no copy as they came.

    Args:
        says: whether it says that something is; the first that says that nothing is, is no news.
    """
    row = store.connection.execute(
        f"SELECT {_COLUMNS} FROM news WHERE kind = ? AND nik = ? AND product = ? AND node = ? "
        "ORDER BY number DESC LIMIT 1",
        (str(one.kind), one.nik, one.product, one.node),
    ).fetchone()
    is_known = not says if row is None else tuple(row) == _row(one)
    if not is_known:
        yield one


def _row(one: Headline) -> tuple[Any, ...]:
    return (str(one.kind), *astuple(one)[1:])


def _resident(store: NodeStore, nik: int) -> Resident:
    execute = store.connection.execute
    row = execute("SELECT on_hold, life, keep, reason, replaced_by FROM standing WHERE nik = ?", (nik,)).fetchone()
    on_hold, life, keep, reason, replaced_by = row or (0, 0, b"", "", 0)
    recalls = execute(
        "SELECT product, issue, attempt, serial, reason FROM recall WHERE nik = ? AND substr(node, 1, 6) = ?",
        (nik, store.node[:6]),
    ).fetchall()
    mine = execute("SELECT identity FROM resident WHERE nik = ?", (nik,)).fetchone()
    taken = execute("SELECT DISTINCT product FROM old_card WHERE nik = ?", (nik,)).fetchall()
    return Resident(
        bool(on_hold), life, bytes(keep), reason, frozenset(Recall(*one) for one in recalls), replaced_by,
        bytes(mine[0]) if mine else b"", frozenset(product for (product,) in taken),
    )  # fmt: skip


def _holding(store: NodeStore, right: Right) -> Holding:
    grip = RightBook(store).grip(right)
    states = store.connection.execute(
        "SELECT state FROM job WHERE nik = ? AND product = ? AND issue = ?", right
    ).fetchall()
    row = store.connection.execute(
        "SELECT held FROM print_right WHERE nik = ? AND product = ? AND issue = ?", right
    ).fetchone()
    is_ours = is_home(right.nik, store.node) or bool(row and row[0] >= 0)
    return Holding(
        is_ours, grip.fence is not None, bool(states), any(state == "waiting_right" for (state,) in states),
        grip.let_go,
    )  # fmt: skip


def _roll(store: NodeStore, kecamatan_code: str) -> str:
    row = store.connection.execute(
        "SELECT holder FROM roll_right WHERE kecamatan = ?", (kecamatan_code,)
    ).fetchone()
    return str(row[0]) if row else ""


def _jobs(store: NodeStore, right: Right) -> int:
    row = store.connection.execute(
        "SELECT count(*) FROM job WHERE nik = ? AND product = ? AND issue = ?", right
    ).fetchone()
    return int(row[0])


def _on_way(store: NodeStore, product: str, sender: str) -> SerialSet:
    found = SerialSet()
    rows = store.connection.execute(
        "SELECT first, last FROM blanks_on_way WHERE product = ? AND from_node = ?", (product, sender)
    )
    for first, last in rows.fetchall():
        with suppress(InvalidInputError):  # A centre of another version.
            found.add(*span_of(first, last))
    return found
