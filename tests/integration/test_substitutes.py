"""What stands in for a KTP-el that is not printed yet is settled for each election."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.printing.ledger import Ledger
from node.printing.queue import POLICY_NAME, load_policy
from sepe.errors import InvalidInputError
from tests.support.office import HOME_NIK, line, make_office, record


def test_only_the_substitute_of_this_election_is_recorded_and_once_for_each_person(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    (store.folder / POLICY_NAME).write_text('vote_day = "2024-11-27"\nsubstitute = "biodata"\n', encoding="utf-8")
    answers = record(store, line(product="suket"), line(product="biodata"), line(product="biodata"))
    assert [answer.ok for answer in answers] == [False, True, True]
    assert answers[0].error is not None and "biodata" in str(answers[0].error)
    assert [job.product for job in Ledger(store).of_resident(int(HOME_NIK))] == ["biodata"], (
        "asked for twice, made once"
    )
    (store.folder / POLICY_NAME).unlink()
    assert record(store, line(product="suket"))[0].ok, "between elections either is made"
    store.close()


def test_a_substitute_that_is_no_paper_of_ours_is_a_slip_of_the_pen(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    (store.folder / POLICY_NAME).write_text('substitute = "ktp"\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match="suket, biodata"):
        load_policy(store.folder, store.node)
    store.close()
