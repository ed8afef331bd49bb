"""A NIK that is another one: mistyped, a person's second, a temporary number, or replaced by the centre.

An officer says so (`Replacement`), under both numbers. From then on the old number's cards are void, nothing is
printed under it, and its claims stand under the new one, where they agree or disagree with what is there like any
others. Each word names the earlier ones that its officer saw, and takes their place. Where several are left that
name different numbers,
nobody decided between them: a `REPLACED_TWICE` case, and the newest counts meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from sepe.resident import Replacement, Resident

REPLACED_TWICE = "replaced_twice"
MISTYPED, DOUBLE, TEMPORARY, CENTRE = "mistyped", "double", "temporary", "replaced"
WHYS = (MISTYPED, DOUBLE, TEMPORARY, CENTRE)
# A number is replaced once or twice in a life; a longer way is an error of many people.
STEPS_MAX = 16


def words(resident: Resident) -> tuple[Replacement, ...]:
    """What officers said of this NIK that no later word takes the place of, oldest first."""
    own = [one for one in resident.replacements if not one.old_nik]
    seen = {ref for one in own for ref in one.seen}
    return tuple(sorted(one for one in own if one.version.event_id not in seen))


def replaced_by(resident: Resident) -> int:
    """The NIK that counts instead of this one; 0: this one counts."""
    if not resident.replacements:
        return 0
    left = words(resident)
    return left[-1].new_nik if left else 0


def is_contested(resident: Resident) -> bool:
    """Whether officers named different numbers without having seen each other's word."""
    return len({one.new_nik for one in words(resident)}) > 1


def older_niks(resident: Resident) -> frozenset[int]:
    """NIK of which somebody said that they are this one; whether they still are, their own records say."""
    return frozenset(one.old_nik for one in resident.replacements if one.old_nik)


def carried_over(old: Resident) -> Resident:
    """What of an old number's record stands under the new one: who the person is, not cards and decisions."""
    return Resident(claims=old.claims, fields=old.fields, corrections=old.corrections)


def with_older(resident: Resident, nik: int, record_of: Callable[[int], Resident]) -> Resident:
    """The record with what it has from the numbers that are now this one, directly or by way of others.

    A circle of replacements carries nothing round: each number is taken once.
    """
    if not resident.replacements:
        return resident
    found, waiting, taken = resident, [(resident, nik)], {nik}
    for _ in range(STEPS_MAX):
        if not waiting:
            break
        record, number = waiting.pop()
        for old_nik in sorted(older_niks(record) - taken):
            taken.add(old_nik)
            old = record_of(old_nik)
            if replaced_by(old) == number:
                found = found.join(carried_over(old))
                waiting.append((old, old_nik))
    return found
