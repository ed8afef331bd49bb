"""A full examination of a node directory: everything that opening it only samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from node.attach.sealing import is_whole
from node.attach.shelf import REFUSED, Shelf
from node.desk.photos import photo_path
from node.desk.residents import altered_residents
from node.settings import KEY_NAME
from node.stock.shelf import Shelf as BlankShelf
from node.storage import damage
from node.storage.store import NodeStore
from sepe.errors import SepeError
from sepe.events import Kind, body_of
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import StorageDamagedError, translated, wal_is_safe

# So many damaged rows are named; a person needs to know where, not each of ten thousand.
DAMAGED_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One examined thing. ``detail`` says what was found, or what is wrong and what to do."""

    check: str
    is_ok: bool
    detail: str


def examine(store: NodeStore) -> list[Finding]:
    """All findings; nothing is changed."""
    checks: Iterable[tuple[str, Callable[[NodeStore], str]]] = (
        ("sqlite", _sqlite),
        ("database", _database),
        ("chain", _chain),
        ("residents", _residents),
        ("key", _key),
        ("photos", _photos),
        ("attachments", _attachments),
        ("prints", _prints),
        ("blanks", _blanks),
    )
    findings = []
    for name, check in checks:
        try:
            findings.append(Finding(name, True, check(store)))
        except SepeError as exc:
            findings.append(Finding(name, False, str(exc)))
    return findings


def _sqlite(store: NodeStore) -> str:
    version = store.connection.execute("SELECT sqlite_version()").fetchone()[0]
    mode = store.connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal" and not wal_is_safe():
        raise StorageDamagedError(f"SQLite {version} may lose commits in WAL mode; reinstall pysqlite3")
    return f"{version}, journal {mode}"


def _database(store: NodeStore) -> str:
    with translated():
        words = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)")]
    if words != ["ok"]:
        raise StorageDamagedError(f"{words[0]}; copy the directory away, then ask the centre for what it holds")
    return "ok"


def _chain(store: NodeStore) -> str:
    """Follow every epoch from the row after the last pruned one; name each row that is not what was written."""
    connection = store.connection
    place: damage.Place | None = damage.Place()
    known = {(one.number, one.seq): one.state for one in damage.damaged(connection)}
    found = {key: state for key, state in known.items() if state == damage.OPEN}
    with translated():
        while place is not None:
            number, faults, place = damage.look(connection, store.node, place)
            for fault in faults:
                for seq in range(fault.first_seq, fault.last_seq + 1):
                    found.setdefault((number, seq), known.get((number, seq), fault.kind.value))
        count = int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])
    left = sorted(seq for (_, seq), state in found.items() if state != damage.LOST)
    if left:
        shown = ", ".join(map(str, left[:DAMAGED_SHOWN])) + (" …" if len(left) > DAMAGED_SHOWN else "")
        raise StorageDamagedError(
            f"{len(left)} events are not what was written: seq {shown}; `sepe node run` asks the centre for them"
        )
    if lost := sum(state == damage.LOST for state in known.values()):
        raise StorageDamagedError(f"{lost} events were damaged before the centre had them; record them again")
    return f"{count} events in {len(store.epochs())} epochs"


def _residents(store: NodeStore) -> str:
    """What the desk knows of each resident is what its own events say."""
    if wrong := len(altered_residents(store)):
        raise StorageDamagedError(f"{wrong} residents are not as recorded; `sepe node run` makes them anew")
    return f"{store.connection.execute('SELECT count(*) FROM resident').fetchone()[0]} residents"


def _key(store: NodeStore) -> str:
    from sepe_io import keys

    return keys.load(store.folder / KEY_NAME).key_id.hex()


def _photos(store: NodeStore) -> str:
    """Every photo that a kept event names lies there, byte for byte, unless its time here was over."""
    count = 0
    retired = {row.sha256 for row in Shelf(store).all() if not row.has_plain and row.state != REFUSED}
    for epoch in store.epochs():
        for row in store.events_after(0, epoch):
            if row.kind != Kind.RECORDED:
                continue
            body = body_of(row.kind, row.body)
            assert isinstance(body, event_pb2.Recorded)
            sha256 = body.photo_sha256
            if not sha256 or sha256 in retired:
                continue
            count += 1
            try:
                data = photo_path(store.folder, sha256).read_bytes()
            except OSError as exc:
                raise StorageDamagedError(f"the photo of event {row.seq} is missing; take it again") from exc
            if hashlib.sha256(data).digest() != sha256:
                raise StorageDamagedError(f"the photo of event {row.seq} is damaged; take it again")
    return f"{count} photos"


def _attachments(store: NodeStore) -> str:
    """Every sealed file lies there, byte for byte, and none was refused."""
    rows = Shelf(store).all()
    for row in rows:
        if row.sealed_bytes and not is_whole(store.folder, row):
            raise StorageDamagedError(
                f"a sealed {row.kind} is missing or damaged; "
                + ("it is sealed again when it is sent" if row.has_plain else "take it again")
            )
    refused = [row for row in rows if row.state == REFUSED]
    if refused:
        raise StorageDamagedError(f"{len(refused)} attachments cannot be sent: {refused[0].reason}")
    return f"{len(rows)} attachments"


def _prints(store: NodeStore) -> str:
    """Every attempt that the printer may know has its event in the outbox, and no issue has two cards at once."""
    doubles = store.connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM job WHERE state NOT IN ('spoiled', 'void') "
        "GROUP BY nik, product, issue HAVING count(*) > 1)"
    ).fetchone()[0]
    silent = store.connection.execute(
        "SELECT count(*) FROM job WHERE announced = 0 AND state IN "
        "('reserved', 'submitted', 'in_doubt', 'printed', 'handed_over')"
    ).fetchone()[0]
    if doubles or silent:
        raise StorageDamagedError(
            f"{doubles} issues with two attempts at once, {silent} attempts without an event"
        )
    return f"{store.connection.execute('SELECT count(*) FROM job').fetchone()[0]} attempts"


def _blanks(store: NodeStore) -> str:
    """Every blank that a job holds is that job's, and the other way round; rows and books add up alike."""
    strays = store.connection.execute(
        "SELECT count(*) FROM blank LEFT JOIN job ON job.id = blank.job "
        "WHERE blank.state IN ('reserved', 'printed') "
        "AND (job.id IS NULL OR job.serial <> blank.serial OR job.product <> blank.product)"
    ).fetchone()[0]
    if strays:
        raise StorageDamagedError(f"{strays} blanks are booked to a job that does not have them")
    shelf = BlankShelf(store)
    if gaps := {product: one.gap for product in BLANK_PRODUCTS for one in shelf.sums(product).values() if one.gap}:
        shown = ", ".join(f"{product} {-gap:+d}" for product, gap in gaps.items())
        raise StorageDamagedError(f"rows and books of the blanks differ ({shown}); count them by hand")
    return f"{store.connection.execute('SELECT count(*) FROM blank').fetchone()[0]} blanks"
