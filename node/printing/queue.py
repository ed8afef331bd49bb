"""The print queue as the database holds it: who waits and why, how fast printers are, what the policy says."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

from node.desk.day import day_of, zone_of
from node.printing.batches import Batches
from node.printing.check import check_took_ms
from node.printing.ledger import Ledger
from node.printing.printers import Printers
from node.printing.spool import WAITING, JobState
from node.storage.schema import JOB_IS_OPEN
from node.storage.store import NodeStore
from sepe.dispatch.forecast import NEVER_MS
from sepe.dispatch.order import Ranked, Waiting, is_short_of_blanks, ranked
from sepe.dispatch.outlook import Limit
from sepe.dispatch.pace import SAMPLES_MAX
from sepe.dispatch.policy import DAY_MS, JobClass, Policy, class_of, parse_policy
from sepe.errors import InvalidInputError
from sepe.products import DEFAULT_PRODUCT, PRODUCTS
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2

POLICY_NAME = "queue.toml"
# So late an edited policy is taken up.
POLICY_LOOK_S = 1.0
PACE_KEEP_MS = 14 * DAY_MS
POSITION_MAX = 1 << 20
# What can be printed as soon as a printer is free, and what waits for something else.
PRINTABLE = "state IN ('queued', 'ready') AND fence IS NOT NULL"
HISTORY_MS = 8 * DAY_MS


def default_policy() -> str:
    """The policy file that ships."""
    return files("node.printing").joinpath(POLICY_NAME).read_text(encoding="utf-8")


def load_policy(folder: Path, node: str) -> Policy:
    """The policy of a node directory: its own ``queue.toml``, or the one that ships.

    Raises:
        InvalidInputError: a file that a person edited into something unreadable.
    """
    path = folder / POLICY_NAME
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else default_policy()
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidInputError(f"{POLICY_NAME} tidak terbaca: {exc}", hint="Perbaiki berkasnya.") from exc
    return parse_policy(document, offset_min=zone_of(node).utc_offset_hours * 60)


def shipped_policy(node: str) -> Policy:
    """The policy that ships, for one office."""
    return parse_policy(tomllib.loads(default_policy()), offset_min=zone_of(node).utc_offset_hours * 60)


class PolicyFile:
    """The policy of a node directory, read again when its file changed. A slip of the pen stops nobody."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder, self._node = folder, node
        self._path = folder / POLICY_NAME
        self._seen: tuple[int, int] | None = None
        self._policy: Policy | None = None
        self._look_s = 0.0

    def read(self) -> Policy:
        """The policy now; the last readable one where somebody edited the file into something unreadable."""
        now_s = time.monotonic()
        if self._policy is not None and now_s < self._look_s:
            return self._policy  # A recording is not to pay for a look each time.
        self._look_s = now_s + POLICY_LOOK_S
        try:
            found = self._path.stat()
            seen = found.st_mtime_ns, found.st_size
        except OSError:
            seen = 0, 0
        if self._policy is None or seen != self._seen:
            self._seen = seen
            try:
                self._policy = load_policy(self._folder, self._node)
            except InvalidInputError:
                self._policy = self._policy or shipped_policy(self._node)
        return self._policy


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job shall be printed; see the table ``job_place``."""

    printer: str = ""
    batch: str = ""
    position: int = 0
    since_ms: int = 0
    from_ms: int = 0


class QueueStore:
    """Reads the queue of one machine, and writes where its jobs shall go."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        # Why a further issue was asked for: a job's recording never changes.
        self._reasons: dict[int, str] = {}

    def printable(self, policy: Policy, now_ms: int) -> Ranked:
        """What can be printed now, in order."""
        rows = self._rows(PRINTABLE, now_ms)
        waiting = [one for one in self._waiting(rows, policy, now_ms) if one.ready_ms <= now_ms]
        return ranked(waiting, policy, is_short=self.is_short(policy))

    def everything(self, policy: Policy, now_ms: int, *, has_line: bool) -> Ranked:
        """Everything that waits here, in order, with what it waits for."""
        rows = self._rows("state NOT IN ('reserved', 'submitted', 'in_doubt')", now_ms)
        waiting = list(self._waiting(rows, policy, now_ms, has_line=has_line))
        return ranked(waiting, policy, is_short=self.is_short(policy))

    def is_short(self, policy: Policy) -> bool:
        """Whether blanks of any kind are short of what waits for them."""
        waiting = dict(
            self._store.connection.execute(
                f"SELECT product, count(*) FROM job WHERE {JOB_IS_OPEN} AND serial = '' "
                "AND state IN ('queued', 'ready', 'waiting_blank') GROUP BY product"
            ).fetchall()
        )
        return any(
            is_short_of_blanks(policy, at_hand=at_hand, waiting=waiting.get(product, 0))
            for product, at_hand in self.blanks().items()
        )

    def blanks(self) -> dict[str, int]:
        """Blanks at hand by product, reserved ones not counted."""
        execute = self._store.connection.execute
        return {
            product: int(
                execute(
                    "SELECT count(*) FROM blank WHERE product = ? AND state = 'at_hand'", (product,)
                ).fetchone()[0]
            )
            for product in BLANK_PRODUCTS
        }

    def asked_ms(self, now_ms: int) -> list[int]:
        """When cards were asked for here, in the last days and today."""
        rows = self._store.connection.execute(
            f"SELECT created_ms FROM job WHERE created_ms > ? AND product IN ({_marks(BLANK_PRODUCTS)}) "
            "AND asked_day <> ''",
            (now_ms - HISTORY_MS, *BLANK_PRODUCTS),
        )
        return [int(created_ms) for (created_ms,) in rows]

    def place(self, jobs: Iterable[tuple[int, Place]]) -> None:
        """Say where jobs go; in the caller's transaction or one of its own."""
        with self._store.transaction():
            self._store.connection.executemany(
                "INSERT OR REPLACE INTO job_place VALUES (?, ?, ?, ?, ?, ?)",
                [(job, one.printer, one.batch, one.position, one.since_ms, one.from_ms) for job, one in jobs],
            )

    def move(self, job: int, printer: str) -> None:
        """Let a waiting job be printed by ``printer`` alone (``""``: by any).

        Raises:
            InvalidInputError: no such job, or one that may have reached a printer; nothing is changed.
        """
        with self._store.transaction():
            state = Ledger(self._store).job(job).state
            if state not in (*WAITING, JobState.WAITING_DUE, JobState.HELD):
                raise InvalidInputError(
                    "hanya yang belum dikirim ke pencetak dapat dipindah", field="job", value=job,
                    hint="Bila ragu apakah kartunya keluar: sepe node resolve DIR JOB --came-out yes|no",
                )  # fmt: skip
            self.place([(job, replace(self.placed(job), printer=printer))])

    def placed(self, job: int) -> Place:
        """Where this job shall go."""
        row = self._store.connection.execute(
            "SELECT printer, batch, position, since_ms, from_ms FROM job_place WHERE job = ?", (job,)
        ).fetchone()
        return Place(*row) if row else Place()

    def batches(self) -> list[tuple[str, int, int, int, int]]:
        """(name, cards, printed or given out, waiting, in doubt or failed) of each batch, latest first."""
        rows = self._store.connection.execute(
            "SELECT batch, count(*), sum(state IN ('printed', 'handed_over')), "
            "sum(state NOT IN ('printed', 'handed_over', 'spoiled', 'void', 'in_doubt', 'failed')), "
            "sum(state IN ('in_doubt', 'failed', 'spoiled', 'void')) "
            "FROM job_place JOIN job ON job.id = job_place.job WHERE batch <> '' "
            "GROUP BY batch ORDER BY max(since_ms) DESC"
        )
        return [(str(row[0]), *(int(value) for value in row[1:])) for row in rows.fetchall()]  # type: ignore[misc]

    def note_pace(self, printer: str, done_ms: int, took_ms: int) -> None:
        """A card came out after so long."""
        execute = self._store.connection.execute
        execute("INSERT OR REPLACE INTO pace VALUES (?, ?, ?)", (printer, done_ms, took_ms))
        execute("DELETE FROM pace WHERE printer = ? AND done_ms < ?", (printer, done_ms - PACE_KEEP_MS))

    def took_ms(self, printer: str) -> list[int]:
        """How long its latest cards took, newest last."""
        rows = self._store.connection.execute(
            "SELECT took_ms FROM pace WHERE printer = ? ORDER BY done_ms DESC LIMIT ?", (printer, SAMPLES_MAX)
        )
        return [int(took) for (took,) in rows][::-1]

    def _rows(self, condition: str, now_ms: int) -> list[tuple[object, ...]]:
        # A card that is due only later than tomorrow is none of today's queue.
        tomorrow = day_of(now_ms + DAY_MS, self._store.node).isoformat()
        # Of earlier epochs the centre has what it ever will.
        newest = self._store.connection.execute(
            "SELECT number, durable_seq FROM epoch ORDER BY number DESC LIMIT 1"
        ).fetchone()
        rows: list[tuple[object, ...]] = self._store.connection.execute(
            "SELECT id, product, issue, state, fence, serial, created_ms, due_day, wanted, reason, "
            "coalesce(p.printer, ''), coalesce(batch, ''), coalesce(position, 0), coalesce(since_ms, 0), "
            "coalesce(from_ms, 0), epoch, seq, "
            "(SELECT is_voter FROM roll WHERE roll.nik = job.nik), epoch = ? AND seq > ? "
            "FROM job LEFT JOIN job_place p ON p.job = id "
            f"WHERE {condition} AND {JOB_IS_OPEN} AND due_day <= ?",
            (*newest, tomorrow),
        ).fetchall()
        return rows

    def _waiting(
        self, rows: Sequence[tuple[object, ...]], policy: Policy, now_ms: int, *, has_line: bool = True
    ) -> Iterable[Waiting]:
        today = day_of(now_ms, self._store.node)
        midnights: dict[str, int] = {}
        used = {one.address for one in Printers(self._store).used()}
        took_ms = check_took_ms(self._store) if policy.check_waits else 0
        collected = Batches(self._store).held()
        for (job, product, issue, state, fence, serial, created_ms, due_day, wanted, reason,
             printer, batch, position, since_ms, from_ms, epoch, seq, voter, is_unheard) in rows:  # fmt: skip
            assert isinstance(job, int) and isinstance(issue, int) and isinstance(created_ms, int)
            assert isinstance(position, int) and isinstance(since_ms, int) and isinstance(from_ms, int)
            due = midnights.get(str(due_day))
            if due is None:
                due = midnights[str(due_day)] = self._midnight_ms(str(due_day))
            why = self._reason(job, epoch, seq) if issue > 1 else "new"
            kind = class_of(
                str(product), issue, why, date.fromisoformat(str(due_day)), bool(wanted), today, policy.vote_day,
                is_voter=None if voter is None else bool(voter),
            )  # fmt: skip
            ready_ms, waits_for = from_ms, ""
            match state:
                case "waiting_due":
                    ready_ms, waits_for = max(ready_ms, due), Limit.DUE
                case "held" | "failed":
                    ready_ms, waits_for = NEVER_MS, Limit.DECISION
                case "waiting_right" if has_line and reason:
                    ready_ms, waits_for = NEVER_MS, Limit.DECISION
                case "queued" | "waiting_right" if fence is None and not has_line:
                    ready_ms, waits_for = NEVER_MS, Limit.LINE
            if policy.check_waits and not waits_for and issue == 1 and product == DEFAULT_PRODUCT and epoch:
                checked_ms = created_ms + policy.check_min * 60_000
                if is_unheard:
                    checked_ms = max(checked_ms + took_ms, now_ms + 1) if has_line else NEVER_MS
                if checked_ms > max(ready_ms, now_ms):
                    ready_ms, waits_for = checked_ms, Limit.CHECK if has_line or not is_unheard else Limit.LINE
            if batch in collected:
                ready_ms, waits_for = NEVER_MS, waits_for or Limit.BATCH
            media = PRODUCTS[str(product)].media or "a4"
            yield Waiting(
                job,
                JobClass.BATCH if batch and not wanted else kind,
                since_ms if batch and not wanted else max(created_ms, due),
                media,
                str(printer) if printer in used else "",
                min(position, POSITION_MAX - 1) if batch and not wanted else 0,
                str(product) if product in BLANK_PRODUCTS else "",
                bool(serial),
                ready_ms,
                waits_for,
            )

    def _reason(self, job: int, epoch: object, seq: object) -> str:
        if job not in self._reasons:
            row = self._store.connection.execute(
                "SELECT coalesce((SELECT body FROM job WHERE id = ?), "
                "(SELECT body FROM outbox WHERE epoch = ? AND seq = ?), x'')",
                (job, epoch, seq),
            ).fetchone()
            self._reasons[job] = event_pb2.Recorded.FromString(row[0]).reason
        return self._reasons[job]

    def _midnight_ms(self, day: str) -> int:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), zone_of(self._store.node).tzinfo)
        return int(start.astimezone(UTC).timestamp() * 1000)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
