"""What the hub says of a resident that decides over his cards, and what an office makes of it.

The hub's part is made by the product's own fold; an office sees no more than this word and what was claimed at its
own desk. In a world a name is an identity: nobody is spelt in two ways.
"""

from __future__ import annotations

from typing import NamedTuple

from sepe.card import to_collect
from sepe.claims import claims_of
from sepe.replaced import replaced_by
from sepe.resident import Resident

# Why a card waits: for an officer, or for nothing more, because it is not this person's.
HELD, LOST = "held", "lost"


class Standing(NamedTuple):
    """The hub's word.

    Attributes:
        settled: every name that was ever claimed, once it is clear whose the NIK is; ``kept``: those that stay.
        recalls: attempts whose cards are to be collected.
        replaced_by: the NIK that counts instead, 0 for none.
    """

    on_hold: bool = False
    settled: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    recalls: frozenset[str] = frozenset()
    replaced_by: int = 0

    def verdict(self, name: str, *, is_disputed: bool) -> str:
        """Why a card that bears this name may not be made or given out; ``""``: it may.

        Args:
            is_disputed: claims made at this desk disagree.
        """
        if self.replaced_by:
            return LOST
        if name in self.settled:
            return "" if name in self.kept else LOST
        return HELD if self.on_hold or is_disputed else ""


UNDISPUTED = Standing()


def standing_of(resident: Resident) -> Standing:
    """The word on a record, as `hub.dispatch.feed` says it."""
    claims = claims_of(resident)
    standing = claims.standing
    settled: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    if standing is not None and not claims.is_on_hold and len(set(claims.number.values())) > 1:
        settled = frozenset(one.name for one in claims.known.values())
        kept = frozenset(one.name for one in claims.known.values() if claims.agree(one, standing))
    recalls = frozenset(attempt.attempt for _, attempt, _ in to_collect(resident))
    return Standing(claims.is_on_hold, settled, kept, recalls, replaced_by(resident))
