"""The printers of one office machine: which are used, what each prints, whether it takes work.

A printer is known by its address everywhere (ledger, condition, pace); its name is for people. `printer` in
node.toml is where a machine begins; what was said later (`--printer`, `node printers`) is remembered in the
database and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.printing.driver import open_driver
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError

MEDIA = ("card", "a4")
# The printer of node.toml when it was last looked at: a change there counts once.
SETTINGS_KEY = "printer_of_settings"


class Mode(StrEnum):
    """``draining`` prints what it has and then pauses; who pauses it by hand waits for nothing."""

    ON = "on"
    PAUSED = "paused"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Printer:
    """One printer that is used. ``media``: of `MEDIA`."""

    address: str
    name: str
    media: frozenset[str]
    mode: Mode


class Printers:
    """The printers in a node's database; every method that writes is one transaction."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store

    def used(self) -> list[Printer]:
        """The printers in use, in the order in which they were named."""
        rows = self._store.connection.execute(
            "SELECT printer, name, media, mode FROM printer WHERE place > 0 ORDER BY place"
        )
        return [
            Printer(address, name, frozenset(media.split(",")), Mode(mode)) for address, name, media, mode in rows
        ]

    def adopt(self, asked: Sequence[str] = ()) -> list[Printer]:
        """What a start of the node uses: ``asked`` from now on, else what it used, else the one of node.toml.

        Raises:
            InvalidInputError: an address of ``asked`` or of node.toml is none.
        """
        ours = self._store.settings.printer
        with self._store.transaction():
            before = self._store.get(SETTINGS_KEY)
            if asked:
                self._store.connection.execute("UPDATE printer SET place = 0")
                for address in asked:
                    self.add(address)
            elif ours != (before or ""):
                if before:
                    self._store.connection.execute("UPDATE printer SET place = 0 WHERE printer = ?", (before,))
                if ours:
                    self.add(ours)
            self._store.put(SETTINGS_KEY, ours)
            return self.used()

    def add(self, address: str, *, name: str = "", media: Sequence[str] = ()) -> Printer:
        """Use a printer, from now on or still.

        Raises:
            InvalidInputError: no printer's address, no such media, or a name that another printer has.
        """
        open_driver(address)  # Contacts nothing; only reads the address.
        wrong = sorted(set(media) - set(MEDIA))
        if wrong:
            raise InvalidInputError("media: card, a4, atau keduanya", field="media", value=wrong[0])
        execute = self._store.connection.execute
        with self._store.transaction():
            used = self.used()
            known = next((one for one in used if one.address == address), None)
            taken = {one.name for one in used if one.address != address}
            if name in taken:
                raise InvalidInputError("nama ini sudah dipakai pencetak lain", field="name", value=name)
            if not name:
                free = (f"p{number}" for number in range(1, len(taken) + 2))
                name = known.name if known else next(one for one in free if one not in taken)
            execute("INSERT OR IGNORE INTO printer (printer) VALUES (?)", (address,))
            execute(
                "UPDATE printer SET name = ?, place = CASE WHEN place > 0 THEN place ELSE "
                "(SELECT max(place) + 1 FROM printer) END WHERE printer = ?",
                (name, address),
            )
            if media:
                execute("UPDATE printer SET media = ? WHERE printer = ?", (",".join(sorted(media)), address))
            return next(one for one in self.used() if one.address == address)

    def remove(self, address: str) -> None:
        """Use it no longer; its count of cards and its pace stay. What it has in hand is still asked for."""
        self._store.connection.execute("UPDATE printer SET place = 0 WHERE printer = ?", (address,))

    def set_mode(self, mode: Mode, address: str | None = None) -> None:
        """Let one printer (``None``: all that are used) work, pause or drain."""
        self._store.connection.execute(
            "UPDATE printer SET mode = ?1 WHERE (?2 IS NULL AND place > 0) OR printer = ?2", (str(mode), address)
        )

    def drained(self, address: str) -> None:
        """A draining printer has nothing left."""
        self._store.connection.execute(
            "UPDATE printer SET mode = 'paused' WHERE printer = ? AND mode = 'draining'", (address,)
        )

    def find(self, text: str) -> Printer:
        """The printer with this name or address.

        Raises:
            InvalidInputError: none in use has it.
        """
        for one in self.used():
            if text in (one.name, one.address):
                return one
        raise InvalidInputError(
            "tidak ada pencetak dengan nama ini",
            field="printer",
            value=text,
            hint="Lihat namanya dengan: sepe node printers DIR",
        )
