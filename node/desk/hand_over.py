"""Giving a card to its owner: one product, its newest valid issue, against what has to come back for it.

Who took it away is kept with the event. The rules are `sepe.handing`'s and `sepe.reprints`'; here is what this
office knows, and one transaction for all that happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from node.desk.old_cards import OldCard, OldCards
from node.desk.standing import DEAD, DECIDED_OTHERWISE, DISPUTED, REPLACED, Standing, standing_of
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import SENT, Fact, JobState, facts_of
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.handing import Card, Given, Place, Receiver, Refusal, Refused, choose, give
from sepe.identity import keys_of
from sepe.nik import Nik
from sepe.reprints import EVIDENCE_CHARS_MAX, EVIDENCE_KEYS, LOST, OLD_CARD, POLICE_LETTER, SWAPPED, missing, shown
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2

NOTHING: Mapping[str, str] = MappingProxyType({})
HIMSELF = Receiver()
_PLACES = {
    JobState.PRINTED: Place.READY, JobState.HANDED_OVER: Place.IN_HAND, **dict.fromkeys(SENT, Place.MAKING),
    JobState.SPOILED: None, JobState.VOID: None,
}  # fmt: skip
_WHY = {
    "double_print": "kartu lain yang berlaku",
    "reissued": "sudah digantikan terbitan berikutnya",
    "identity": "pusat memutuskan identitas lain untuk NIK ini",
    "nik_replaced": "NIK ini sudah diganti oleh pusat",
    "death": DEAD,
    SWAPPED: "KTP-el sudah diserahkan sebagai gantinya",
}
_CARD_IS_OUT = "KTP-el sudah diserahkan"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What went over the desk.

    Attributes:
        left: older cards of his that are to be taken back.
        swapped: papers that stood in for it and count no more.
    """

    job: Job
    left: tuple[Card, ...] = ()
    swapped: tuple[Card, ...] = ()


def hand_over(
    store: NodeStore,
    nik: int,
    *,
    product: str | None,
    operator: str,
    now_ms: int,
    evidence: Mapping[str, str] = NOTHING,
    receiver: Receiver = HIMSELF,
    substitute: str = "",
    from_elsewhere: bool = False,
) -> HandedOver:
    """Mark the resident's newest valid issue of one product as handed over, with all that comes back for it.

    Args:
        product: ``None``: whichever lies ready, if that is one.
        evidence: what is shown now, by `sepe.reprints.EVIDENCE_KEYS`; what the recording named counts as well.
        substitute: what became of the paper in his hand that stood in for it: returned or lost.
        from_elsewhere: the old card's number is of a card that no machine here made.

    Raises:
        InvalidInputError: nothing of his may go over now, with what is to be done first; nothing is changed.
    """
    _check_written(evidence)
    with store.transaction():
        ledger, standing = Ledger(store), standing_of(store, nik)
        if standing.replaced_by:
            instead = Nik(f"{standing.replaced_by:016d}").masked
            raise _refusal(nik, REPLACED, f"Kartunya ditarik; yang berlaku NIK {instead}.")
        if standing.is_dead:
            raise _refusal(nik, DEAD, "Kartunya dimusnahkan, tidak diserahkan.")
        known = {job.name: (job, _recording(ledger, job)) for job in ledger.of_resident(nik)}
        cards = _cards(store, known.values(), standing)
        chosen = choose(cards, product)
        if isinstance(chosen, Refused):
            raise _refused(nik, chosen)
        job, recording = known[chosen.attempt]
        why = _verdict(standing, recording)
        if why and not (job.override and why == DISPUTED):
            raise _refusal(nik, why, "Kartunya tetap di sini sampai pusat memutuskan.")
        shown_now = {
            key: value for key in EVIDENCE_KEYS if (value := evidence.get(key) or recording.extra.get(key, ""))
        }
        _check_evidence(job, recording.reason, shown_now)
        his = [_as_his(one, known[one.attempt][1], recording) for one in cards]
        plan = give(chosen, his, reason=recording.reason, evidence=shown_now, substitute=substitute)
        if isinstance(plan, Refused):
            raise _refused(nik, plan)
        _end_others(
            store, plan, known, shown_now, reason=recording.reason, substitute=substitute,
            from_elsewhere=from_elsewhere, operator=operator, now_ms=now_ms,
        )  # fmt: skip
        told = ", ".join(f"{key}={value}" for key, value in shown_now.items()) if job.issue > 1 else ""
        job = ledger.settle(
            job.id, Fact.HANDED_OVER, now_ms=now_ms, operator=operator, reason=told, receiver=receiver
        )
        store.connection.execute(
            "INSERT OR REPLACE INTO receiver (job, received_by, name, document) VALUES (?, ?, ?, ?)",
            (job.id, receiver.received_by, receiver.name, receiver.document),
        )
        return HandedOver(job, plan.left, (*plan.swapped, *plan.withdrawn))


def receivers(store: NodeStore, jobs: Iterable[Job]) -> dict[int, Receiver]:
    """Who took these cards away, by the job's number; of whom that is known."""
    found = {}
    for job in jobs:
        row = store.connection.execute(
            "SELECT received_by, name, document FROM receiver WHERE job = ?", (job.id,)
        ).fetchone()
        if row is not None:
            found[job.id] = Receiver(*row)
    return found


def _check_written(evidence: Mapping[str, str]) -> None:
    for key, value in evidence.items():
        if key not in EVIDENCE_KEYS or len(value) > EVIDENCE_CHARS_MAX:
            raise InvalidInputError(
                f"bukti paling banyak {EVIDENCE_CHARS_MAX} karakter", field=key, value=value,
                hint=", ".join(EVIDENCE_KEYS),
            )  # fmt: skip


def _recording(ledger: Ledger, job: Job) -> event_pb2.Recorded:
    return event_pb2.Recorded.FromString(ledger.recording_of(job))


def _keys(recording: event_pb2.Recorded) -> frozenset[bytes]:
    return keys_of(recording.name, recording.birth_date, recording.sex)


def _verdict(standing: Standing, recording: event_pb2.Recorded) -> str:
    """What the centre's word on the resident says against a card of this recording; ``""``: nothing."""
    return standing.verdict(_keys(recording), is_disputed=False) if recording.name else ""


def _cards(store: NodeStore, known: Iterable[tuple[Job, event_pb2.Recorded]], standing: Standing) -> list[Card]:
    """The resident's cards and papers as this office knows them; those that never came to be left out."""
    found = []
    ended: list[OldCard] | None = None
    for job, recording in known:
        place = _PLACES.get(job.state, Place.WAITING)
        if place is None:
            continue
        if ended is None:
            ended = OldCards(store).of_resident(job.nik)
        why = next((one.reason for one in ended if one.is_about(job.name, job.product, job.serial)), "")
        if not why:
            why = _recall(store, job)
        if not why and _verdict(standing, recording) == DECIDED_OTHERWISE:
            why = "identity"  # A hub of the version before has no recall for it.
        found.append(
            Card(job.name, job.product, job.issue, job.serial, place, job.fence or 0, bool(job.override), why)
        )
    return found


def _recall(store: NodeStore, job: Job) -> str:
    """Why the centre wants this card back, whatever the reason; ``""``: it does not."""
    row = store.connection.execute(
        "SELECT reason FROM recall WHERE nik = ?1 AND product = ?2 "
        # Another office's card is none of ours whatever its number says.
        "AND (attempt = ?3 OR (serial = ?4 AND ?4 <> '' AND substr(node, 1, 6) = ?5))",
        (job.nik, job.product, job.name, job.serial, store.node[:6]),
    ).fetchone()
    return "" if row is None else str(row[0]) or "recall"


def _as_his(card: Card, recording: event_pb2.Recorded, now: event_pb2.Recorded) -> Card:
    """The card, marked where it bears the identity of somebody else than who stands at the desk."""
    same = not recording.name or not now.name or not _keys(recording).isdisjoint(_keys(now))
    return card if same else replace(card, is_his=False)


def _check_evidence(job: Job, reason: str, given: Mapping[str, str]) -> None:
    lacking = missing(job.product, reason, given) if job.issue > 1 else ()
    if lacking:
        raise _refusal(
            job.nik, f"untuk cetak ulang masih perlu: {shown(lacking)}",
            "sepe node hand-over DIR NIK --police-letter NOMOR --old-card SERI --proof NOMOR --skpwni NOMOR",
        )  # fmt: skip


def _end_others(
    store: NodeStore, plan: Given, known: Mapping[str, tuple[Job, event_pb2.Recorded]], given: Mapping[str, str],
    *, reason: str, substitute: str, from_elsewhere: bool, operator: str, now_ms: int,
) -> None:  # fmt: skip
    """End what comes back, what is lost, and what stood in for the card, in the caller's transaction."""
    card, old_cards, letter = plan.card, OldCards(store), given.get(POLICE_LETTER, "").strip()
    nik = known[card.attempt][0].nik
    if given.get(OLD_CARD) and card.product in BLANK_PRODUCTS:
        why = reason if reason in ("damaged", "data-change", "move-in") else "found"
        old_cards.take_back(
            nik,
            card.product,
            given[OLD_CARD],
            why,
            operator=operator,
            now_ms=now_ms,
            from_elsewhere=from_elsewhere,
        )

    def end(one: Card, why: str, document: str = "") -> None:
        old_cards.gone(
            nik, one.product, attempt=one.attempt, issue=one.issue, serial=one.serial, reason=why,
            document=document, operator=operator, now_ms=now_ms,
        )  # fmt: skip

    for one in plan.lost:
        end(one, LOST, letter)
    if plan.lost_up_to:
        end(Card("", card.product, plan.lost_up_to, "", Place.IN_HAND), LOST, letter)
    for one in plan.swapped:
        end(one, LOST if substitute == LOST else SWAPPED, letter if substitute == LOST else "")
    ledger = Ledger(store)
    for one in plan.withdrawn:
        job = known[one.attempt][0]
        if Fact.WITHDRAWN in facts_of(job.state):
            ledger.settle(job.id, Fact.WITHDRAWN, now_ms=now_ms, reason=_CARD_IS_OUT, operator=operator)
        else:
            end(one, SWAPPED)


def _refused(nik: int, refused: Refused) -> InvalidInputError:
    """A refusal in the words of the desk."""
    cards = refused.cards
    match refused.why:
        case Refusal.NOTHING:
            return _refusal(
                nik, "tidak ada cetakan yang siap diserahkan untuk NIK ini",
                "Lihat dengan: sepe node prints DIR --nik NIK",
            )  # fmt: skip
        case Refusal.SEVERAL:
            return _refusal(
                nik, f"beberapa dokumen siap, satu yang diserahkan: {', '.join(map(name_of, cards))}",
                " atau ".join(f"--product {product}" for product in sorted({one.product for one in cards})),
            )  # fmt: skip
        case Refusal.ENDED:
            one = cards[0]
            return _refusal(
                nik, f"{name_of(one)} harus ditarik, jangan diserahkan: {_WHY.get(one.ended, one.ended)}",
                _take_back(one),
            )  # fmt: skip
        case Refusal.NEWER_OUT:
            return _refusal(
                nik, f"{name_of(cards[0])} harus ditarik, jangan diserahkan: {name_of(cards[1])} sudah diserahkan",
                _take_back(cards[0]),
            )  # fmt: skip
        case Refusal.NEWER_MAKING:
            return _refusal(
                nik, f"{name_of(cards[1])} sedang dicetak; {name_of(cards[0])} tidak diserahkan lagi",
                "Tunggu cetakannya, atau selesaikan keraguannya: sepe node prints DIR --nik NIK",
            )  # fmt: skip
        case Refusal.SAME_CARD:
            return _refusal(nik, f"{cards[0].serial} kartu yang diserahkan, bukan kartu lama", "--old-card SERI")
        case Refusal.HOLDS_ANOTHER:
            return _refusal(
                nik, f"ia masih memegang {name_of(cards[0])}",
                f"Kartunya ditunjukkan: --old-card {cards[0].serial}; atau hilang: --police-letter NOMOR",
            )  # fmt: skip
        case Refusal.HOLDS_CARD:
            return _refusal(
                nik, f"ia memegang {name_of(cards[1])}; {cards[0].product} hanya penggantinya",
                "Bila kartunya hilang: sepe node take-back DIR NIK --lost --police-letter NOMOR "
                f"--serial {cards[1].serial}; atau rekam cetak ulangnya dahulu",
            )  # fmt: skip
        case Refusal.HOLDS_SUBSTITUTE:
            return _refusal(
                nik, f"ia masih memegang pengganti: {', '.join(map(name_of, cards))}",
                "Suratnya dikembalikan: --substitute returned; atau hilang: --substitute lost",
            )  # fmt: skip


def name_of(card: Card) -> str:
    """A card as people at the desk call it."""
    number = f" nomor {card.serial}" if card.serial else ""
    return f"{card.product} terbitan {card.issue}{number}"


def _take_back(card: Card) -> str:
    serial = f" --serial {card.serial}" if card.serial else f" --product {card.product}"
    return f"sepe node take-back DIR NIK{serial} --reason recall"


def _refusal(nik: int, rule: str, hint: str) -> InvalidInputError:
    return InvalidInputError(rule, field="nik", value=Nik(f"{nik:016d}").masked, hint=hint)
