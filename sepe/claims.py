"""Whose a NIK is: which claims count, which mean the same person, and what an officer decided between them.

A claim stops counting when its own office corrects it. Two ways, each bounded so that no office can rename a
stranger:

- a *correction* of one's own typing (`Correction`) supersedes the claims that it names, if all are of the same
  office, at most `TYPING_MS_MAX` older, and nothing was handed over to the resident there before; later only with
  the evidence that the law asks for a change of data;
- a recording with the reason ``data-change`` and that evidence supersedes every earlier claim of the identity
  under which that office knew the resident.

A correction that may not supersede is a claim like any other: where it disagrees, that is a case. So is a
stranger's different claim. Everything here is a function of the record, so every order of the events gives the
same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sepe.hlc import wall_ms_of
from sepe.ids import EventId, kecamatan_of
from sepe.resident import Claim, Correction, Decision, Resident
from sepe.wire.v1 import event_pb2

NIK_CONFLICT = "nik_conflict"
TYPING_MS_MAX = 24 * 3_600_000
CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one record, read once.

    Attributes:
        known: every claim and correction ever made, by its event.
        counting: those that no correction superseded, earliest first.
        number: which identity each known claim has; equal numbers mean the same person, the earliest has the
        least.
        corrected: by which event a claim was superseded.
        decision: the officers' last word on whose the NIK is; ``None`` without one whose claim is known.
        kept: the claim that it keeps, or that its office corrected it to.
        is_on_hold: identities disagree, and no decision covers all that count now.
    """

    known: Mapping[EventId, Claim]
    counting: tuple[Claim, ...]
    number: Mapping[EventId, int]
    corrected: Mapping[EventId, EventId]
    decision: Decision | None
    kept: Claim | None
    is_on_hold: bool

    @property
    def standing(self) -> Claim | None:
        """The claim whose identity the record shows: the one an officer kept last, else the earliest."""
        return self.kept or next(iter(self.counting), None)

    def agree(self, one: Claim, other: Claim) -> bool:
        """Whether two known claims mean the same person."""
        return self.number[one.id] == self.number[other.id]

    def final(self, claim: Claim) -> Claim:
        """The claim itself, or the one that superseded it in the end."""
        while claim.id in self.corrected:
            claim = self.known[self.corrected[claim.id]]
        return claim

    def identities(self) -> tuple[Claim, ...]:
        """The earliest counting claim of each identity, earliest first."""
        first: dict[int, Claim] = {}
        for claim in self.counting:
            first.setdefault(self.number[claim.id], claim)
        return tuple(first.values())

    def is_lost(self, claim: Claim) -> bool:
        """Whether this identity is not the standing one, and nothing is left to decide about that.

        While a conflict is open, an identity that no officer saw yet is in question, not lost.
        """
        number = self.number[claim.id]
        if self.standing is None or number == self.number[self.standing.id]:
            return False
        if not self.is_on_hold or all(number != self.number[one.id] for one in self.counting):
            return True
        seen = self.decision.seen if self.decision is not None else ()
        return any(self.number.get(ref) == number for ref in seen)


def claims_of(resident: Resident) -> Claims:
    """The claims of a record, with what corrections and decisions make of them."""
    known = {claim.id: claim for claim in resident.claims}
    corrected: dict[EventId, EventId] = {}
    if resident.corrections or any(claim.is_proven for claim in resident.claims):
        _correct(resident, known, corrected)
    ordered = sorted(known.values())
    number = _numbers(ordered)
    counting = tuple(claim for claim in ordered if claim.id not in corrected)
    decision = max(
        (one for one in resident.decisions if one.case_kind == NIK_CONFLICT and one.keep in known), default=None
    )
    disagree = len({number[claim.id] for claim in counting}) > 1
    found = Claims(known, counting, number, corrected, decision, None, is_on_hold=False)
    if decision is not None:
        found = replace(found, kept=found.final(known[decision.keep]))
    return replace(found, is_on_hold=disagree and not _is_settled(resident, found))


def identities(resident: Resident) -> tuple[Claim, ...]:
    """The earliest counting claim of each identity, earliest first."""
    return claims_of(resident).identities()


def standing_claim(resident: Resident) -> Claim | None:
    """The claim whose identity the record shows: the one an officer kept last, else the earliest."""
    return claims_of(resident).standing


def _is_settled(resident: Resident, claims: Claims) -> bool:
    """One decision saw a claim of every identity that counts now, or what the law has changed one into since."""
    current = {claims.number[claim.id] for claim in claims.counting}
    for decision in resident.decisions:
        if decision.case_kind != NIK_CONFLICT or decision.keep not in claims.known:
            continue
        seen = [claims.known[ref] for ref in decision.seen if ref in claims.known]
        changed = (claims.final(claim) for claim in seen)
        covered = {claims.number[claim.id] for claim in [*seen, *(one for one in changed if one.is_proven)]}
        if covered >= current:
            return True
    return False


def _correct(resident: Resident, known: dict[EventId, Claim], corrected: dict[EventId, EventId]) -> None:
    """Enter the corrections into ``known``, and what they supersede into ``corrected``; earliest first."""
    words: list[Correction | Claim] = [*resident.corrections, *(one for one in known.values() if one.is_proven)]
    for word in sorted(words, key=lambda one: one.version):
        by = word.version.event_id
        if isinstance(word, Correction):
            targets = [known[ref] for ref in word.corrects if ref in known]
            asked = max(targets, default=None, key=lambda one: (one.issue, one.version))
            known[by] = Claim(
                word.version, word.name, word.birth_date, word.sex, asked.product if asked else "", CORRECTION,
                asked.issue if asked else 0,
            )  # fmt: skip
            if not _may_correct(resident, word, targets):
                continue
        else:
            targets = _changed_by(word, known.values())
        corrected.update((one.id, by) for one in targets if one.id != by and one.version < word.version)


def _may_correct(resident: Resident, word: Correction, targets: Iterable[Claim]) -> bool:
    """Whether all of ``targets`` are this office's own fresh typing; see the module."""
    office = kecamatan_of(word.version.node)
    said_ms = wall_ms_of(word.version.stamp)
    if any(kecamatan_of(one.version.node) != office for one in targets):
        return False
    if word.is_proven:
        return True
    if any(said_ms - wall_ms_of(one.version.stamp) > TYPING_MS_MAX for one in targets):
        return False
    return not any(
        step.state == event_pb2.CARD_STATE_HANDED_OVER
        and step.version < word.version
        and kecamatan_of(step.version.node) == office
        for step in resident.steps
    )


def _changed_by(claim: Claim, known: Iterable[Claim]) -> list[Claim]:
    """The earlier claims of the identities under which this claim's office knew the resident."""
    earlier = [one for one in known if one.version < claim.version]
    office = kecamatan_of(claim.version.node)
    keys = {key for one in earlier if kecamatan_of(one.version.node) == office for key in one.keys}
    return [one for one in earlier if not keys.isdisjoint(one.keys)]


def _numbers(ordered: Iterable[Claim]) -> dict[EventId, int]:
    """Which claims share a key, directly or by way of others."""
    parents: list[int] = []
    by_key: dict[bytes, int] = {}
    place: dict[EventId, int] = {}

    def root(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    for claim in ordered:
        found = sorted({root(by_key[key]) for key in claim.keys if key in by_key})
        if not found:
            found = [len(parents)]
            parents.append(found[0])
        for other in found[1:]:
            parents[other] = found[0]
        place[claim.id] = found[0]
        by_key.update(dict.fromkeys(claim.keys, found[0]))
    return {event: root(number) for event, number in place.items()}
