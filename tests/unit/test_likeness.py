"""When two NIK may be one person: examples from both sides of the line."""

from __future__ import annotations

import pytest

from sepe.likeness import Sketch, keys_of, likeness, sketch_of
from sepe.resident import NOBODY, fold
from tests.support.world import Node, corrected, nik_of, recorded

MOTHER = "ROSALINA LAY"


def person(name: str, date: str = "1990-03-05", sex: str = "P", place: str = "KUPANG", mother: str = "") -> Sketch:
    return Sketch(((name, date, sex),), place, mother)


@pytest.mark.parametrize(
    ("one", "other", "reasons"),
    [
        (person("MARIA TAEK"), person("Maria Ta'ek"), "same_name same_birth_date same_birth_place"),
        (person("MARIA TAEK"), person("TAEK MARIA", place="Kota Kupang"), "same_name same_birth_date same_birth_place"),
        (person("MARIA TAEK"), person("MARIA TAEK", "1990-05-03"), "same_name swapped_birth_date same_birth_place"),
        # Nothing but the key of name and date leads from one to the other.
        (
            person("MARIA TAEK"),
            person("MARIA TAEK", "1990-05-03", place="KUPAN"),
            "same_name swapped_birth_date same_birth_place",
        ),
        (person("MARIA TAEK"), person("MARIA TAEK", "1990-03-08"), "same_name mistyped_birth_date same_birth_place"),
        (person("MOCH. DJOENAEDI"), person("MUHAMMAD JUNAEDI"), "same_name same_birth_date same_birth_place"),
        (person("HJ. SITTI AISYAH"), person("SITI AISYA, S.PD"), "same_name same_birth_date same_birth_place"),
        (person("NURHALIMAH"), person("NUR HALIMAH"), "same_name same_birth_date same_birth_place"),
        (person("MARIA TAEK"), person("MARIA TAEK", sex="L"), "same_name same_birth_date same_birth_place"),
        (
            person("MARIA TAEK", place="", mother=MOTHER),
            person("MARIA TAIK", place="SOE", mother="ROSALINA LAI"),
            "close_name same_birth_date same_mother",
        ),
        (
            person("MARIA TAEK", mother=MOTHER),
            person("MARIA TAEK", "1980-03-05", mother=MOTHER),
            "same_name mistyped_birth_date same_mother same_birth_place",
        ),
        (
            person("MARIA T", mother=MOTHER),
            person("MARIA TAEK", mother=MOTHER),
            "close_name same_birth_date same_mother same_birth_place",
        ),
    ],
)  # fmt: skip
def test_these_may_be_one_person_and_share_a_key(one: Sketch, other: Sketch, reasons: str) -> None:
    assert " ".join(likeness(one, other) or ()) == reasons
    assert keys_of(one) & keys_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Neither mother nor place is known to be the same.
        (person("MARIA TAEK"), person("MARIA TAEK", place="SOE")),
        (person("MARIA TAEK", place=""), person("MARIA TAEK", place="")),
        # Two women of one name, born on one day in one town, of two mothers.
        (person("MARIA TAEK", mother=MOTHER), person("MARIA TAEK", mother="BETI NALLE")),
        # Twins: nothing but a name that is near, and another sex.
        (person("MARIO TAEK", sex="L", mother=MOTHER), person("MARIA TAEK", mother=MOTHER)),
        # Short names are near to everything.
        (person("ANA", mother=MOTHER), person("ANI", mother=MOTHER)),
        # Neither name nor date is the same.
        (person("MARIA TAEK", mother=MOTHER), person("MARIA TAIK", "1990-05-03", mother=MOTHER)),
        (person("MARIA TAEK"), person("MARIA TAEK", "1990-07-19")),
        (person("MARIA TAEK LAY", mother=MOTHER), person("MARIA", mother=MOTHER)),
    ],
)
def test_these_are_two_people(one: Sketch, other: Sketch) -> None:
    assert likeness(one, other) is None


def test_while_offices_disagree_each_identity_counts_and_the_last_word_on_the_mother() -> None:
    node = Node("537104-1")
    nik = nik_of(1)
    node.write(
        recorded(nik, "YOHANES LAY", birth_place="SOE", mother_name="BETI NALLE"),
        recorded(nik, "MARIA TAEK"),
        recorded(nik, "Maria Ta'ek"),
        corrected(nik, mother_name=MOTHER),
    )
    found = sketch_of(fold(node.events()))
    assert found is not None
    assert [name for name, _, _ in found.identities] == ["MARIA TAEK", "YOHANES LAY"]
    assert (found.birth_place, found.mother_name) == ("SOE", MOTHER)
    assert sketch_of(NOBODY) is None


def test_what_cannot_be_compared_has_no_keys() -> None:
    assert keys_of(person("...")) == frozenset() == keys_of(person("MARIA TAEK", "31-12-1990"))
