"""Which of a resident's cards goes over the desk, and what has to come back for it. Pure.

*One product, one valid issue in a hand.* One product goes over at a time, and of that the newest issue that is
good. What is older and lies at the desk is to be taken back. What the owner has in his hand of the same product
comes back with it or is lost by a police letter, so that nobody ever goes home with two. A paper that stood in for
a KTP-el is swapped for it.

The desk decides by what it knows (`Card`); at the centre the same promise is read from the record
(`twice_in_hand`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sepe.card import HANDED_OVER, Attempt, issues_of
from sepe.errors import InvalidInputError
from sepe.products import DEFAULT_PRODUCT, SUBSTITUTES
from sepe.reprints import EVIDENCE_CHARS_MAX, LOST, NEEDED, OLD_CARD, POLICE_LETTER
from sepe.resident import Resident
from sepe.stock import BLANK_PRODUCTS

RETURNED = "returned"
SUBSTITUTE_FATES = (RETURNED, LOST)
SELF, FAMILY, PROXY = "self", "family", "proxy"
RECEIVERS = (SELF, FAMILY, PROXY)


class Place(StrEnum):
    """Where a card is. Waiting: no printer has it yet; making: one may have it; ready: it lies at the desk."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    IN_HAND = "in_hand"


@dataclass(frozen=True, slots=True)
class Card:
    """A card or paper of one resident as the desk that makes it knows it.

    Attributes:
        ended: why it is none any more, a reason of a recall or of a withdrawal; ``""`` while it is good.
        is_his: it bears the identity of whoever stands at the desk, as far as anybody knows.
    """

    attempt: str
    product: str
    issue: int
    serial: str
    place: Place
    fence: int = 0
    is_forced: bool = False
    ended: str = ""
    is_his: bool = True


class Refusal(StrEnum):
    """Why nothing goes over the desk."""

    NOTHING = "nothing"
    SEVERAL = "several"
    ENDED = "ended"
    NEWER_OUT = "newer_out"
    NEWER_MAKING = "newer_making"
    SAME_CARD = "same_card"
    HOLDS_ANOTHER = "holds_another"
    HOLDS_SUBSTITUTE = "holds_substitute"
    HOLDS_CARD = "holds_card"


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing goes over, and the cards that it is about."""

    why: Refusal
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What happens with a card that goes over.

    Attributes:
        lost: what he had in his hand, by the police letter.
        lost_up_to: with the letter, and nothing in his hand that is known here: the highest issue that it can be
            about; else 0.
        swapped: papers that come back from his hand, or that he lost.
        withdrawn: papers that stood in for this card and that nobody needs any more, wherever they are.
        left: older cards that are to be taken back.
    """

    card: Card
    lost: tuple[Card, ...] = ()
    lost_up_to: int = 0
    swapped: tuple[Card, ...] = ()
    withdrawn: tuple[Card, ...] = ()
    left: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who takes it away; a name and a document for whoever is not the resident."""

    received_by: str = SELF
    name: str = ""
    document: str = ""


def receiver_of(received_by: str, name: str, document: str) -> Receiver:
    """Who takes a card away, as the operator said it.

    Raises:
        InvalidInputError: nobody of `RECEIVERS`, or a proxy without name and document.
    """
    found = Receiver(received_by, name.strip(), document.strip())
    if found.received_by not in RECEIVERS:
        raise InvalidInputError(
            "penerima: pemilik sendiri, keluarga, atau kuasa",
            field="to",
            value=received_by,
            hint=", ".join(RECEIVERS),
        )
    for field, text in (("name", found.name), ("document", found.document)):
        if len(text) > EVIDENCE_CHARS_MAX or not (text.isprintable() or not text):
            raise InvalidInputError(f"paling banyak {EVIDENCE_CHARS_MAX} karakter", field=field, value=text)
        if found.received_by == PROXY and not text:
            raise InvalidInputError(
                "kuasa menyebut nama dan nomor dokumennya",
                field=field,
                hint='--to proxy --name "NAMA" --document NOMOR',
            )
    if found.received_by == SELF and (found.name or found.document):
        raise InvalidInputError(
            "nama dan dokumen untuk penerima yang bukan pemiliknya",
            field="to",
            value=SELF,
            hint="--to family|proxy",
        )
    return found


def choose(cards: Iterable[Card], product: str | None) -> Card | Refused:
    """The newest good issue of one product that lies ready, or why there is none.

    Args:
        product: ``None``: whichever lies ready, if that is one.
    """
    known = list(cards)
    ready = [one for one in known if one.place is Place.READY and product in (None, one.product)]
    good = sorted((one for one in ready if not one.ended), key=_newest_first)
    if len({one.product for one in good}) > 1:
        return Refused(Refusal.SEVERAL, tuple(good))
    if not good:
        return Refused(Refusal.ENDED if ready else Refusal.NOTHING, tuple(sorted(ready, key=_newest_first)))
    best = good[0]
    rivals = [one for one in known if one.product == best.product and one.issue >= best.issue and not one.ended]
    out = tuple(one for one in rivals if one.place is Place.IN_HAND)
    making = tuple(one for one in rivals if one.place is Place.MAKING and one.issue > best.issue)
    if out or making:
        return Refused(Refusal.NEWER_OUT if out else Refusal.NEWER_MAKING, (best, *out, *making))
    return best


def give(
    card: Card, cards: Iterable[Card], *, reason: str, evidence: Mapping[str, str], substitute: str = ""
) -> Given | Refused:
    """What has to happen with the card that was chosen.

    Args:
        reason: of the recording that asked for it.
        evidence: what is shown, by `sepe.reprints.EVIDENCE_KEYS`; that it is enough is `sepe.reprints.missing`'s.
        substitute: what became of the paper in his hand, one of `SUBSTITUTE_FATES`; ``""``: nobody said.
    """
    known = [one for one in cards if not one.ended and one != card]
    same = [one for one in known if one.product == card.product]
    papers = [one for one in known if one.product in SUBSTITUTES and card.product == DEFAULT_PRODUCT]
    replaced = _card_that_stands(known) if card.product in SUBSTITUTES else None
    if replaced is not None:
        return Refused(Refusal.HOLDS_CARD, (card, replaced))
    swapped = tuple(one for one in papers if one.place is Place.IN_HAND)
    if swapped and substitute not in SUBSTITUTE_FATES:
        return Refused(Refusal.HOLDS_SUBSTITUTE, swapped)
    lost: tuple[Card, ...] = ()
    lost_up_to = 0
    if card.product in BLANK_PRODUCTS:
        shown = evidence.get(OLD_CARD, "").strip().upper()
        if shown and shown == card.serial:
            return Refused(Refusal.SAME_CARD, (card,))
        held = _held(card, same, reason)
        if held is not None and held.serial != shown:
            if not evidence.get(POLICE_LETTER):
                return Refused(Refusal.HOLDS_ANOTHER, (held,))
            lost = (held,)
        elif held is None and reason in NEEDED and not shown and evidence.get(POLICE_LETTER):
            lost_up_to = card.issue - 1
        same = [one for one in same if one.serial != shown and one not in lost]
    return Given(
        card, lost, lost_up_to, swapped,
        withdrawn=tuple(one for one in papers if one.place is not Place.IN_HAND),
        left=tuple(
            sorted((one for one in same if one.place in (Place.READY, Place.IN_HAND)), key=_newest_first)
        ),
    )  # fmt: skip


def twice_in_hand(resident: Resident) -> tuple[tuple[Attempt, ...], ...]:
    """Cards of which one desk gave two out of the same product, neither of them withdrawn: there should be none.

    Cards that different machines gave out while they could not hear of each other are the recall list's matter.
    """
    giver = {step.attempt: step.version.node for step in resident.steps if step.state == HANDED_OVER}
    held: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for issue in issues_of(resident):
        out = (issue.valid, *issue.recalled) if issue.product in BLANK_PRODUCTS else ()
        for one in out:
            if one is not None and one.state == HANDED_OVER:
                held[issue.product, giver[one.attempt]].append(one)
    return tuple(tuple(cards) for _, cards in sorted(held.items()) if len(cards) > 1)


def _held(card: Card, same: Iterable[Card], reason: str) -> Card | None:
    """What he has in his hand of this product: the newest, for what is older was settled when that was given."""
    held = [
        one
        for one in same
        if one.place is Place.IN_HAND and one.issue < card.issue and (one.is_his or reason in NEEDED)
    ]
    return max(held, key=lambda one: one.issue, default=None)


def _card_that_stands(known: Iterable[Card]) -> Card | None:
    """The KTP-el in his hand that no other is on its way for: nothing stands in for it."""
    cards = [one for one in known if one.product == DEFAULT_PRODUCT and one.is_his]
    newest = max(cards, key=lambda one: one.issue, default=None)
    return newest if newest is not None and newest.place is Place.IN_HAND else None


def _newest_first(card: Card) -> tuple[str, int, bool, int]:
    return card.product, -card.issue, card.is_forced, -card.fence
