"""The seeded people: the same for the same seed, fit for every rule, and honest about who comes twice."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from random import Random

import pytest

from sepe.errors import InvalidInputError
from sepe.recording import parse_recording
from sepe.text import checked_name
from sepe_io.regions import region_table
from surge import names
from surge.people import AGES, SEPE_MANISE_MIX, SEPE_MANISE_TOTAL, NikSpace, Person, Populace
from surge.visits import again, other_name, respelled, retyped, visits

TODAY = date(2024, 10, 1)


def populace(seed: int = 1, kecamatan: str = "537104", space: NikSpace | None = None) -> Populace:
    return Populace(Random(seed), kecamatan=kecamatan, today=TODAY, space=space)


def test_one_seed_gives_one_crowd_and_another_seed_another() -> None:
    assert list(populace(7).people(200)) == list(populace(7).people(200))
    assert list(populace(7).people(5)) != list(populace(8).people(5))


@pytest.mark.parametrize("kecamatan", ["537101", "537104", "537105", "530801", "530504"])
def test_every_line_passes_the_desks_rules(kecamatan: str) -> None:
    for person in populace(3, kecamatan).people(600):
        recording, warned = parse_recording(person.to_line(), today=TODAY, regions=region_table())
        assert recording.name == person.name
        assert all("satu kata" in text or "belum waktunya" in text for text in warned), warned


def test_every_nik_is_synthetic_fits_its_person_and_comes_once() -> None:
    space = NikSpace()
    crowd = [
        person
        for seed, kecamatan in enumerate(("537104", "537104", "537105"))
        for person in populace(seed, kecamatan, space).people(2_000)
    ]
    assert len({person.nik for person in crowd}) == len(crowd)
    for person in crowd:
        assert 9001 <= person.nik.serial <= 9999
        assert person.nik.sex == person.sex
        assert person.birth_date in person.nik.birth_date_candidates


def test_shares_of_one_kecamatan_never_deal_the_same_nik() -> None:
    days = (date(2007, 10, 1), date(2007, 10, 1))
    dealt: list[str] = []
    for share in range(3):
        crowd = populace(share, space=NikSpace(share, 3))
        dealt.extend(crowd.person("ktp-el", born=days).nik.value for _ in range(600))
    assert len(set(dealt)) == 1_800


def test_a_full_day_overflows_to_the_next_and_a_full_range_is_refused() -> None:
    crowd = populace()
    days = (date(2007, 10, 1), date(2007, 10, 2))
    taken = [crowd.person("ikd", born=days) for _ in range(4 * 999)]
    assert len({person.nik for person in taken}) == 4 * 999
    with pytest.raises(InvalidInputError, match="no NIK is left"):
        crowd.person("ikd", born=days)


@pytest.mark.parametrize(("share", "shares"), [(-1, 1), (1, 1), (0, 1000), (0, 0)])
def test_an_impossible_share_is_refused(share: int, shares: int) -> None:
    with pytest.raises(InvalidInputError):
        NikSpace(share, shares)


def test_an_unknown_kecamatan_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no such kecamatan"):
        populace(kecamatan="537199")


def test_the_mix_is_the_months_and_closes() -> None:
    assert sum(SEPE_MANISE_MIX.values()) == SEPE_MANISE_TOTAL == 9_062
    assert set(SEPE_MANISE_MIX) == set(AGES)
    count = 20_000
    found = Counter(person.product for person in populace().people(count))
    for product, weight in SEPE_MANISE_MIX.items():
        assert abs(found[product] / count - weight / SEPE_MANISE_TOTAL) < 0.015, product


def test_religions_lean_the_way_the_region_does() -> None:
    city = Counter(person.religion for person in populace().people(5_000))
    assert city["KRISTEN"] > city["KATHOLIK"] > city["ISLAM"] > city["HINDU"] > 0
    maumere = Counter(person.religion for person in populace(1, "530701").people(3_000))
    assert maumere["KATHOLIK"] > 0.8 * 3_000


def test_there_are_enough_names_and_all_of_them_are_writable() -> None:
    clans = {clan for people in names.PEOPLES.values() for clan in people.clans}
    given = {*names.GIVEN_MALE, *names.GIVEN_FEMALE, *names.GIVEN_MALE_MUSLIM, *names.GIVEN_FEMALE_MUSLIM}
    assert len(clans) >= 100
    assert len(given) >= 150
    for name in clans | given:
        assert checked_name(name, "name") == name
    assert sum(len(kelurahan) for kelurahan in names.KELURAHAN.values()) == 51


def test_some_people_have_one_name_and_clans_with_apostrophes_occur() -> None:
    crowd = [person.name for person in populace().people(5_000)]
    assert 50 < sum(" " not in name for name in crowd) < 500
    assert any("'" in name for name in crowd)


def test_households_share_card_address_and_clan() -> None:
    by_card: dict[str, list[Person]] = {}
    for person in populace().people(2_000):
        by_card.setdefault(person.kk, []).append(person)
    assert any(len(family) >= 3 for family in by_card.values())
    for family in by_card.values():
        assert len({(person.address, person.rt, person.mother_name) for person in family}) == 1


def test_visits_hold_their_shares_exactly_and_tell_the_truth() -> None:
    crowd = list(
        visits(populace(), Random(2), 4_000, repeat_share=0.1, conflict_share=0.01, second_nik_share=0.005)
    )
    assert Counter(visit.kind for visit in crowd) == {
        "first": 3_540,
        "repeat": 400,
        "conflict": 40,
        "second_nik": 20,
    }
    assert crowd[0].kind == "first"
    first_identity: dict[str, bytes] = {}
    contradicted = set()
    bodies = set()
    for visit in crowd:
        nik, identity = visit.person.nik.value, visit.person.identity
        body = (visit.person.name, visit.person.birth_date)
        if visit.kind == "repeat":
            assert first_identity[nik] == identity
        elif visit.kind == "conflict":
            assert first_identity[nik] != identity
            assert nik not in contradicted
            contradicted.add(nik)
        else:
            assert nik not in first_identity
            assert (visit.kind == "second_nik") <= (body in bodies)
            first_identity[nik] = identity
            bodies.add(body)


def test_no_nik_is_contradicted_twice_even_when_almost_all_are() -> None:
    crowd = list(visits(populace(), Random(2), 200, conflict_share=0.5))
    contradicted = [visit.person.nik for visit in crowd if visit.kind == "conflict"]
    assert len(set(contradicted)) == len(contradicted) == 100


def test_another_name_is_never_the_same_by_chance() -> None:
    person = populace().person()
    namesake = replace(person, name=other_name(person, Random(9)).name)
    assert other_name(namesake, Random(9)).identity != namesake.identity


def test_visits_are_the_same_for_the_same_seeds() -> None:
    runs = [list(visits(populace(5), Random(6), 300, repeat_share=0.2, conflict_share=0.1)) for _ in range(2)]
    assert runs[0] == runs[1]


def test_shares_that_leave_nobody_to_contradict_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        list(visits(populace(), Random(1), 100, conflict_share=0.6))
    assert list(visits(populace(), Random(1), 0)) == []


def test_retyping_keeps_the_identity_and_respelling_does_not() -> None:
    rng = Random(4)
    for person in populace().people(500):
        assert retyped(person, rng).identity == person.identity
        assert again(person, rng).identity == person.identity
        assert respelled(person, rng).identity != person.identity
        assert other_name(person, rng).identity != person.identity
    yohanes = replace(person, name="YOHANES LAY")
    assert respelled(yohanes, rng).name == "JOHANES LAY"


def test_no_real_number_can_come_out() -> None:
    assert all(re.fullmatch(r"\d{12}9\d{3}", person.nik.value) for person in populace().people(1_000))
