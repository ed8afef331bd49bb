"""Recording: lines in, one durable transaction per batch, one answer per line.

A line is parsed before the write lock is taken. Then event, projection and print job of all lines of the batch
commit together; an answer that says ``ok`` is given only after that commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from node.attach.sealing import seal_waiting
from node.attach.shelf import Shelf
from node.desk.day import day_of, seen_ms
from node.desk.lines import InputLine
from node.desk.photos import Taken, take_file
from node.desk.plan import Known, Planned, Wanted, plan
from node.desk.standing import DISPUTED, UNKNOWN, Standing, standing_of
from node.printing.batches import Batches
from node.printing.door import Door
from node.printing.job import NewJob
from node.printing.ledger import Ledger
from node.printing.queue import PolicyFile
from node.printing.spool import Fact, JobState, facts_of
from node.storage.position import Tail
from node.storage.store import NodeStore
from sepe.attach import KINDS
from sepe.errors import InvalidInputError, SepeError, TransientError
from sepe.ids import EventId
from sepe.nik import Nik
from sepe.products import PRODUCTS, SUBSTITUTES
from sepe.recording import BATCH, Recording, parse_line, parse_recording
from sepe.region import RegionTable
from sepe.wire.v1 import event_pb2

REFUSED = "refused"
NOT_STORED = "not_stored"
# json.dumps would make an encoder for each line.
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class LineResult:
    """The answer to one line; `to_json` is what ``node record`` prints."""

    line: int
    ok: bool
    event: str | None
    nik: str | None
    status: str
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> str:
        return _encode(
            {
                "line": self.line, "ok": self.ok, "event": self.event, "nik": self.nik, "status": self.status,
                "warnings": self.warnings, "error": self.error,
            }
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Parsed:
    line: int
    recording: Recording
    warnings: tuple[str, ...]
    files: tuple[Taken, ...]

    @property
    def attached(self) -> dict[str, bytes]:
        return {file.kind: file.sha256 for file in self.files}


class _OtherDayError(Exception):
    """The office's day is another one than the lines were read by."""


class Desk:
    """The recording desk of one office machine.

    Args:
        regions: for warnings on region codes; ``None`` leaves them out.
        photo_base: what a relative photo path in a line is relative to.
    """

    def __init__(self, store: NodeStore, *, regions: RegionTable | None, photo_base: Path) -> None:
        self._store = store
        self._ledger = Ledger(store)
        self._policy = PolicyFile(store.folder, store.node)
        self._door = Door(store, self._policy)
        self._regions = regions
        self._photo_base = photo_base
        self._seen: Tail | None = None

    def record(self, lines: Sequence[InputLine], now_ms: int) -> list[LineResult]:
        """Record a batch in one transaction; the answers are in the order of the lines.

        A line that cannot be accepted is refused by itself. When the commit fails, every line of the batch is
        answered with that error and nothing of the batch is stored.
        """
        # The day by the end of the outbox as last seen. What it is now is read once, under the lock; if that makes
        # another day of it, nothing was written and the lines are read again by that.
        today = self._day(self._seen or self._store.tail(), now_ms)
        answers: dict[int, LineResult] = {}
        parsed: list[_Parsed] = []
        for line in lines:
            try:
                parsed.append(self._parse(line, today))
            except SepeError as exc:
                answers[line.number] = refused(line, exc)
        try:
            if not parsed:
                self._check_day(today, now_ms)
            else:
                with self._store.transaction():
                    answers.update(self._commit(parsed, now_ms, today))
        except _OtherDayError:
            return self.record(lines, now_ms)
        except SepeError as exc:
            answers.update({one.line: _not_stored(one, exc) for one in parsed})
        if any(one.files for one in parsed):
            # What cannot be sealed now, for want of a key or of disk, is sealed by the running node.
            with suppress(SepeError):
                seal_waiting(self._store, limit=len(parsed))
        return [answers[line.number] for line in lines]

    def _day(self, tail: Tail, now_ms: int) -> date:
        return day_of(seen_ms(now_ms, hub_ms=tail.hub_ms, last_stamp=tail.last_stamp), self._store.node)

    def _check_day(self, today: date, now_ms: int) -> Tail:
        """The end of the outbox, if by it this is ``today``; in the transaction that appends it is the end."""
        self._seen = tail = self._store.tail()
        if self._day(tail, now_ms) != today:
            raise _OtherDayError
        return tail

    def _parse(self, line: InputLine, today: date) -> _Parsed:
        recording, warnings = parse_recording(parse_line(line.data), today=today, regions=self._regions)
        if recording.product in SUBSTITUTES:
            check_substitute(recording.product, self._policy.read().substitute)
        files = tuple(
            take_file(self._photo_base / path, self._store.folder, kind)
            for kind in KINDS
            if (path := getattr(recording, kind))
        )
        return _Parsed(line.number, recording, warnings, files)

    def _commit(self, parsed: list[_Parsed], now_ms: int, today: date) -> Iterable[tuple[int, LineResult]]:
        office = self._store.node if self._policy.read().wants_complete else ""
        residents = _Residents(self._store)
        answers: list[tuple[int, LineResult]] = []
        accepted: list[tuple[_Parsed, Planned]] = []
        for one in parsed:
            nik = one.recording.nik.number
            known, wanted = residents.of(nik)
            try:
                planned = plan(
                    one.recording, known, wanted, attached=one.attached, now_ms=now_ms, today=today,
                    first_day=None if known is None else day_of(known.first_ms, self._store.node),
                    standing=residents.standing(nik), office=office,
                )  # fmt: skip
            except InvalidInputError as exc:
                answers.append((one.line, _not_stored(one, exc)))
                continue
            if planned.disputes:
                residents.dispute(nik)
                self._hold(nik, now_ms)
            residents.put(nik, planned)
            accepted.append((one, planned))
        tail = self._check_day(today, now_ms)
        events = self._store.append([planned.draft for _, planned in accepted], now_ms, tail)
        shelf = Shelf(self._store)
        for one, _ in accepted:
            for file in one.files:
                shelf.add(file.sha256, file.kind, file.size, now_ms)
        residents.save()
        jobs = [
            (residents.held_back(planned.job), event.seq)
            for (_, planned), event in zip(accepted, events, strict=True)
            if planned.job is not None
        ]
        for (one, planned), event in zip(accepted, events, strict=True):
            if planned.changes:
                self._renew(one.recording.nik.number, event, planned)
        self._ledger.add(jobs, now_ms, today.isoformat())
        for nik in residents.waiting(one.recording.nik.number for one, _ in accepted):
            self._door.look_again(nik, now_ms=now_ms)
        in_batches = self._into_batches(accepted, now_ms)
        tally(self._store, today, [(one.recording.product, planned.status) for one, planned in accepted])
        for (one, planned), event in zip(accepted, events, strict=True):
            warnings = planned.warnings + one.warnings + in_batches.get(one.line, ())
            nik_text = one.recording.nik.value
            answers.append((one.line, LineResult(one.line, True, str(event), nik_text, planned.status, warnings)))
        return answers

    def _renew(self, nik: int, event: EventId, planned: Planned) -> None:
        """What was asked for before the change and is not at a printer yet bears the new identity."""
        body = event_pb2.Recorded.FromString(planned.known.known)
        for job in self._ledger.of_resident(nik):
            if Fact.WITHDRAWN in facts_of(job.state):
                body.product, body.issue = job.product, job.issue
                self._ledger.say(
                    job.id, body, event_pb2.EventRef(node=event.node, epoch=event.epoch, seq=event.seq)
                )

    def _into_batches(
        self, accepted: Sequence[tuple[_Parsed, Planned]], now_ms: int
    ) -> dict[int, tuple[str, ...]]:
        """Put the cards of people who were recorded into a batch there; what to say of it, by line."""
        named = [(one, planned) for one, planned in accepted if BATCH in one.recording.extra]
        if not named:
            return {}
        batches = Batches(self._store)
        batches.collect(
            [
                (one.recording.extra[BATCH], planned.job.nik, planned.job.product, planned.job.issue)
                for one, planned in named
                if planned.job is not None
            ],
            now_ms,
        )
        held = batches.held()
        return {
            one.line: (batch_words(one.recording.extra[BATCH], held, is_new=planned.job is not None),)
            for one, planned in named
            if PRODUCTS[one.recording.product].prints
        }

    def _hold(self, nik: int, now_ms: int) -> None:
        for job in self._ledger.of_resident(nik):
            if Fact.DISPUTED in facts_of(job.state):
                self._ledger.settle(job.id, Fact.DISPUTED, now_ms=now_ms, reason=DISPUTED)


def batch_words(name: str, held: Collection[str], *, is_new: bool) -> str:
    """What the operator is told of a card that was asked for in a batch."""
    if not is_new:
        return f"Dokumen yang sudah diminta sebelumnya tidak dipindah ke kelompok {name}: sepe node batch DIR"
    if name in held:
        return f"Dicetak setelah kelompok {name} dilepas: sepe node batch DIR {name} --release"
    return f"Kelompok {name} sudah dilepas; kartu dicetak menurut antrean"


def record_line(
    store: NodeStore, line: bytes, *, regions: RegionTable | None, base: Path, now_ms: int
) -> LineResult:
    """Record one line in a transaction of its own."""
    return Desk(store, regions=regions, photo_base=base).record([InputLine(1, line)], now_ms)[0]


def check_substitute(product: str, valid: str) -> None:
    """Only the paper that counts at this election stands in for a card; ``valid`` is ``""`` where both are made.

    Raises:
        InvalidInputError: it is the other one.
    """
    if valid not in ("", product):
        raise InvalidInputError(
            f"pengganti KTP-el pada pemilu ini adalah '{valid}'", field="product", value=product,
            hint="Rekam dengan pengganti itu; yang berlaku diatur supervisor di queue.toml (substitute)",
        )  # fmt: skip


def refused(line: InputLine, exc: SepeError) -> LineResult:
    """The answer to a line that was not understood; the NIK is named only when the line has a possible one."""
    return LineResult(line.number, False, None, _nik_of(line.data), _status(exc), (), str(exc))


def tally(store: NodeStore, day: date, recorded: Iterable[tuple[str, str]]) -> None:
    """Count (product, status) of a day, in the caller's transaction."""
    counts: dict[tuple[str, str], int] = {}  # A Counter of one takes longer than the statement.
    for key in recorded:
        counts[key] = counts.get(key, 0) + 1
    store.connection.executemany(
        "INSERT INTO tally VALUES (?, ?, ?, ?) "
        "ON CONFLICT (day, product, status) DO UPDATE SET count = count + excluded.count",
        [(day.isoformat(), *key, count) for key, count in counts.items()],
    )


class _Residents:
    """The residents of one batch: read once, changed in memory, written once."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._connection = store.connection
        self._disputed: set[int] = set()
        self._known: dict[int, Known | None] = {}
        self._wanted: dict[int, list[Wanted]] = {}
        self._before: dict[int, tuple[Wanted, ...]] = {}
        self._standings: dict[int, Standing] = {}
        self._changed: set[int] = set()

    def of(self, nik: int) -> tuple[Known | None, list[Wanted]]:
        if nik not in self._known:
            # Of most nothing is known, which one statement tells. A card may be here without a recording: an
            # officer had it moved, or it came back from the hub after a restore.
            has_standing, has_jobs, *row = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM standing WHERE nik = ?1), EXISTS (SELECT 1 FROM job WHERE nik = ?1),"
                " r.claims, r.first_ms, r.last_ms, r.identity, r.is_disputed, r.known"
                " FROM (SELECT 1) LEFT JOIN resident r ON r.nik = ?1",
                (nik,),
            ).fetchone()
            self._known[nik] = None if row[0] is None else Known.of(row)
            self._wanted[nik] = []
            if has_jobs:
                jobs = self._connection.execute("SELECT product, issue, state FROM job WHERE nik = ?", (nik,))
                self._wanted[nik] = [Wanted(product, issue, JobState(state)) for product, issue, state in jobs]
                self._before[nik] = tuple(self._wanted[nik])
            self._standings[nik] = standing_of(self._store, nik) if has_standing else UNKNOWN
        return self._known[nik], self._wanted[nik]

    def standing(self, nik: int) -> Standing:
        """The centre's word on a resident who was asked `of`."""
        return self._standings[nik]

    def dispute(self, nik: int) -> None:
        """A line of this batch disputed the resident."""
        self._disputed.add(nik)

    def put(self, nik: int, planned: Planned) -> None:
        self._known[nik] = planned.known
        self._changed.add(nik)
        if planned.job is not None:
            self._wanted[nik].append(Wanted(planned.job.product, planned.job.issue, planned.job.state))

    def waiting(self, niks: Iterable[int]) -> list[int]:
        """Of these, those of whom a card waits for more data or for a word."""
        return [
            nik
            for nik in dict.fromkeys(niks)
            if any(one.state in (JobState.UNCONFIRMED, JobState.INCOMPLETE) for one in self._before.get(nik, ()))
        ]

    def held_back(self, job: NewJob) -> NewJob:
        """The job, held if a later line of the batch disputed its resident."""
        return replace(job, state=JobState.HELD, reason=DISPUTED) if job.nik in self._disputed else job

    def save(self) -> None:
        rows = []
        for nik in sorted(self._changed):
            known = self._known[nik]
            assert known is not None
            rows.append(
                (nik, known.claims, known.first_ms, known.last_ms, known.identity, known.is_disputed, known.known)
            )
        self._connection.executemany("INSERT OR REPLACE INTO resident VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _not_stored(one: _Parsed, exc: SepeError) -> LineResult:
    return LineResult(one.line, False, None, one.recording.nik.value, _status(exc), (), str(exc))


def _status(exc: SepeError) -> str:
    # Whoever reads the answers may offer a line that was merely not stored again, as it is.
    return NOT_STORED if isinstance(exc, TransientError) else REFUSED


def _nik_of(data: bytes) -> str | None:
    try:
        return Nik.parse(parse_line(data).get("nik")).value
    except InvalidInputError:
        return None
