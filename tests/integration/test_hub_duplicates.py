"""`sepe hub duplicates`: who was claimed where, when and by whom, and claimed again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hub.app import replace_nik
from hub.merge.digest import digest
from hub.merge.store import HubStore
from hub.read import duplicates as read
from hub.read.duplicates import Filter, duplicates, is_in
from hub.read.status import counts
from sepe.nik import Nik
from surge import program
from tests.support.hubs import let_in, new_hub, send
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

DAY_MS = 86_400_000
TWICE, THRICE, DISPUTED, ONCE = (nik_of(number) for number in (1, 2, 3, 4))


def two_offices() -> tuple[Node, Node]:
    oebobo, raja = Node("537104-1"), Node("537105-12")
    oebobo.write(
        recorded(TWICE, "MARIA TAEK", operator="op-1"),
        recorded(THRICE, "YOHANIS", operator="op-1"),
        recorded(DISPUTED, "SALAH ORANG"),
        recorded(ONCE),
        card_moved(ONCE),
    )
    raja.now_ms += DAY_MS
    raja.write(
        recorded(TWICE, "Maria Ta'ek", operator="op-\x1b[2J7", reason="lost"),
        recorded(THRICE, "YOHANIS"),
        recorded(DISPUTED, "BENAR ORANG"),
    )
    oebobo.now_ms += 2 * DAY_MS
    oebobo.write(recorded(THRICE, "YOHANIS"), recorded(DISPUTED, "SALAH ORANG"))
    return oebobo, raja


@pytest.fixture
def store(tmp_path: Path, database: str) -> HubStore:
    nodes = two_offices()
    store = new_hub(tmp_path / "hub", nodes, is_durable=False, database=database)
    deliver(store, nodes, 2)
    return store


def deliver(store: HubStore, nodes: tuple[Node, ...], size: int) -> None:
    # Later than the last visit: a stamp ahead of the hub's clock would be capped.
    for node in nodes:
        send(store, node.frames(size), received_ms=START_MS + 9 * DAY_MS)
    store.project()


def told(store: HubStore, wanted: Filter | None = None) -> list[tuple[int, str, str]]:
    return [(one.nik, one.first.node, one.again.node) for one in duplicates(store.connection, wanted or Filter())]


def test_every_duplicate_is_listed_and_no_one_else(store: HubStore, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [
        (TWICE, "537104-1", "537105-12"),
        (THRICE, "537104-1", "537105-12"),
        (THRICE, "537104-1", "537104-1"),
        (DISPUTED, "537104-1", "537104-1"),
    ]
    assert told(store) == expected
    assert len(expected) == counts(store.connection).duplicates
    # Page by page it is the same list, and looking changes nothing.
    before = digest(store.connection).digest
    monkeypatch.setattr(read, "NIKS_PER_PAGE", 1)
    assert told(store) == expected
    assert digest(store.connection).digest == before
    store.close()


def test_a_list_is_narrowed_by_office_by_day_and_by_pair(store: HubStore) -> None:
    [first] = [one for one in duplicates(store.connection, Filter()) if one.nik == TWICE]
    # 23.30 in Kupang is another day than in London.
    assert read.Visit("537104-1", START_MS + 14 * 3_600_000 + 1_800_000, "", "", "", "").day == first.first.day
    assert read.Visit("537104-1", START_MS + 15 * 3_600_000 + 1_800_000, "", "", "", "").day == first.again.day
    assert told(store, Filter(day=first.again.day)) == told(store)[:2]
    assert told(store, Filter(office="537105")) == told(store)[:2]
    assert told(store, Filter(office="537105-1")) == []
    assert told(store, Filter(office="53")) == told(store)
    assert told(store, Filter(pair=("537105", "537104-1"))) == told(store)[:2]
    assert told(store, Filter(pair=("537104", "537104"))) == told(store)[2:]
    assert is_in("537104-12", "537104-12") and not is_in("537104-12", "537104-1")
    store.close()


def test_claims_of_a_number_that_was_replaced_are_under_the_new_one(store: HubStore) -> None:
    wrong = nik_of(77)
    late = Node("537106-1", now_ms=START_MS + 4 * DAY_MS)
    let_in(store, [late])
    late.write(
        recorded(wrong, "MARIA TAEK", birth_date="1990-01-01", operator="op-9"), recorded(wrong, "MARIA TAEK")
    )
    deliver(store, (late,), 5)
    assert told(store)[-1] == (wrong, "537106-1", "537106-1")
    word = replace_nik.plan(
        store, Nik.from_number(wrong), Nik.from_number(ONCE), why="mistyped", reason="KK", officer="pejabat",
        now_ms=START_MS + 5 * DAY_MS,
    )  # fmt: skip
    replace_nik.take(store, word, START_MS + 5 * DAY_MS)
    assert told(store)[-2:] == [(ONCE, "537104-1", "537106-1")] * 2
    assert [one.again.operator for one in duplicates(store.connection, Filter())][-2:] == ["op-9", ""]
    assert wrong not in [nik for nik, _, _ in told(store)]
    store.close()


def call(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["sepe", "hub", "duplicates", *map(str, words)])
    capfd.readouterr()
    code = 0
    try:
        program.main()
    except SystemExit as exc:
        code = int(exc.code or 0)
    return code, *capfd.readouterr()


def test_the_command_masks_what_is_not_for_the_officers_own_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sepe(*words: object) -> tuple[int, str, str]:
        return call(capfd, monkeypatch, directory, *words)

    directory, nodes = tmp_path / "hub", two_offices()
    with new_hub(directory, nodes, is_durable=False) as store:
        deliver(store, nodes, 3)
    code, out, err = sepe("--json")
    found: list[dict[str, Any]] = json.loads(out)
    assert code == 0 and "4 duplicates" in err
    assert (found[0]["nik"], found[0]["first"]["node"], found[0]["again"]["node"]) == (
        str(TWICE),
        "537104-1",
        "537105-12",
    )
    assert found[0]["first"]["at"].startswith("2024-09-28T01:00") and found[0]["first"]["operator"] == "op-1"
    code, out, _ = sepe()
    assert code == 0 and str(TWICE) not in out and "\x1b" not in out
    assert '537104**********  "Maria Ta\'ek"  first 537104-1 2024-09-28' in out and "op-?[2J7" in out
    assert json.loads(sepe("--json", "--office", "1101")[1]) == []

    file = tmp_path / "duplicates.csv"
    assert sepe("--csv", file)[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 4 and rows[0]["again_node"] == "537105-12" and str(TWICE) not in file.read_text()
    # A file that is there may be somebody's.
    assert sepe("--csv", file)[0] == 2
    for wrong in (("--office", "53710"), ("--pair", "537104"), ("--day", "23-11-2024"), ("--json", "--csv", file)):
        code, out, err = sepe(*wrong)
        assert ((code, out) == (2, "") and wrong[0] in err) or "--csv" in err
