"""One person with two NIK: the hint at the hub, the officer's word on it, and that both survive everything."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hub.cli import app
from hub.merge import likeness as projector
from hub.merge import log
from hub.merge.digest import digest
from hub.merge.project import fold_events
from hub.merge.rebuild import rebuild
from hub.merge.store import HubStore
from hub.read.hints import hints
from sepe.events import Draft
from sepe.likeness import BLOCK_NIKS_MAX, keys_of, likeness, sketch_of
from sepe_io.sqlite import transaction
from tests.support.hubs import count, new_hub, send, settle
from tests.support.world import START_MS, Node, corrected, nik_of, recorded

FIRST, SECOND = "537104-1", "537105-1"
NIK, OTHER = nik_of(1), nik_of(1, "537105")
MARIA = {"name": "MARIA TAEK", "birth_date": "1990-03-05", "birth_place": "KUPANG"}
runner = CliRunner()


def maria(nik: int, **changed: str) -> Draft:
    return recorded(nik, **{**MARIA, **changed})


def pairs(store: HubStore) -> list[tuple[int, int, str]]:
    store.project_hints()
    return list(store.connection.execute("SELECT nik, other, reasons FROM likeness_hint ORDER BY nik, other"))


def told(*arguments: str, code: int = 0) -> Any:
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def state(store: HubStore) -> tuple[object, ...]:
    """All that the projector keeps, and the digest."""
    tables = [
        store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        for table in ("likeness", "likeness_key", "likeness_hint")
    ]
    return digest(store.connection).digest, *tables


def test_two_offices_record_one_person_under_two_niks_and_an_officer_closes_the_hint(tmp_path: Path) -> None:
    nodes = [Node(FIRST), Node(SECOND)]
    nodes[0].write(maria(NIK), recorded(nik_of(2), "YOHANES LAY", birth_place="SOE"))
    nodes[1].write(maria(OTHER, name="Maria Ta'ek", birth_date="1990-05-03", birth_place="Kota Kupang"))
    with new_hub(tmp_path / "hub", nodes) as store:
        for node in nodes:
            send(store, node.frames())
    where = str(tmp_path / "hub")
    assert told("cases", where) == []
    (hint,) = told("cases", where, "--kind", "same_person")
    assert (hint["nik"], hint["other_nik"], hint["open"]) == (f"{NIK:016}", f"{OTHER:016}", True)
    assert hint["reasons"] == ["same_name", "swapped_birth_date", "same_birth_place"]
    assert told("person", where, f"{OTHER:016}")["same_person"] == [hint]
    assert told("person", where, f"{nik_of(2):016}")["same_person"] == []
    listed = runner.invoke(app, ["cases", where, "--kind", "same_person"]).stdout
    assert hint["id"] in listed and f"{NIK:016}" not in listed and f"{OTHER:016}" not in listed
    assert "1 hints" in runner.invoke(app, ["cases", where]).output

    refused = runner.invoke(app, ["decide", where, hint["id"], "--keep", "1", "--reason", "KK 5371"])
    assert refused.exit_code != 0
    closed = told(
        "decide", where, hint["id"][:6], "--keep", f"{NIK:016}", "--reason", "KK 5371", "--officer", "ANA"
    )
    assert not closed["open"] and closed["decision"]["keep"] == f"{NIK:016}"
    assert told("cases", where, "--kind", "same_person") == []
    assert told("cases", where, "--kind", "same_person", "--all")[0]["decision"]["officer"] == "ANA"
    lines = runner.invoke(app, ["export", where, "--what", "cases"]).stdout.splitlines()
    # With the hint the identity was decided that stands under the number that stays.
    assert [(one["kind"], one["open"]) for one in map(json.loads, lines)] == [
        ("nik_conflict", False), ("same_person", False)
    ]  # fmt: skip
    # The other number is this one from now on, and its claim stands here.
    person, gone = (told("person", where, f"{nik:016}") for nik in (NIK, OTHER))
    assert not person["card_on_hold"] and len(person["claims"]) == 2 and person["replaces"] == [f"{OTHER:016}"]
    assert person["fields"]["birth_date"]["value"] == "1990-03-05"
    assert gone["replaced_by"] == f"{NIK:016}"

    # The decision is an event: a rebuild finds it, and a later one on another reading stands.
    before = told("rebuild", where)
    assert before["digest"] == before["digest_before"]
    (again,) = told("cases", where, "--kind", "same_person", "--all")
    assert again == {key: closed[key] for key in again}
    assert (
        told("decide", where, hint["id"], "--keep", "both", "--reason", "twins", "--revise")["decision"]["keep"]
        == "both"
    )
    assert told("person", where, f"{OTHER:016}")["replaced_by"] is None
    assert len(told("person", where, f"{NIK:016}")["claims"]) == 1


def test_a_number_that_is_replaced_otherwise_closes_the_hint_too(tmp_path: Path) -> None:
    nodes = [Node(FIRST), Node(SECOND)]
    for node, nik in zip(nodes, (NIK, OTHER), strict=True):
        node.write(maria(nik))
    with new_hub(tmp_path / "hub", nodes) as store:
        for node in nodes:
            send(store, node.frames())
    where = str(tmp_path / "hub")
    assert len(told("cases", where, "--kind", "same_person")) == 1
    words = ("--why", "double", "--reason", "KK", "--officer", "ANA")
    assert told("replace-nik", where, f"{NIK:016}", f"{OTHER:016}", *words)["changed"]
    assert told("cases", where, "--kind", "same_person") == []
    (closed,) = told("cases", where, "--kind", "same_person", "--all")
    assert closed["decision"]["keep"] == f"{OTHER:016}"


def test_a_hint_ends_when_the_records_are_put_right_and_a_common_key_gives_none(tmp_path: Path) -> None:
    node = Node(FIRST)
    with new_hub(tmp_path / "hub", [node]) as store:
        node.write(maria(NIK), maria(OTHER))
        send(store, [node.frame()])
        assert [row[:2] for row in pairs(store)] == [(NIK, OTHER)]
        node.write(corrected(NIK, mother_name="ROSA LAY"), corrected(OTHER, mother_name="BETI NALLE"))
        send(store, [node.frame(3)])
        assert pairs(store) == []
        node.write(*(maria(nik_of(number)) for number in range(10, 10 + BLOCK_NIKS_MAX - 2)))
        send(store, [node.frame(5)])
        few = (BLOCK_NIKS_MAX - 2) * (BLOCK_NIKS_MAX - 3) // 2 + 2 * (BLOCK_NIKS_MAX - 2)
        assert len(pairs(store)) == few
        # One more, and there are too many of that name and day for it to say anything.
        node.write(maria(nik_of(40)))
        send(store, [node.frame(node.last_seq)])
        assert pairs(store) == []


def test_a_damaged_frame_hides_its_own_residents_only_until_it_is_back(tmp_path: Path) -> None:
    nodes = [Node(FIRST), Node(SECOND)]
    for node, nik in zip(nodes, (NIK, OTHER), strict=True):
        node.write(maria(nik))
    with new_hub(tmp_path / "hub", nodes) as store:
        send(store, [node.frame() for node in nodes])
        data = store.connection.execute("SELECT data FROM frame WHERE number = 1").fetchone()[0]
        half, damage = len(data) // 2, "UPDATE frame SET data = ? WHERE number = 1"
        store.connection.execute(damage, (data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],))
        assert pairs(store) == [] and count(store, "SELECT COUNT(*) FROM likeness") == 1
        assert not store.step_hints()
        store.connection.execute(damage, (data,))
        assert [row[:2] for row in pairs(store)] == [(NIK, OTHER)]
        # Later, what a good frame says of him cannot be joined with what the damaged one said: he stays as he was.
        store.connection.execute(damage, (data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :],))
        nodes[0].write(corrected(NIK, mother_name="ROSA LAY"))
        nodes[1].write(corrected(OTHER, mother_name="BETI NALLE"))
        send(store, [node.frame(2) for node in nodes])
        assert [row[:2] for row in pairs(store)] == [(NIK, OTHER)]
        store.connection.execute(damage, (data,))
        assert pairs(store) == []
        assert count(store, "SELECT COUNT(*) FROM likeness_unread") == 0


def test_a_log_that_is_another_one_is_read_from_its_beginning(tmp_path: Path) -> None:
    node = Node(FIRST)
    node.write(maria(NIK), maria(OTHER))
    with new_hub(tmp_path / "hub", [node]) as store:
        send(store, [node.frame()])
        found = pairs(store)
        with transaction(store.connection):
            store.connection.execute(
                "UPDATE meta SET value = ? WHERE name = 'likeness'", (bytes(7) + b"\x09" + b"x",)
            )
            store.connection.execute("DELETE FROM likeness_hint")
        assert pairs(store) == found and len(found) == 1


NIKS = [nik_of(number) for number in range(5)]
drafts = st.one_of(
    st.builds(
        lambda nik, name, date, mother: maria(nik, name=name, birth_date=date, mother_name=mother),
        st.sampled_from(NIKS),
        st.sampled_from(["MARIA TAEK", "Taek Maria", "MARIA TAIK", "YOHANES LAY"]),
        st.sampled_from(["1990-03-05", "1990-05-03", "1990-03-06"]),
        st.sampled_from(["", "ROSA LAY", "BETI NALLE"]),
    ),
    st.builds(
        lambda nik, mother: corrected(nik, mother_name=mother),
        st.sampled_from(NIKS),
        st.sampled_from(["ROSA LAY", "BETI NALLE"]),
    ),
)


def pure(store: HubStore, limit: int) -> list[tuple[int, int, str]]:
    """The hints by the rule alone: every pair that shares a key which few share."""
    found = log.events_of(store.connection, NIKS)
    sketches = {nik: sketch_of(fold_events(events)) for nik, events in found.items()}
    keys = {nik: keys_of(sketch) if sketch else frozenset() for nik, sketch in sketches.items()}
    sizes = {key: sum(key in mine for mine in keys.values()) for every in keys.values() for key in every}
    hinted = []
    for one, other in combinations(NIKS, 2):
        mine, theirs = sketches[one], sketches[other]
        if mine and theirs and any(sizes[key] <= limit for key in keys[one] & keys[other]):
            reasons = likeness(mine, theirs)
            if reasons:
                hinted.append((one, other, " ".join(reasons)))
    return sorted(hinted)


def shuffled(nodes: Iterable[Node], rng: random.Random) -> list[bytes]:
    frames = [frame for node in nodes for _ in range(2) for frame in node.cut(rng.sample(range(1, 9), 3))]
    rng.shuffle(frames)
    return frames


@settings(max_examples=15, deadline=None)
@given(
    written=st.lists(st.lists(drafts, min_size=1, max_size=9), min_size=1, max_size=2),
    seed=st.integers(0, 2**16),
    limit=st.integers(2, 4),
)
def test_in_any_order_and_after_a_rebuild_the_hints_are_what_the_rule_says(
    written: list[list[Draft]], seed: int, limit: int
) -> None:
    nodes = [Node(f"53710{number}-1") for number in range(1, len(written) + 1)]
    for node, row in zip(nodes, written, strict=True):
        node.write(*row)
    rng = random.Random(seed)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(projector, "BLOCK_NIKS_MAX", limit)
        states = []
        for name in "ab":
            store = stack.enter_context(new_hub(scratch / name, nodes, is_durable=False))
            # Projected after every batch, so blocks grow and shrink across the limit on the way.
            for frame in shuffled(nodes, rng):
                send(store, [frame])
                store.project_hints()
            settle(store, shuffled(nodes, rng), nodes)
            assert pairs(store) == pure(store, limit)
            states.append(state(store))
            with transaction(store.connection):
                store.connection.execute("DELETE FROM likeness_hint")
                store.connection.execute('UPDATE likeness SET sketch = \'[[],"",""]\' WHERE nik = ?', (NIKS[0],))
            rebuild(store.connection)
            store.project_hints()
            states.append(state(store))
            assert hints(store.connection) == hints(store.connection, include_decided=True)
        assert states[1:] == states[:-1]


def test_a_step_takes_a_thousand_events_and_tells_whether_more_wait(tmp_path: Path) -> None:
    node = Node(FIRST)
    node.write(*(recorded(nik_of(number), f"ORANG {number}", birth_place="SOE") for number in range(1500)))
    with new_hub(tmp_path / "hub", [node], is_durable=False) as store:
        send(store, node.frames(500), received_ms=START_MS)
        assert store.step_hints() and count(store, "SELECT COUNT(*) FROM likeness") == 1000
        assert not store.step_hints() and count(store, "SELECT COUNT(*) FROM likeness") == 1500
        assert not store.step_hints()
