"""What the centre last proved to hold of this machine's events: the line that an operator may hold on to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from node.storage import damage
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import Nik

_KEY = "hub_proof"
DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class HubProof:
    """The hub read its log back and told the outcome in its answer to a greeting.

    Attributes:
        events: events of this machine, of all its epochs, that the hub read and found in order.
        missing: events that the hub acknowledged once and cannot read now; it asks us for them.
        epoch, seq, digest: how far the hub followed that epoch, and the digest that came out; hexadecimal.
        at_ms: when, by the hub's clock.
        agrees: whether our own digest at that seq is the same; ``None`` once our row was pruned.
    """

    events: int
    missing: int
    epoch: str
    seq: int
    digest: str
    at_ms: int
    agrees: bool | None

    def indonesian(self) -> str:
        """One line for the operator."""
        if self.missing:
            total = _dotted(self.events + self.missing)
            held = f"pusat memegang {_dotted(self.events)} dari {total} peristiwa Anda; "
            held += f"{_dotted(self.missing)} diminta ulang"
        else:
            held = f"pusat memegang semua {_dotted(self.events)} peristiwa Anda"
        differs = "; SIDIK BERBEDA dari catatan di sini" if self.agrees is False else ""
        return f"{held}, sidik {self.digest[:DIGEST_CHARS]}, dibaca ulang {self._when()}{differs}"

    def english(self) -> str:
        """The same in English."""
        if self.missing:
            held = f"the hub holds {self.events:,} of your {self.events + self.missing:,} events; "
            held += f"{self.missing:,} are asked for again"
        else:
            held = f"the hub holds all {self.events:,} of your events"
        differs = "; THE DIGEST DIFFERS from ours" if self.agrees is False else ""
        return f"{held}, digest {self.digest[:DIGEST_CHARS]}, read back {self._when()}{differs}"

    def _when(self) -> str:
        return datetime.fromtimestamp(self.at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True, slots=True)
class DamageCounts:
    """Rows of our own outbox that are not what was written.

    Attributes:
        open: the centre is asked for them. ``lost``: the centre lacked them too.
        lost_niks: masked numbers of the residents of the lost ones, as far as they can be read.
    """

    open: int
    lost: int
    lost_niks: tuple[str, ...]


def keep_proof(store: NodeStore, proof: HubProof) -> None:
    """Remember what the hub told; writes only when it is news."""
    text = json.dumps(asdict(proof))
    if store.get(_KEY) != text:
        store.put(_KEY, text)


def last_proof(store: NodeStore) -> HubProof | None:
    """What the hub told last, ``None`` before the first time."""
    text = store.get(_KEY)
    return None if text is None else HubProof(**json.loads(text))


def damage_counts(store: NodeStore) -> DamageCounts:
    """How much of the outbox is damaged now."""
    found = damage.damaged(store.connection)
    lost = [one for one in found if one.state == damage.LOST]
    return DamageCounts(len(found) - len(lost), len(lost), tuple(dict.fromkeys(_masked(one.nik for one in lost))))


def _masked(niks: Iterable[int]) -> Iterable[str]:
    for nik in niks:
        try:
            yield Nik.from_number(nik).masked
        except InvalidInputError:
            continue  # Of a row that is gone, or whose number was altered into none.


def _dotted(number: int) -> str:
    return f"{number:,}".replace(",", ".")
