"""Whether this ledger is the one that printed here last, or an older one that was put back.

A ledger from a backup has forgotten the cards that were made since, and what it promised away. The hub knows
better, and a node that hears the hub learns it. Without a line there are three witnesses that a backup does not
take along:

* ``COUNT``: a small file beside the database counts the attempts that were sent to a printer. A database that
  knows fewer was put back alone.
* ``PLACE``: a file that is never written again. One that was made anew, with the same owner and mode, came with a
  copy of the whole directory (a restore, a clone, a move to another disk).
* ``PRINTER``: the name of an attempt carries a mark that only its own ledger can make (`node.printing.attempt`). A
  printer that remembers an attempt of ours which we do not know made a card that we forgot.

Any of them suspends this machine's rights to print, durably, until the hub was heard: no card is printed that may
be out already. A supervisor may force single cards with a reason, as for any card without its right. A machine
moved with its directory is suspended once without need. One whose whole disk was put back is found out only by a
printer that remembers.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.printing.ledger import Ledger
from node.printing.rights import SUSPENDED_KEY, RightBook
from node.storage.store import NodeStore
from sepe_io.logs import logger

log = logger(__name__)

COUNT_NAME, PLACE_NAME = "prints.count", "prints.place"
PLACE_KEY, STRANGE_KEY = "prints_place", "prints_strange"
# Nothing heard of the hub for so long: perhaps this disk was put back meanwhile.
HEARD_MS_MAX = 600_000
STRANGE_MAX = 1_000


class Evidence(StrEnum):
    """What speaks for an older ledger."""

    COUNT = "count"
    PLACE = "place"
    PRINTER = "printer"


class Witness:
    """The witnesses of one node directory; use it in the thread of its store."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._count_path = store.folder / COUNT_NAME
        self._place_path = store.folder / PLACE_NAME

    def examine(self) -> Evidence | None:
        """To be asked before the first card of every start: suspends the rights if this is an older ledger."""
        if (found := self.suspended()) is not None:
            return found
        if _read_count(self._count_path) > self._count():
            return self._suspend(Evidence.COUNT)
        seen, known = _Place.of(self._place_path), self._known_place()
        if known is not None and seen is not None and seen.is_made_anew(known):
            return self._suspend(Evidence.PLACE)
        self._adopt()
        return None

    def suspended(self) -> Evidence | None:
        """Why this machine's rights are suspended, ``None`` when they are not."""
        found = self._store.get(SUSPENDED_KEY)
        return None if found is None else Evidence(found)

    def wants_hub(self, now_ms: int) -> bool:
        """Whether to hear the hub before a card is printed: it may know of cards that this ledger lacks."""
        heard_ms = self._store.clock().heard_ms
        return self.suspended() is not None or (heard_ms > 0 and abs(now_ms - heard_ms) > HEARD_MS_MAX)

    def hear_printer(self, names: Iterable[str]) -> int:
        """Names of jobs that a printer remembers; how many are attempts of ours that the ledger has forgotten."""
        ledger, explained = Ledger(self._store), set(self.strange())
        forgotten = [
            name for name in names
            if ledger.is_our_name(name) and name not in explained and ledger.named(name) is None
        ]  # fmt: skip
        if forgotten:
            with self._store.transaction():
                kept = [*self.strange(), *forgotten][-STRANGE_MAX:]
                self._store.put(STRANGE_KEY, json.dumps(kept))
                if self.suspended() is None:
                    self._suspend(Evidence.PRINTER)
        return len(forgotten)

    def strange(self) -> list[str]:
        """Attempts that printers remembered and the ledger did not."""
        return list(json.loads(self._store.get(STRANGE_KEY) or "[]"))

    def note_sent(self) -> None:
        """An attempt was intended, and its commit is on the disk; call it before the printer hears of it.

        Not synced: a power cut may lose the last ones, and the witness then knows less, never more than is true.
        """
        with suppress(OSError):
            _write_count(self._count_path, self._count())

    def heard_hub(self) -> None:
        """The hub told what it knows of our past: rights count again."""
        if self.suspended() is not None:
            with self._store.transaction():
                self._store.put(SUSPENDED_KEY, None)
                RightBook(self._store).fit_all_jobs()
            log.info("prints.resumed")
        self._adopt()

    def _suspend(self, evidence: Evidence) -> Evidence:
        with self._store.transaction():
            self._store.put(SUSPENDED_KEY, str(evidence))
            RightBook(self._store).fit_all_jobs()
        log.error("prints.suspended", evidence=str(evidence))
        return evidence

    def _adopt(self) -> None:
        """From now on this is where the ledger lies, and what it has sent."""
        with suppress(OSError):
            if not self._place_path.exists():
                self._place_path.write_text(secrets.token_hex(8) + "\n", encoding="utf-8")
            _write_count(self._count_path, self._count())
        place, known = _Place.of(self._place_path), self._known_place()
        if place is not None and place != known:
            self._store.put(PLACE_KEY, json.dumps([place.made_ns, place.owner, place.mode]))

    def _known_place(self) -> _Place | None:
        text = self._store.get(PLACE_KEY)
        return None if text is None else _Place(*json.loads(text))

    def _count(self) -> int:
        return Ledger(self._store).sent_count()


@dataclass(frozen=True, slots=True)
class _Place:
    """``made_ns``: when the file was made or last changed in owner, mode or name; the file itself never is."""

    made_ns: int
    owner: int
    mode: int

    @classmethod
    def of(cls, path: Path) -> _Place | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ctime_ns, found.st_uid, found.st_mode)

    def is_made_anew(self, known: _Place) -> bool:
        """Whether this is another file than the known one, and not the same under another owner or mode."""
        return self.made_ns != known.made_ns and (self.owner, self.mode) == (known.owner, known.mode)


def _read_count(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _write_count(path: Path, count: int) -> None:
    path.write_text(f"{count:012d}\n", encoding="ascii")
