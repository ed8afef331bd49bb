"""What people do with card stock: receive, move, count, write off, destroy; a transaction each, with its event."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from node.desk.old_cards import OldCards
from node.stock.shelf import BlankState, Shelf
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.serials import SerialRange, SerialSet
from sepe.stock import BLANK_PRODUCTS, SPOIL_REASONS, WRITE_OFFS, Movement, StockSum
from sepe.wire.v1 import event_pb2

FOUND_REASON = "ditemukan saat penghitungan"


@dataclass(frozen=True, slots=True)
class Story:
    """Why stock moved, who moved it, and to or from which other node."""

    reason: str = ""
    operator: str = ""
    other_node: str = ""


NO_STORY = Story()


@dataclass(frozen=True, slots=True)
class Count:
    """What a physical count found: how many are held now, and the differences that were booked.

    Attributes:
        held: at hand and at the printers, after the differences.
        lost: should have been there. ``found``: had been lost, or never came here by the books.
    """

    held: int
    lost: SerialSet
    found: SerialSet


class Stock:
    """The blanks of one machine."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._shelf = Shelf(store)

    def receive(self, serials: SerialRange, *, now_ms: int, story: Story = NO_STORY) -> int:
        """Take a range into stock; return how many. With a story of another node it was moved in from there.

        Raises:
            InvalidInputError: no such product, no range, or a serial that this machine had before.
        """
        check_product(serials.product)
        names = serials.serials
        movement = Movement.MOVED_IN if story.other_node else Movement.RECEIVED
        with self._store.transaction():
            for serial in names:
                if self._shelf.state_of(serials.product, serial) not in (None, BlankState.MOVED_OUT):
                    raise InvalidInputError(
                        "blangko ini sudah pernah diterima di sini", field="serial", value=serial,
                        hint="Lihat dengan: sepe node blanks list DIR",
                    )  # fmt: skip
            self._shelf.take_in(serials.product, names, movement, now_ms)
            self._announce([(movement, serials)], story=story, now_ms=now_ms)
        return len(names)

    def take_out(self, serials: SerialRange, movement: str, *, now_ms: int, story: Story = NO_STORY) -> int:
        """Take a range out of stock: ``moved_out``, ``lost`` or ``spoiled``; return how many.

        Raises:
            InvalidInputError: a serial of the range is not at hand; nothing is changed.
        """
        check_product(serials.product)
        assert movement in WRITE_OFFS, movement
        names = serials.serials
        with self._store.transaction():
            for serial in names:
                self._shelf.find_state(serials.product, serial, BlankState.AT_HAND)
                self._shelf.put(serials.product, serial, BlankState(movement), now_ms=now_ms, reason=story.reason)
            self._announce([(movement, serials)], story=story, now_ms=now_ms)
        return len(names)

    def count(self, product: str, present: SerialSet, *, now_ms: int, story: Story = NO_STORY) -> Count:
        """Hold what lies in the drawer against the books: what is missing is lost, what was lost is found.

        Blanks that wait at a printer need not be shown. The centre hears each difference and the number held.

        Raises:
            InvalidInputError: a serial is there that by the books was printed, spoiled or given away; nothing is
                changed, for that is settled one by one.
        """
        check_product(product)
        with self._store.transaction():
            at_hand = SerialSet.of(serial for serial, _ in self._shelf.in_state(product, BlankState.AT_HAND))
            reserved = SerialSet.of(serial for serial, _ in self._shelf.in_state(product, BlankState.RESERVED))
            lost, more = at_hand - present, present - at_hand - reserved
            steps: list[tuple[str, SerialRange]] = []
            for serial in lost.serials():
                self._shelf.put(product, serial, BlankState.LOST, now_ms=now_ms, reason=story.reason)
            steps += [(Movement.LOST, one) for one in _ranges(product, lost)]
            known, unknown = self._sorted_out(product, more)
            for serial in more.serials():
                self._shelf.put(product, serial, BlankState.AT_HAND, now_ms=now_ms)
            steps += [(Movement.FOUND, one) for one in _ranges(product, known)]
            steps += [(Movement.RECEIVED, one) for one in _ranges(product, unknown)]
            held = len(at_hand) + len(reserved) - len(lost) + len(more)
            self._announce(steps, story=Story(story.reason or FOUND_REASON, story.operator), now_ms=now_ms)
            counted = event_pb2.StockMoved(
                product=product,
                movement=Movement.COUNTED,
                count=held,
                reason=story.reason,
                operator=story.operator,
            )
            self._store.append([draft(Kind.STOCK_MOVED, 0, counted)], now_ms)
        return Count(held, lost, more)

    def destroy(self, product: str | None, *, witnesses: list[str], operator: str, now_ms: int) -> int | None:
        """Destroy what is spoiled; the number of the minutes, ``None`` when nothing is spoiled.

        Raises:
            InvalidInputError: fewer than two witnesses.
        """
        named = [one.strip() for one in witnesses if one.strip()]
        if len(named) < 2:
            raise InvalidInputError(
                "pemusnahan disaksikan dua orang atau lebih", field="--witness", value=", ".join(named),
                hint='--witness "NAMA SATU" --witness "NAMA DUA"',
            )  # fmt: skip
        with self._store.transaction():
            steps: list[tuple[str, SerialRange, str]] = []
            for one in BLANK_PRODUCTS if product is None else (check_product(product),):
                by_reason: dict[str, list[str]] = {}
                for serial, reason in self._shelf.in_state(one, BlankState.SPOILED):
                    by_reason.setdefault(reason, []).append(serial)
                for reason, serials in sorted(by_reason.items()):
                    steps += [(Movement.DESTROYED, run, reason) for run in _ranges(one, SerialSet.of(serials))]
            old_cards = OldCards(self._store)
            waiting = [one for one in old_cards.listing(only_waiting=True) if product in (None, one.product)]
            if not steps and not waiting:
                return None
            execute = self._store.connection.execute
            number = int(
                execute(
                    "INSERT INTO minutes (at_ms, witnesses, operator) VALUES (?, ?, ?)",
                    (now_ms, json.dumps(named, ensure_ascii=False), operator),
                ).lastrowid
            )
            for movement, run, reason in steps:
                for serial in run.serials:
                    self._shelf.put(run.product, serial, BlankState.DESTROYED, now_ms=now_ms)
                execute(
                    "UPDATE blank SET minutes = ? WHERE product = ? AND state = 'destroyed' AND minutes IS NULL",
                    (number, run.product),
                )
                self._announce([(movement, run)], story=Story(reason, operator), now_ms=now_ms)
            # What was taken back from its owners goes into the same minutes.
            old_cards.destroy(product, number=number, operator=operator, now_ms=now_ms)
            return number

    def counts(self) -> dict[str, dict[str, int]]:
        """See `Shelf.counts`."""
        return self._shelf.counts()

    def sums(self, product: str) -> dict[str, StockSum]:
        """See `Shelf.sums`."""
        return self._shelf.sums(product)

    def listing(
        self, product: str | None = None, state: str | None = None
    ) -> list[tuple[str, str, str, int | None]]:
        """(product, serial, state, job) of each blank, in order of serial."""
        rows = self._store.connection.execute(
            "SELECT product, serial, state, job FROM blank WHERE (?1 IS NULL OR product = ?1) "
            "AND (?2 IS NULL OR state = ?2) ORDER BY product, serial",
            (product, state),
        )
        return [tuple(row) for row in rows]

    def _sorted_out(self, product: str, serials: SerialSet) -> tuple[SerialSet, SerialSet]:
        """Those that were lost, and those that this machine never had."""
        states = {serial: self._shelf.state_of(product, serial) for serial in serials.serials()}
        for serial, state in states.items():
            if state not in (None, BlankState.LOST):
                raise InvalidInputError(
                    f"menurut buku blangko ini {state}", field="serial", value=serial,
                    hint="Periksa kartunya; bila dikembalikan kantor lain: sepe node blanks receive --from NODE",
                )  # fmt: skip
        known = [serial for serial, state in states.items() if state is BlankState.LOST]
        return SerialSet.of(known), SerialSet.of(serial for serial, state in states.items() if state is None)

    def _announce(self, steps: Iterable[tuple[str, SerialRange]], *, story: Story, now_ms: int) -> None:
        drafts: list[Draft] = []
        for movement, serials in steps:
            body = event_pb2.StockMoved(
                product=serials.product,
                movement=movement,
                first_serial=serials.first,
                last_serial=serials.last,
                count=len(serials.serials),
                reason=story.reason,
                other_node=story.other_node,
                operator=story.operator,
            )
            drafts.append(draft(Kind.STOCK_MOVED, 0, body))
        if drafts:
            self._store.append(drafts, now_ms)


def check_product(product: str) -> str:
    """The product itself when it is printed on numbered blanks.

    Raises:
        InvalidInputError: it is not.
    """
    if product not in BLANK_PRODUCTS:
        raise InvalidInputError(
            "hanya ini yang memakai blangko bernomor",
            field="product",
            value=product,
            hint=", ".join(BLANK_PRODUCTS),
        )
    return product


def spoil_reason(text: str) -> str:
    """The reason's code for the minutes, from the code or its Indonesian name.

    Raises:
        InvalidInputError: not one of the reasons that the minutes know.
    """
    wanted = text.strip().lower()
    for code, name in SPOIL_REASONS.items():
        if wanted in (code, name):
            return code
    raise InvalidInputError(
        "alasan kerusakan menurut berita acara", field="--reason", value=text,
        hint=", ".join(f"{code} ({name})" for code, name in SPOIL_REASONS.items()),
    )  # fmt: skip


def opening_range(node: str, product: str, count: int) -> SerialRange:
    """Serials for an opening stock whose real numbers nobody typed in."""
    prefix = f"{'K' if product == 'ktp-el' else 'A'}{node.replace('-', '')}-"
    return SerialRange(product, f"{prefix}{1:06d}", f"{prefix}{count:06d}")


def _ranges(product: str, serials: SerialSet) -> list[SerialRange]:
    return [SerialRange(product, first, last) for first, last in serials.ranges()]
