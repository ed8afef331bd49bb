"""The rights to print, as this machine knows them: its own book (`sepe.rights.Grip`) and the way to the hub.

The home machine of a kecamatan prints its own roll at once, anyone else with a right that the hub moved to it.
What this machine promised never to print again stands in ``print_right`` before the hub hears of it, and every job
takes its fence from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from node.printing.answer import IN_HAND, QUEUED, RightAnswer
from node.printing.spool import JobState
from node.storage.store import NodeStore
from sepe.rights import HOME_FENCE, NO_FENCE, Grip, Reply, asked, is_home, kecamatan_of

if TYPE_CHECKING:
    from node.printing.room import Word
    from sepe.rpc.v1 import rights_pb2

__all__ = ["HOME_FENCE", "Asked", "Promise", "Right", "RightAnswer", "RightBook", "RightsClient", "is_home"]

# Jobs in these have no card and are on no way to one: they give way to another office where somebody waits.
YIELDING = frozenset(
    {
        JobState.WAITING_DUE, JobState.WAITING_BLANK, JobState.WAITING_RIGHT, JobState.HELD, JobState.FAILED,
        JobState.SPOILED, JobState.VOID, JobState.UNCONFIRMED, JobState.INCOMPLETE,
    }
)  # fmt: skip
# A card is about to be made: the job lacks nothing but a printer.
NEAR = frozenset({JobState.QUEUED, JobState.READY})
# States of a job that may still take another fence.
_OPEN_STATES = (
    "('queued', 'waiting_right', 'waiting_blank', 'waiting_due', 'unconfirmed', 'incomplete', 'held', 'ready', "
    "'failed')"
)  # fmt: skip

# What waits for the centre's word on a promise asks again so late: by then it has heard.
PROMISED_RETRY_MS = 60_000
PROMISED = "dialihkan ke kantor lain oleh petugas pusat"
# In meta while this machine may not use its rights: node/printing/witness.py.
SUSPENDED_KEY = "prints_suspended"
SUSPENDED = (
    "mesin ini dipulihkan dari cadangan atau dipindah: kartunya mungkin sudah dicetak. Menunggu kabar dari pusat"
)


class Right(NamedTuple):
    """Which right: one issue of one document of one resident."""

    nik: int
    product: str
    issue: int


class Promise(NamedTuple):
    """A promise to be told: never to print under ``fence`` and, as it stands here, under ``let_go`` or lower."""

    right: Right
    fence: int
    let_go: int


class Asked(NamedTuple):
    """A right that the hub asked for and that this machine keeps; ``reason``: `IN_HAND` or `QUEUED`."""

    right: Right
    fence: int
    reason: str


class RightsClient(Protocol):
    """The way to the hub's rights, implemented in ``node.link``."""

    async def claim(self, nik: int, product: str, issue: int, *, above: int = 0) -> RightAnswer:
        """Ask for the right to print one issue, within a short deadline of its own.

        Raises:
            TransientError: no line, or no answer in time; nothing is known, ask again later.
        """


class NewsClient(RightsClient, Protocol):
    """What keeping the rights needs beyond claims."""

    async def give_back(self, right: Right, fence: int) -> bool:
        """Tell the hub of a promise; whether it gave a definite answer, whichever.

        Raises:
            TransientError: no line.
        """

    async def changes(
        self, feed: bytes, after: int, *, wait_ms: int, kept: Sequence[Asked], word: Word | None = None
    ) -> rights_pb2.ChangesResponse:
        """What the centre has to tell, see `sepe.rpc.v1.Rights.Changes`.

        Args:
            word: what it is told of our printers; ``None``: nothing new.

        Raises:
            TransientError: no line, or the hub does not know us.
        """

    async def photo(self, right: Right, sha256: bytes, have: bytearray) -> None:
        """Fetch the rest of a photo of a card that was moved here, onto what there is.

        Raises:
            TransientError: no line; what came is in ``have``, go on there.
            PeerProtocolError: the hub does not give it.
        """


class RightBook:
    """The book of rights in a node's database. Every method that writes is one transaction, or a part of one."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def grip(self, right: Right) -> Grip:
        """What this machine knows of one right."""
        return self._look(right)[0]

    def fence(self, nik: int, product: str, issue: int) -> int | None:
        """Under which fence this machine may print an issue now; ``None``: it has to ask or hear the centre."""
        return self._usable(Right(nik, product, issue))

    @property
    def is_suspended(self) -> bool:
        """Whether no right counts here until the centre was heard; see `node.printing.witness`."""
        return self._store.get(SUSPENDED_KEY) is not None

    def take_grant(self, right: Right, fence: int) -> int | None:
        """The hub says that this machine holds the right; under which fence it may print now."""
        with self._store.transaction():
            self._raise(right, held=fence)
            return self._usable(right)

    def moved(self, right: Right, holder: str, fence: int) -> None:
        """The hub says who holds the right: jobs here get or lose it."""
        with self._store.transaction():
            if holder == self._store.node:
                self.take_grant(right, fence)
            else:
                self._raise(right, let_go=fence)
                self._execute(
                    "UPDATE print_right SET told = max(told, ?), kept = '' "
                    "WHERE nik = ? AND product = ? AND issue = ?",
                    fence, *right,
                )  # fmt: skip
            self.fit_jobs(right)

    def asked(self, right: Right, fence: int, *, now_ms: int, decided_ms: int = 0) -> None:
        """The hub asks for the right.

        Args:
            decided_ms: until then an officer wants the card made elsewhere, though it lacks nothing but a printer.
        """
        with self._store.transaction():
            self._raise(right)
            self._execute(
                "UPDATE print_right SET asked = max(asked, ?), told = min(told, ? - 1), decided_ms = ? "
                "WHERE nik = ? AND product = ? AND issue = ?",
                fence, fence, decided_ms, *right,
            )  # fmt: skip
            self._reconsider(right, fence, decided_ms, now_ms)

    def reconsider(self, now_ms: int) -> list[Asked]:
        """Look again at every right that was asked for and kept; those that are still kept."""
        kept = []
        rows = self._all(
            "SELECT nik, product, issue, asked, decided_ms FROM print_right WHERE asked > let_go "
            "ORDER BY nik, product, issue"
        )
        for nik, product, issue, fence, decided_ms in rows:
            with self._store.transaction():
                found = self._reconsider(Right(nik, product, issue), fence, decided_ms, now_ms)
            kept += [] if found is None else [found]
        return kept

    def promises(self, limit: int) -> list[Promise]:
        """Promises that the hub has not heard of, as far as we know."""
        rows = self._all(
            "SELECT nik, product, issue, CASE WHEN asked BETWEEN 0 AND let_go THEN asked ELSE let_go END, let_go "
            "FROM print_right WHERE told < let_go ORDER BY nik, product, issue LIMIT ?",
            limit,
        )
        return [Promise(Right(nik, product, issue), fence, let_go) for nik, product, issue, fence, let_go in rows]

    def told(self, promise: Promise) -> None:
        """The hub answered to a promise."""
        self._execute(
            "UPDATE print_right SET told = max(told, ?) WHERE nik = ? AND product = ? AND issue = ?",
            promise.let_go, *promise.right,
        )  # fmt: skip

    def wanted_beforehand(self, now_ms: int, limit: int) -> list[Right]:
        """Rights of the roll's residents that are others' by birth, to be claimed while there is a line."""
        rows = self._all(
            "SELECT nik, product, issue FROM print_right WHERE wanted = 1 AND held <= let_go AND retry_ms <= ? "
            "ORDER BY retry_ms, nik LIMIT ?",
            now_ms, limit,
        )  # fmt: skip
        return [Right(*row) for row in rows]

    def want(self, rights: Iterable[Right]) -> int:
        """Claim these beforehand, as soon as there is a line; how many are not ours yet."""
        count = 0
        with self._store.transaction():
            for right in rights:
                if self.grip(right).fence is None:
                    self._raise(right)
                    self._execute(
                        "UPDATE print_right SET wanted = 1 WHERE nik = ? AND product = ? AND issue = ?", *right
                    )
                    count += 1
        return count

    def ask_later(self, right: Right, *, retry_ms: int, is_hopeless: bool) -> None:
        """A claim beforehand was denied; ``is_hopeless``: a card is out, ask no more."""
        self._execute(
            "UPDATE print_right SET retry_ms = ?, wanted = ? WHERE nik = ? AND product = ? AND issue = ?",
            retry_ms, int(not is_hopeless), *right,
        )  # fmt: skip

    def roll_moved(self, kecamatan_code: str, holder: str, fence: int) -> None:
        """The hub says who holds a kecamatan's roll."""
        with self._store.transaction():
            self._execute(
                "INSERT INTO roll_right (kecamatan, holder, fence) VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
                "SET holder = excluded.holder, fence = excluded.fence WHERE excluded.fence >= fence",
                kecamatan_code, holder, fence,
            )  # fmt: skip
            jobs = self._all(f"SELECT DISTINCT nik, product, issue FROM job WHERE state IN {_OPEN_STATES}")
            for nik, product, issue in jobs:
                if kecamatan_of(nik) == kecamatan_code:
                    self.fit_jobs(Right(nik, product, issue))

    def fit_jobs(self, right: Right) -> None:
        """Give the jobs of a right the fence that this machine may print under, or take it from them.

        What a supervisor forced stays as it is. Whoever waits for a right asks again at once.
        """
        fence = self._usable(right)
        where = (
            f"nik = ? AND product = ? AND issue = ? AND override = '' AND state IN {_OPEN_STATES} "
            "AND fence IS NOT ?"
        )
        if fence is None:
            self._execute(
                "UPDATE job SET fence = NULL, retry_ms = 0, "
                "state = CASE WHEN state IN ('ready', 'waiting_blank') THEN 'queued' ELSE state END "
                f"WHERE {where}",
                *right, fence,
            )  # fmt: skip
        else:
            self._execute(
                "UPDATE job SET fence = ?, "
                "reason = CASE state WHEN 'waiting_right' THEN '' ELSE reason END, "
                f"state = CASE state WHEN 'waiting_right' THEN 'queued' ELSE state END WHERE {where}",
                fence, *right, fence,
            )  # fmt: skip
        self._execute(
            "UPDATE job SET retry_ms = 0 WHERE nik = ? AND product = ? AND issue = ? "
            "AND state = 'waiting_right' AND fence IS NULL",
            *right,
        )

    def fit_all_jobs(self) -> None:
        """As `fit_jobs` for every job that is open: rights were suspended, or count again."""
        with self._store.transaction():
            rights = self._all(f"SELECT DISTINCT nik, product, issue FROM job WHERE state IN {_OPEN_STATES}")
            for row in rights:
                self.fit_jobs(Right(*row))

    def _usable(self, right: Right) -> int | None:
        grip, is_suspended = self._look(right)
        return None if is_suspended else grip.fence

    def _look(self, right: Right) -> tuple[Grip, bool]:
        """The grip of a right, and whether rights are suspended: one statement, for every recording asks."""
        row = self._one(
            "SELECT p.held, p.let_go, r.holder, r.fence, EXISTS (SELECT 1 FROM meta WHERE key = ?1)"
            " FROM (SELECT 1)"
            " LEFT JOIN print_right p ON p.nik = ?2 AND p.product = ?3 AND p.issue = ?4"
            " LEFT JOIN roll_right r ON r.kecamatan = ?5",
            SUSPENDED_KEY, *right, kecamatan_of(right.nik),
        )  # fmt: skip
        assert row is not None
        held, let_go, roll_holder, roll_fence, is_suspended = row
        if roll_holder is not None:
            by_roll = roll_fence if roll_holder == self._store.node else NO_FENCE
        else:
            by_roll = HOME_FENCE if is_home(right.nik, self._store.node) else NO_FENCE
        grip = Grip(by_roll) if held is None else Grip(max(held, by_roll), let_go)
        return grip, bool(is_suspended)

    def _reconsider(self, right: Right, fence: int, decided_ms: int, now_ms: int) -> Asked | None:
        is_decided = now_ms < decided_ms
        bound = self._bound(right, is_decided=is_decided)
        grip, reply = asked(self.grip(right), fence, is_bound=bool(bound))
        self._raise(right, let_go=grip.let_go)
        self._execute(
            "UPDATE print_right SET kept = ?, asked = CASE WHEN ? THEN -1 ELSE asked END "
            "WHERE nik = ? AND product = ? AND issue = ?",
            bound if reply is Reply.KEEP else "", reply is Reply.IGNORE, *right,
        )  # fmt: skip
        if reply is Reply.KEEP:
            return Asked(right, fence, bound)
        self.fit_jobs(right)
        if is_decided:
            self._execute(
                "UPDATE job SET state = 'waiting_right', reason = ?, retry_ms = ? WHERE nik = ? AND product = ? "
                "AND issue = ? AND state IN ('queued', 'waiting_right') AND fence IS NULL",
                PROMISED, now_ms + PROMISED_RETRY_MS, *right,
            )  # fmt: skip
        return None

    def _bound(self, right: Right, *, is_decided: bool) -> str:
        """Why the right is needed here: `IN_HAND`, `QUEUED`, or ``""``.

        An officer's decision outweighs that a printer is all it lacks, unless somebody waits for it in the room.
        A job that has its blank may be drawn and on its way to the printer.
        """
        jobs = [
            (JobState(state), bool(serial), bool(wanted))
            for state, serial, wanted in self._all(
                "SELECT state, serial, wanted FROM job WHERE nik = ? AND product = ? AND issue = ?", *right
            )
        ]
        if {state for state, _, _ in jobs} - YIELDING - NEAR:
            return IN_HAND
        near = [(has_blank, is_wanted) for state, has_blank, is_wanted in jobs if state in NEAR]
        if is_decided and near and not any(is_wanted for _, is_wanted in near):
            return IN_HAND if any(has_blank for has_blank, _ in near) else ""
        return QUEUED if near else ""

    def _raise(self, right: Right, *, held: int = NO_FENCE, let_go: int = NO_FENCE) -> None:
        """Note a grant or a promise. The roll's own fence is no part of it: that may move to another machine."""
        self._execute(
            "INSERT INTO print_right (nik, product, issue, held, let_go) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET held = max(held, excluded.held), let_go = max(let_go, excluded.let_go)",
            *right, held, let_go,
        )  # fmt: skip

    def _execute(self, statement: str, *values: object) -> None:
        with self._store.transaction():
            self._store.connection.execute(statement, values)

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._store.connection.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return list(self._store.connection.execute(statement, values).fetchall())
