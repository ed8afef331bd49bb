"""Cards that end: taken back from their owner and kept until the day's destruction, or lost, or swapped.

The centre hears of each. Such a card is void from then on, whoever made it and wherever it was made, so the office
that somebody moved to takes back the card of the one he left. What is typed of a card is believed only where it
can be true (`sepe.taking_back`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.printing.spool import DONE, JobState
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.nik import Nik
from sepe.products import PRODUCTS
from sepe.reprints import EVIDENCE_CHARS_MAX, LOST, WITHDRAWAL_REASONS
from sepe.serials import SerialSet, number_of
from sepe.stock import BLANK_PRODUCTS
from sepe.taking_back import Answer, Place, Trace, Whose, whose
from sepe.wire.v1 import event_pb2

SERIAL_CHARS_MAX = 32
_COLUMNS = (
    "nik, product, serial, attempt, issue, reason, document, lies_here, taken_ms, operator, minutes, destroyed_ms"
)
# Whether a row of old_card is about a row of recall, by the rule of `sepe.card`.
IS_ENDED = (
    "EXISTS (SELECT 1 FROM old_card o WHERE o.nik = recall.nik AND o.product = recall.product AND "
    "CASE WHEN o.attempt <> '' THEN o.attempt = recall.attempt "
    "ELSE o.serial <> '' AND o.serial = recall.serial END)"
)
_BLANK_PLACES = {"at_hand": Place.BLANK, "spoiled": Place.BLANK, "destroyed": Place.BLANK}


@dataclass(frozen=True, slots=True)
class OldCard:
    """One card or paper that ended.

    Attributes:
        attempt: which made it, ``""`` where nobody here knows.
        issue: its, 0 where nobody knows; of a lost card that nobody here knows, the highest that it can be.
        document: number of the letter, of a lost one.
        lies_here: it is to be destroyed; else it is lost, or a plain sheet.
        minutes: of its destruction, ``""`` before it.
    """

    nik: int
    product: str
    serial: str
    attempt: str
    issue: int
    reason: str
    document: str
    lies_here: bool
    taken_ms: int
    operator: str
    minutes: str = ""
    destroyed_ms: int = 0

    def is_about(self, attempt: str, product: str, serial: str) -> bool:
        """Whether it is the card of this attempt of the same resident; the rule of `sepe.card`."""
        if self.attempt:
            return self.attempt == attempt
        return self.serial != "" and (self.product, self.serial) == (product, serial)


class OldCards:
    """The cards that lie here to be destroyed, and those that ended. A method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def take_back(
        self, nik: int, product: str, serial: str, reason: str, *, operator: str, now_ms: int,
        from_elsewhere: bool = False,
    ) -> OldCard:  # fmt: skip
        """Take a card back from its owner; a card that lies here already is answered the same way again.

        A paper has no number: it is the one that is to be collected, and a torn sheet then.

        Args:
            from_elsewhere: its number was read on a card that no machine here made, nor is it to be collected.

        Raises:
            InvalidInputError: no such product or reason, no serial, another resident's, or one that nobody knows
                though it is said to be from here; nothing is changed.
        """
        if reason not in WITHDRAWAL_REASONS:
            raise InvalidInputError(
                "alasan tidak dikenal", field="reason", value=reason, hint=", ".join(WITHDRAWAL_REASONS)
            )
        with self._store.transaction():
            serial, found = self._find(nik, product, serial, from_elsewhere=from_elsewhere)
            ended = self._ended(nik, product, serial, found.attempt)
            if ended is not None and (ended.lies_here or ended.reason != LOST):
                return ended
            if ended is not None:  # It was lost, and is found.
                self._remove(ended)
            return self._end(
                OldCard(
                    nik, product, serial, found.attempt, found.issue, reason, "", product in BLANK_PRODUCTS,
                    now_ms, operator,
                ),
                from_elsewhere=from_elsewhere,
            )  # fmt: skip

    def lose(
        self, nik: int, product: str, letter: str, *, serial: str = "", operator: str, now_ms: int,
        from_elsewhere: bool = False,
    ) -> OldCard:  # fmt: skip
        """Note that the owner lost a card, by the police letter: nobody has to collect it any more.

        Args:
            serial: of the card; without one it is the card that is to be collected, if that is one alone.

        Raises:
            InvalidInputError: as `take_back`, or no letter, or the card lies here.
        """
        letter = letter_number(letter)
        with self._store.transaction():
            if not serial and product in BLANK_PRODUCTS:
                serial = self._to_collect(nik, product)
            serial, found = self._find(nik, product, serial, from_elsewhere=from_elsewhere)
            ended = self._ended(nik, product, serial, found.attempt)
            if ended is not None and ended.lies_here:
                raise InvalidInputError(
                    "kartu ini tidak hilang: sudah ditarik dan dicatat di sini", field="serial", value=serial,
                    hint="Lihat dengan: sepe node old-cards DIR --all",
                )  # fmt: skip
            return ended or self._end(
                OldCard(nik, product, serial, found.attempt, found.issue, LOST, letter, False, now_ms, operator),
                from_elsewhere=from_elsewhere,
            )

    def gone(
        self, nik: int, product: str, *, attempt: str, issue: int, reason: str, serial: str = "",
        document: str = "", operator: str, now_ms: int,
    ) -> OldCard:  # fmt: skip
        """End a card or paper that the desk itself knows to be out of its owner's hands, and not here.

        Args:
            attempt: ``""`` for whatever he had been given elsewhere, up to ``issue``.
        """
        with self._store.transaction():
            return self._end(
                OldCard(nik, product, serial, attempt, issue, reason, document, False, now_ms, operator)
            )

    def destroy(self, product: str | None, *, number: int, operator: str, now_ms: int) -> int:
        """Note that everything that lies here is destroyed by these minutes; how many cards."""
        minutes = str(number)
        with self._store.transaction():
            waiting = [one for one in self.listing(only_waiting=True) if product in (None, one.product)]
            for one in waiting:
                self._remove(one)
                self._insert(replace(one, minutes=minutes, destroyed_ms=now_ms))
                self._announce(replace(one, minutes=f"{self._store.node}/{minutes}", operator=operator), now_ms)
        return len(waiting)

    def listing(self, *, only_waiting: bool = False) -> list[OldCard]:
        """Every card that came back here, the first one first."""
        return self._cards(
            "lies_here AND (minutes = '' OR ?) ORDER BY taken_ms, product, serial", not only_waiting
        )

    def of_resident(self, nik: int) -> list[OldCard]:
        """Every card and paper of a resident that ended here."""
        return self._cards("nik = ? ORDER BY taken_ms", nik)

    def in_minutes(self, number: int) -> dict[tuple[str, str], SerialSet]:
        """(product, reason) to the serials that these minutes destroyed."""
        found: dict[tuple[str, str], list[str]] = {}
        for product, reason, serial in self._store.connection.execute(
            "SELECT product, reason, serial FROM old_card WHERE minutes = ? ORDER BY product, reason, serial",
            (str(number),),
        ):
            found.setdefault((product, reason), []).append(serial)
        return {key: SerialSet.of(serials) for key, serials in found.items()}

    def _find(self, nik: int, product: str, serial: str, *, from_elsewhere: bool) -> tuple[str, Whose]:
        """The serial as it is written, and which card of the resident that is."""
        if product not in PRODUCTS or not PRODUCTS[product].prints:
            raise InvalidInputError(
                "jenis ini tidak dicetak", field="product", value=product,
                hint=", ".join(code for code, one in PRODUCTS.items() if one.prints),
            )  # fmt: skip
        if product not in BLANK_PRODUCTS:
            return "", self._paper(nik, product, serial)
        serial = serial_number(serial)
        found = whose(nik, self._traces(nik, product, serial), from_elsewhere=from_elsewhere)
        check_whose(found, nik, serial)
        return serial, found

    def _paper(self, nik: int, product: str, serial: str) -> Whose:
        if serial.strip():
            raise InvalidInputError(
                "lembar ini tidak bernomor seri; hanya kartu yang bernomor", field="serial", value=serial,
                hint=f"Tanpa --serial, atau --product {' / '.join(BLANK_PRODUCTS)}",
            )  # fmt: skip
        execute, key = self._store.connection.execute, (nik, product)
        ended = {one.attempt for one in self.of_resident(nik) if one.product == product}
        older = execute(
            "SELECT name, issue FROM job WHERE nik = ?1 AND product = ?2 AND state IN ('printed', 'handed_over') "
            "AND issue < (SELECT max(issue) FROM job WHERE nik = ?1 AND product = ?2 "
            "AND state IN ('printed', 'handed_over')) ORDER BY issue",
            key,
        ).fetchall()
        wanted = execute("SELECT attempt, issue FROM recall WHERE nik = ? AND product = ? ORDER BY issue", key)
        row = (
            next((one for one in (*wanted.fetchall(), *older) if one[0] not in ended), None)
            or execute(
                "SELECT attempt, issue FROM old_card WHERE nik = ? AND product = ? ORDER BY taken_ms DESC", key
            ).fetchone()
        )
        if row is None:
            raise InvalidInputError(
                "tidak ada lembar NIK ini yang harus ditarik", field="product", value=product,
                hint="Lihat dengan: sepe node recalls DIR",
            )  # fmt: skip
        return Whose(Answer.HIS, *row)

    def _to_collect(self, nik: int, product: str) -> str:
        """The serial of the one card that is to be collected from him, or that was lost already."""
        execute = self._store.connection.execute
        serials = [
            serial
            for (serial,) in execute(
                f"SELECT DISTINCT serial FROM recall WHERE nik = ? AND product = ? AND NOT {IS_ENDED} "
                "ORDER BY serial",
                (nik, product),
            )
        ] or [
            serial
            for (serial,) in execute(
                "SELECT serial FROM old_card WHERE nik = ? AND product = ? AND reason = ? AND serial <> '' "
                "ORDER BY taken_ms DESC LIMIT 1",
                (nik, product, LOST),
            )
        ]
        if len(serials) != 1:
            raise InvalidInputError(
                "lebih dari satu kartu NIK ini harus ditarik" if serials
                else "tidak ada kartu NIK ini dalam daftar penarikan",
                field="serial", value=", ".join(serials) or None, hint="Sebutkan yang hilang: --serial NOMOR",
            )  # fmt: skip
        return str(serials[0])

    def _traces(self, nik: int, product: str, serial: str) -> list[Trace]:
        execute, key = self._store.connection.execute, (product, serial)
        found = [
            Trace(Place.OUT, *row)
            for row in execute("SELECT nik, attempt, issue FROM recall WHERE product = ? AND serial = ?", key)
        ]
        # A job by its resident or by its blank: nothing leads from a serial to it.
        for state, *row in execute(
            "SELECT state, nik, name, issue FROM job WHERE nik = ?3 AND product = ?1 AND serial = ?2 UNION "
            "SELECT j.state, j.nik, j.name, j.issue FROM blank b JOIN job j ON j.id = b.job "
            "AND j.serial = b.serial WHERE b.product = ?1 AND b.serial = ?2",
            (*key, nik),
        ):
            found.append(Trace(_place_of(JobState(state)), *row))
        for (state,) in execute("SELECT state FROM blank WHERE product = ? AND serial = ? AND job IS NULL", key):
            if state in _BLANK_PLACES:
                found.append(Trace(_BLANK_PLACES[state]))
        for owner, attempt, issue in execute(
            "SELECT nik, attempt, issue FROM old_card WHERE serial = ?2 AND product = ?1", key
        ):
            found.append(Trace(Place.OUT if owner == nik else Place.TAKEN, owner, attempt, issue))
        return found

    def _ended(self, nik: int, product: str, serial: str, attempt: str) -> OldCard | None:
        for one in self.of_resident(nik):
            if one.product == product and (one.serial, one.attempt) == (serial, attempt):
                return one
            if one.is_about(attempt, product, serial):
                return one
        return None

    def _end(self, one: OldCard, *, from_elsewhere: bool = False) -> OldCard:
        self._insert(one)
        self._announce(one, one.taken_ms, from_elsewhere=from_elsewhere)
        return one

    def _insert(self, one: OldCard) -> None:
        self._store.connection.execute(
            f"INSERT OR REPLACE INTO old_card ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.nik, one.product, one.serial, one.attempt, one.issue, one.reason, one.document, one.lies_here,
             one.taken_ms, one.operator, one.minutes, one.destroyed_ms),
        )  # fmt: skip

    def _remove(self, one: OldCard) -> None:
        self._store.connection.execute(
            "DELETE FROM old_card WHERE (nik, product, serial, attempt, issue) = (?, ?, ?, ?, ?)",
            (one.nik, one.product, one.serial, one.attempt, one.issue),
        )

    def _cards(self, condition: str, *arguments: object) -> list[OldCard]:
        rows = self._store.connection.execute(f"SELECT {_COLUMNS} FROM old_card WHERE {condition}", arguments)
        return [replace(one, lies_here=bool(one.lies_here)) for one in (OldCard(*row) for row in rows.fetchall())]

    def _announce(self, one: OldCard, now_ms: int, *, from_elsewhere: bool = False) -> None:
        body = event_pb2.CardWithdrawn(
            product=one.product, serial=one.serial, attempt=one.attempt, issue=one.issue, reason=one.reason,
            destroyed=bool(one.minutes), minutes=one.minutes, operator=one.operator, document_number=one.document,
            from_elsewhere=from_elsewhere and not one.attempt,
        )  # fmt: skip
        self._store.append([draft(Kind.CARD_WITHDRAWN, one.nik, body)], now_ms)


def serial_number(text: str) -> str:
    """A serial as it is written.

    Raises:
        InvalidInputError: it is none.
    """
    serial = text.strip().upper()
    if len(serial) > SERIAL_CHARS_MAX:
        raise InvalidInputError(
            f"nomor seri paling banyak {SERIAL_CHARS_MAX} karakter", field="serial", value=serial,
            hint="Contoh: A00012001",
        )  # fmt: skip
    number_of(serial)  # Raises unless it is one.
    return serial


def letter_number(text: str) -> str:
    """The number of a police letter.

    Raises:
        InvalidInputError: there is none.
    """
    letter = text.strip()
    if not letter or len(letter) > EVIDENCE_CHARS_MAX or not letter.isprintable():
        raise InvalidInputError(
            f"nomor surat kehilangan dari polisi, paling banyak {EVIDENCE_CHARS_MAX} karakter",
            field="police_letter", value=letter, hint="--police-letter NOMOR",
        )  # fmt: skip
    return letter


def check_whose(found: Whose, nik: int, serial: str) -> None:
    """Refuse a number that is not this resident's card.

    Raises:
        InvalidInputError: with the resident whose it is, masked, or what else it is.
    """
    masked = Nik(f"{nik:016d}").masked
    match found.answer:
        case Answer.ANOTHERS:
            rule = f"nomor seri ini kartu NIK {Nik(f'{found.other:016d}').masked}, bukan {masked}"
            hint = "Periksa NIK dan nomor pada kartu."
        case Answer.MAKING:
            rule = "menurut buku cetak kartu dengan nomor ini belum keluar"
            hint = f"Bila kartunya ada: sepe node confirm DIR {serial}"
        case Answer.BLANK:
            rule = "menurut buku, nomor ini blangko, bukan kartu"
            hint = "Lihat dengan: sepe node blanks list DIR"
        case Answer.UNKNOWN:
            rule = f"nomor seri ini tidak dikenal di sini sebagai kartu NIK {masked}"
            hint = "Periksa nomornya; bila dibaca dari kartu buatan kantor lain: --from-elsewhere"
        case Answer.HIS:
            return
    raise InvalidInputError(rule, field="serial", value=serial, hint=hint)


def _place_of(state: JobState) -> Place:
    if state not in DONE:
        return Place.MAKING
    return Place.OUT if state in (JobState.PRINTED, JobState.HANDED_OVER) else Place.BLANK
