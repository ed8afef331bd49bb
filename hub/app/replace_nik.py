"""An officer says that one NIK is another: see `sepe.replaced`."""

from __future__ import annotations

from dataclasses import dataclass

from hub.app.decide import check_reason
from hub.app.effects import Effects, Word, apply, effects_of
from hub.merge import log
from hub.merge.project import fold_events, last_of
from hub.merge.store import HubStore
from hub.read.person import at
from sepe.errors import InvalidInputError
from sepe.events import Draft
from sepe.nik import NIK_DIGITS, Nik
from sepe.replaced import WHYS, replaced_by, words
from sepe.resident import Replacement


@dataclass(frozen=True, slots=True)
class Replacing:
    """A word that could be said; no drafts: it was said before, and stands."""

    drafts: tuple[Draft, ...]
    effects: Effects


def plan(
    store: HubStore, old: Nik, new: Nik, *, why: str, reason: str, officer: str, now_ms: int, revise: bool = False,
    undo: bool = False,
) -> Replacing:  # fmt: skip
    """What the word would be and do; nothing is written.

    Raises:
        InvalidInputError: an unknown reason, a number that is itself replaced, a circle, or another word on the
        old
            number without ``revise``.
    """
    check_reason(reason)
    if why not in WHYS:
        raise InvalidInputError("no such reason", field="--why", value=why, hint=", ".join(WHYS))
    if old == new:
        raise InvalidInputError("a number is not replaced by itself", field="NEW", value=new.masked)
    store.project()
    connection = store.connection
    resident = fold_events(log.events_of(connection, [old.number])[old.number])
    said, current = words(resident), replaced_by(resident)
    target = 0 if undo else new.number
    if undo and current != new.number:
        raise InvalidInputError(
            "OLD is not said to be NEW", field="NEW", value=new.masked, hint="`sepe hub person DIR OLD` shows it."
        )
    if not undo:
        _check_target(store, old, new)
        if len(said) == 1 and current == new.number:
            return Replacing((), effects_of(connection, (), now_ms))
        if any(one.new_nik for one in said) and not revise:
            raise InvalidInputError(
                f"another word on this number stands: {'; '.join(map(_told, said))}", field="OLD",
                value=old.masked, hint="To say it anew: --revise",
            )  # fmt: skip
    word = Word(old.number, target, why, reason.strip(), officer, tuple(one.version.event_id for one in said))
    drafts = word.drafts()
    return Replacing(drafts, effects_of(connection, drafts, now_ms))


def take(store: HubStore, replacing: Replacing, now_ms: int) -> None:
    """Write a word that was planned."""
    apply(store, replacing.drafts, now_ms)


def _check_target(store: HubStore, old: Nik, new: Nik) -> None:
    """Raises InvalidInputError when ``new`` does not count itself, or counts as ``old``."""
    resident = fold_events(log.events_of(store.connection, [new.number])[new.number])
    instead = replaced_by(resident)
    if not instead:
        return
    final = last_of(store.connection, new.number, resident) or instead
    if old.number in (instead, final):
        raise InvalidInputError(
            "this would be a circle: NEW is said to be OLD", field="NEW", value=new.masked,
            hint="Take that back first: sepe hub replace-nik DIR NEW OLD --undo …",
        )  # fmt: skip
    raise InvalidInputError(
        "this number is itself replaced", field="NEW", value=new.masked,
        hint=f"Name the one that counts: {str(final).zfill(NIK_DIGITS)}",
    )  # fmt: skip


def _told(word: Replacement) -> str:
    new = Nik(str(word.new_nik).zfill(NIK_DIGITS)).masked if word.new_nik else "itself again"
    return f"{word.officer} said {new} ({word.why}) {at(word.version.stamp)}, because: {word.reason}"
