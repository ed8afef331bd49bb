"""Who comes to a desk twice: visits with the repeats and contradictions that the hub has to find.

:func:`visits` says of every visit which kind it is, so that a run's figures can be checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from sepe.errors import InvalidInputError
from surge import names
from surge.people import REASON_DRAWS, Person, Populace, full_name, pick

NAME_TRIES_MAX = 50

_VARIANTS = {**dict(names.SPELLINGS), **{other: usual for usual, other in names.SPELLINGS}}


@dataclass(frozen=True, slots=True)
class Visit:
    """One line at a desk.

    Attributes:
        kind: ``first``; ``repeat`` (same person again, perhaps typed differently, must count as a duplicate);
            ``conflict`` (a NIK that already came, with another name); ``second_nik`` (a person who already
            came, under another NIK).
    """

    kind: str
    person: Person


def visits(
    populace: Populace,
    rng: Random,
    count: int,
    *,
    repeat_share: float = 0.0,
    conflict_share: float = 0.0,
    second_nik_share: float = 0.0,
) -> Iterator[Visit]:
    """``count`` visits in which each share holds exactly, rounded; the first visit is always a new person.

    A NIK is contradicted at most once and always after its first visit, so the expected figures are plain:
    residents = ``first`` + ``second_nik``, duplicates = ``repeat``, cases = ``conflict``.

    Raises:
        InvalidInputError: the shares leave too few first visits to repeat or contradict.
    """
    kinds = (
        ["repeat"] * round(count * repeat_share)
        + ["conflict"] * round(count * conflict_share)
        + ["second_nik"] * round(count * second_nik_share)
    )
    firsts = count - len(kinds)
    if firsts < max(1, kinds.count("conflict")) and count:
        raise InvalidInputError("too few first visits for these shares", field="repeat_share", value=firsts)
    kinds += ["first"] * firsts
    rng.shuffle(kinds)
    known: list[Person] = []
    uncontradicted: list[Person] = []
    while kinds:
        index = len(kinds) - 1
        # Somebody must have come before they can come again.
        while (kinds[index] != "first" and not known) or (kinds[index] == "conflict" and not uncontradicted):
            index -= 1
        kind = kinds.pop(index)
        if kind == "first":
            person = populace.person()
            known.append(person)
            uncontradicted.append(person)
        elif kind == "repeat":
            person = retyped(again(pick(rng, known), rng), rng)
        elif kind == "conflict":
            chosen = int(rng.random() * len(uncontradicted))
            person = uncontradicted[chosen]
            uncontradicted[chosen] = uncontradicted[-1]
            uncontradicted.pop()
            person = other_name(person, rng)
        else:
            person = populace.second_nik(pick(rng, known))
        yield Visit(kind, person)


def again(person: Person, rng: Random) -> Person:
    """The same person at a desk once more: the same identity, perhaps for another reason."""
    weights = REASON_DRAWS.get(person.product)
    return person if weights is None else replace(person, reason=weights.draw(rng))


def retyped(person: Person, rng: Random) -> Person:
    """The same name as another operator types it: other case, spacing or punctuation, never other letters."""
    name = person.name
    way = int(rng.random() * 5)
    if way == 0:
        name = name.title()
    elif way == 1:
        name = name.replace(" ", "  ", 1)
    elif way == 2:
        name = name.replace("'", "")
    elif way == 3:
        name = f" {name.lower()}"
    return replace(person, name=name)


def respelled(person: Person, rng: Random) -> Person:
    """The same person under a usual variant spelling (Yohanes, Johanes): another name to the hub.

    Without a name that has variants, one doubled letter is dropped or one added.
    """
    words = person.name.split(" ")
    known = [index for index, word in enumerate(words) if word in _VARIANTS]
    index = pick(rng, known) if known else int(rng.random() * len(words))
    word = words[index]
    words[index] = _VARIANTS.get(word) or (word[:-1] if word[-1:] == word[-2:-1] else word + word[-1])
    return replace(person, name=" ".join(words))


def other_name(person: Person, rng: Random) -> Person:
    """Somebody else under this NIK: same birth date and sex, a name that the hub cannot take for the same."""
    muslim = person.religion == "ISLAM"
    clans = names.CLANS_MUSLIM if muslim else names.CLANS_TIMOR + names.CLANS_ROTE
    for _ in range(NAME_TRIES_MAX):
        other = replace(person, name=full_name(rng, pick(rng, clans), person.sex, person.religion))
        if other.identity != person.identity:
            return other
    return replace(person, name=f"{person.name} BARU")
