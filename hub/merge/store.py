"""The hub's storage, on SQLite or PostgreSQL: frames in, acks out, each batch in one transaction.

A worker calls `merge` with whatever arrived, and sends the acks of its outcomes once it returned: by then they are
committed. Between two calls, or when idle, it calls `project`, which brings the cases up to date; readers call it
too, so counts are exact whenever somebody looks.

Two workers may hold the same frame. Each transaction begins by taking its lock (on SQLite the write lock, on
PostgreSQL one for each node) and reads the watermark behind it, and moves it only from the value that it read, so
the slower one finds a duplicate and writes nothing.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from hub.dispatch import feed, orders, rights, room
from hub.dispatch.frames import FrameCache
from hub.engine import place
from hub.engine.place import DATABASE
from hub.merge import likeness, log, project, proofs, registry, wanted
from hub.merge.arrival import Outcome, key_lookup, refuse, shown_node
from hub.merge.batch import Batch, StaleWriterError
from hub.merge.own import OwnHistory
from hub.merge.proving import VIA_RELEASE, VIA_SELF, Arrival, Proof, Proven, prove
from hub.quarantine import shelf
from sepe.errors import InvalidInputError, PeerProtocolError, SepeError
from sepe.events import Draft
from sepe.ids import EPOCH_BYTES, HUB_NODE, EventId
from sepe.rpc.v1 import rights_pb2
from sepe.sync.centre import Judgement, ack, welcome
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.frames import open_hello
from sepe_io.logs import logger
from sepe_io.sqlite import Connection, transaction, translated

__all__ = ["DATABASE", "KEY_FILE", "Arrival", "HubStore", "Outcome", "StaleWriterError", "is_hub"]

KEY_FILE = "hub.key"
# Times that a merge begins again at once when PostgreSQL ended it for another's sake.
CONTENDED_TRIES = 3
TOKEN_VALID_MS = 7 * 24 * 3_600_000

_log = logger("hub.merge")


class HubStore:
    """One connection to the hub's database that writes; used by one thread at a time."""

    def __init__(self, directory: Path, connection: Connection, signer: keys.Signer) -> None:
        self.directory = directory
        self.connection = connection
        self._own = OwnHistory(connection, signer)
        self._frames = FrameCache()

    @classmethod
    def create(cls, directory: Path, *, now_ms: int, database: str = "") -> HubStore:
        """A new hub in ``directory``, which is made when it is not there. A kill in between is taken up again.

        Args:
            database: the address of the PostgreSQL database for its data; ``""``: ``hub.db`` in the directory.

        Raises:
            InvalidInputError: a hub is already there, or in the database; it is left alone.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if is_hub(directory):
            raise InvalidInputError(
                "there is already a hub in this directory", field="DIR", value=str(directory),
                hint="Choose an empty directory, or go on with `sepe hub run`.",
            )  # fmt: skip
        key_path = directory / KEY_FILE
        if not key_path.exists():
            keys.save(keys.Signer.generate(), key_path)
        if database:
            place.claim(directory, database)
        else:
            # Residents' data: for the owner's eyes alone. SQLite gives its log files the database's mode.
            (directory / DATABASE).touch(mode=0o600)
        connection = place.connect(directory)
        place.prepare(connection)
        store = cls(directory, connection, keys.load(key_path))
        with transaction(connection):
            for name, value in (("case_secret", secrets.token_bytes(32)), ("epoch", secrets.token_bytes(16))):
                connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, value))
            registry.add_key(connection, HUB_NODE, store._own.signer.public_key, now_ms=now_ms)
            # Last: `is_hub` looks for it.
            made = str(now_ms).encode()
            connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('made_ms', ?)", (made,))
        return store

    @classmethod
    def open(cls, directory: Path) -> HubStore:
        """The hub in ``directory``; a database of an older version is brought up to date first.

        Raises:
            InvalidInputError: no hub is there.
            StorageDamagedError, StorageBusyError: see `sepe_io.sqlite.connect`.
            DatabaseLostError: its PostgreSQL server does not answer.
        """
        if not is_hub(directory):
            raise InvalidInputError(
                "there is no hub in this directory", field="DIR", value=str(directory),
                hint="Make one with `sepe hub init DIR`.",
            )  # fmt: skip
        connection = place.connect(directory)
        try:
            place.prepare(connection)
            return cls(directory, connection, keys.load(directory / KEY_FILE))
        except BaseException:
            connection.close()
            raise

    @property
    def signer(self) -> keys.Signer:
        """The hub's own key."""
        return self._own.signer

    @property
    def key_id(self) -> bytes:
        """The short name of the hub's own key."""
        return self.signer.key_id

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> HubStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reader(self) -> Connection:
        """A second, read-only connection, for another thread. Close it after use."""
        return place.connect(self.directory, read_only=True)

    def merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        """Take in a batch; the outcomes, in order, are committed when this returns.

        Args:
            proven: what a `Prover` found of these arrivals; ``None``: they are proven here.

        A frame that makes the merge raise something unexpected is found by trying the batch one by one and put
        in quarantine (``merge_error``); the others are merged.

        Raises:
            TransientError: disk full, database busy, or another worker was faster; nothing of the batch is
                stored, so merge it again later.
            StorageDamagedError: a person must act.
        """
        try:
            for _ in range(CONTENDED_TRIES):
                with suppress(place.ContendedError):
                    return self._merge(arrivals, proven)
            return self._merge(arrivals, proven)
        except SepeError:
            raise
        except Exception as exc:
            if len(arrivals) > 1:
                _log.warning("batch.split", frames=len(arrivals), error=type(exc).__name__)
                return [outcome for arrival in arrivals for outcome in self.merge([arrival])]
            _log.error("frame.poisonous", error=type(exc).__name__, at=_place(exc))
            with transaction(self.connection):
                fault = PeerProtocolError("merge_error", type(exc).__name__)
                return [refuse(self.connection, arrival, fault) for arrival in arrivals]

    def greet(self, signed: sync_pb2.SignedHello, *, now_ms: int, via: str) -> sync_pb2.Ack:
        """The answer to a greeting; the node's whereabouts are noted.

        Never raises because of what the peer sent: the verdict then is REFUSED with ``unknown_node``,
        ``unknown_key``, ``revoked``, ``retired_key``, ``bad_signature`` or ``unreadable_hello``.
        """
        try:
            with translated():
                hello = open_hello(signed, lambda node, key_id: self.public_key_of(node, key_id, now_ms=now_ms))
            if len(hello.epoch) != EPOCH_BYTES or hello.node == HUB_NODE:
                raise PeerProtocolError("unreadable_hello")
        except PeerProtocolError as exc:
            return self._refused_greeting(signed, exc.reason, now_ms)
        with transaction(self.connection):
            state = log.epoch_state(self.connection, hello.node, hello.epoch)
            verdict = welcome(state, hello, lambda seq: self.chain_at(hello.node, hello.epoch, seq))
            self.connection.execute(
                "UPDATE node SET last_seen_ms = ?, via = ?, clock_skew_ms = ?, epoch = ?, told_seq = ?,"
                " software = ?, contract = ?, forked_ms = IIF(?, ?, forked_ms) WHERE node = ?",
                (
                    now_ms, via, _signed64(hello.clock_ms - now_ms), hello.epoch, _signed64(hello.last_seq),
                    hello.software[:40], hello.contract,
                    verdict == sync_pb2.VERDICT_FORK, now_ms, hello.node,
                ),
            )  # fmt: skip
            if hello.HasField("print_room"):
                self.connection.execute(
                    "INSERT INTO print_room (node, told_ms, room) VALUES (?, ?, ?)"
                    " ON CONFLICT (node) DO UPDATE SET told_ms = excluded.told_ms, room = excluded.room",
                    (hello.node, now_ms, hello.print_room.SerializeToString()),
                )
            answer = ack(state, verdict, hub_ms=now_ms, reason="fork" if verdict == sync_pb2.VERDICT_FORK else "")
            wanted.ask(self.connection, answer)
            proofs.tell(self.connection, answer)
        return answer

    def public_key_of(
        self, node: str, key_id: bytes, *, now_ms: int | None = None, even_revoked: bool = False
    ) -> bytes:
        """See `registry.public_key_of`."""
        return registry.public_key_of(self.connection, node, key_id, now_ms=now_ms, even_revoked=even_revoked)

    def keys_of(self, node: str) -> list[bytes]:
        """See `registry.keys_of`."""
        return registry.keys_of(self.connection, node)

    def enrol_token(self, node: str, *, now_ms: int, valid_ms: int = TOKEN_VALID_MS) -> str:
        """See `registry.new_token`."""
        with transaction(self.connection):
            return registry.new_token(self.connection, node, now_ms=now_ms, valid_ms=valid_ms)

    def redeem(self, node: str, token: str, public_key: bytes, *, now_ms: int) -> tuple[bool, str]:
        """See `registry.redeem`. The caller has checked that the sender holds the key."""
        with transaction(self.connection):
            return registry.redeem(self.connection, node, token, public_key, now_ms=now_ms)

    def rotate(self, node: str, old_key_id: bytes, new_key: bytes, *, now_ms: int) -> tuple[bool, str, int]:
        """See `registry.rotate`. The caller has checked that the sender holds both keys."""
        with transaction(self.connection):
            return registry.rotate(self.connection, node, old_key_id, new_key, now_ms=now_ms)

    def revoke(self, node: str, *, now_ms: int) -> bool:
        """See `registry.revoke`."""
        with transaction(self.connection):
            return registry.revoke(self.connection, node, now_ms=now_ms)

    def frames_of(
        self, node: str, epoch: bytes | None, after_seq: int, held: Mapping[bytes, int] = MappingProxyType({})
    ) -> Iterator[bytes]:
        """A node's own frames that end above ``after_seq``: its epochs as they came, each in the order of seq.

        Reads by a connection of its own, so any thread may use it.

        Args:
            held: epochs of which other frames are wanted: those that end above that seq.
        """
        with translated():
            connection = self.reader()
            try:
                epochs = connection.execute(
                    "SELECT epoch FROM epoch WHERE node = ?1 AND (epoch = ?2 OR ?2 IS NULL)"
                    " ORDER BY first_seen_ms",
                    (node, epoch),
                ).fetchall()
                for (one,) in epochs:
                    yield from log.frames_of_epoch(connection, node, one, held.get(bytes(one), after_seq))
            finally:
                connection.close()

    def chain_at(self, node: str, epoch: bytes, seq: int) -> bytes | None:
        """See `log.chain_at`."""
        return log.chain_at(self.connection, node, epoch, seq)

    def answer_rights(
        self, requests: Sequence[rights.RightClaim | rights.RightReturn], *, now_ms: int
    ) -> list[rights.Answer]:
        """Answer claims and returns in one transaction, in order; every move is logged when this returns."""
        with transaction(self.connection):
            desk = self.rights_desk(now_ms)
            answers = desk.answer_all(requests)
            self.append_in_transaction(desk.drafts, now_ms)
        return answers

    def rights_desk(self, now_ms: int) -> rights.RightsDesk:
        """For decisions on rights, inside a write transaction; log its drafts before that commits."""
        return rights.RightsDesk(self.connection, now_ms, self._frames)

    def claim_right(self, nik: int, product: str, issue: int, node: str, *, now_ms: int) -> rights.Answer:
        """Ask for the right to print one issue. See `hub.dispatch.rights`."""
        return self.answer_rights([rights.RightClaim(nik, product, issue, node)], now_ms=now_ms)[0]

    def return_right(
        self, nik: int, product: str, issue: int, node: str, *, fence: int, now_ms: int
    ) -> rights.Answer:
        """Give a right back, unprinted."""
        return self.answer_rights([rights.RightReturn(nik, product, issue, node, fence)], now_ms=now_ms)[0]

    def keep_rights(self, node: str, kept: Iterable[tuple[int, str, int, int, str]]) -> None:
        """A machine keeps rights that it was asked for: (NIK, product, issue, fence, why) of each."""
        with transaction(self.connection):
            for nik, product, issue, fence, reason in kept:
                rights.note_kept(self.connection, (nik, product, issue), fence=fence, reason=reason, holder=node)

    def news_for(self, node: str, feed_id: bytes, after: int) -> feed.News:
        """What a machine has not heard yet, see `hub.dispatch.feed`."""
        with translated():
            found = feed.news(self.connection, node, feed_id, after)
            for change in found.changes:
                if change.HasField("card"):
                    orders.fill(self.connection, self._frames, node, change)
            return found

    def hear_room(self, node: str, told: rights_pb2.ChangesRequest, *, now_ms: int) -> None:
        """A machine tells what its printers have to do, see `hub.dispatch.room`."""
        with transaction(self.connection):
            room.hear(self.connection, node, told, now_ms)

    def list_id(self) -> bytes:
        """See `hub.dispatch.feed.list_id`."""
        with translated():
            return feed.list_id(self.connection)

    def told_since(self, number: int) -> tuple[int, set[str]]:
        """The last number of the lists of news, and the machines told something above ``number``."""
        with translated():
            return feed.last_number(self.connection), feed.nodes_with_news(self.connection, number)

    def append_own(self, drafts: Sequence[Draft], *, now_ms: int) -> list[EventId]:
        """Write events of the hub itself, through the same log and merge as everybody's."""
        with transaction(self.connection):
            return self._append_own(drafts, now_ms)

    def append_in_transaction(self, drafts: Sequence[Draft], now_ms: int) -> list[EventId]:
        """Like `append_own`, as part of the caller's transaction; no drafts, no frame."""
        return self._append_own(drafts, now_ms) if drafts else []

    def project(self, niks: Sequence[int] | None = None) -> int:
        """Bring the cases up to date, of all NIK (``None``) or of some; return how many NIK were folded."""
        return project.project(self.connection, niks)

    def frames_logged(self) -> int:
        """The number of the last frame in the log, whichever process merged it."""
        with translated():
            return log.last_number(self.connection)

    def step_hints(self) -> bool:
        """One step of `hub.merge.likeness`, a fraction of a second; whether more is to be done."""
        return likeness.step(self.connection)

    def project_hints(self) -> None:
        """Bring the hints that two NIK may be one person up to date with the log."""
        likeness.project(self.connection)

    def release(self, held_id: int) -> Outcome | None:
        """Merge a frame out of quarantine, as a person decided; ``None`` when it is not there.

        It leaves the quarantine when it was merged or had been merged before, and stays for any other outcome.
        """
        with translated():
            found = shelf.frame_of(self.connection, held_id)
        if found is None:
            return None
        data, received_ms = found
        outcome = self.merge([Arrival(data, VIA_RELEASE, received_ms)])[0]
        if outcome.judgement in (Judgement.ACCEPT, Judgement.DUPLICATE):
            self.discard(held_id)
        return outcome

    def discard(self, held_id: int) -> bool:
        """Throw a frame out of quarantine; ``False`` when it is not there."""
        with transaction(self.connection):
            return shelf.remove(self.connection, held_id)

    def _merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        if proven is None:
            with translated():
                # Outside the lock: proving is most of the work.
                proven = [prove(one, key_lookup(self.connection, one)) for one in arrivals]
        nodes = [shown_node(arrival.data) for arrival in arrivals]
        with place.merge_transaction(self.connection, nodes):
            batch = Batch(self.connection, frames_max=len(arrivals))
            outcomes = [
                refuse(self.connection, arrival, frame)
                if isinstance(frame, PeerProtocolError)
                else batch.take(arrival, frame)
                for arrival, frame in zip(arrivals, proven, strict=True)
            ]
            batch.write()
        return outcomes

    def _refused_greeting(self, signed: sync_pb2.SignedHello, reason: str, now_ms: int) -> sync_pb2.Ack:
        _log.warning("greeting.refused", reason=reason)
        answer = sync_pb2.Ack(verdict=sync_pb2.VERDICT_REFUSED, reason=reason, hub_ms=max(now_ms, 0))
        try:
            hello = sync_pb2.Hello.FromString(signed.hello)
        except Exception:
            return answer  # Unreadable: there is nobody to name.
        answer.node, answer.epoch = hello.node, hello.epoch
        return answer

    def _append_own(self, drafts: Sequence[Draft], now_ms: int) -> list[EventId]:
        frame, ids = self._own.seal(drafts, now_ms)
        arrival = Arrival(frame, VIA_SELF, now_ms, HUB_NODE)
        proven = prove(arrival, key_lookup(self.connection, arrival))
        assert isinstance(proven, Proven), proven
        batch = Batch(self.connection, frames_max=1)
        outcome = batch.take(arrival, proven)
        assert outcome.judgement is Judgement.ACCEPT, outcome
        batch.write()
        return ids


def is_hub(directory: Path) -> bool:
    """Whether a hub was made in this directory."""
    is_placed = bool(place.url_of(directory)) or (directory / DATABASE).is_file()
    if not is_placed or not (directory / KEY_FILE).is_file():
        return False
    connection = place.connect(directory, read_only=True)
    try:
        with translated():
            if not place.is_prepared(connection):
                return False
            return connection.execute("SELECT 1 FROM meta WHERE name = 'made_ms'").fetchone() is not None
    finally:
        connection.close()


def _place(exc: BaseException) -> str:
    """Where it was raised. Its text and its traceback's values may hold a person's data; a log may not."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _signed64(number: int) -> int:
    """A peer's number, cut to what a column holds."""
    return max(-(1 << 62), min(number, 1 << 62))
