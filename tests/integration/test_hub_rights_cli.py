"""``hub rights`` and ``hub cards`` as an officer types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli import app
from sepe.errors import InvalidInputError
from sepe.events import Kind, draft
from sepe.wire.v1 import event_pb2
from tests.support.hubs import new_hub, send
from tests.support.world import START_MS, Node, card_moved, nik_of, recorded

HOME, SECOND, AWAY = "537104-1", "537104-2", "537105-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home, away = Node(HOME), Node(AWAY)
    forced = event_pb2.CardMoved(
        product="ktp-el", issue=1, attempt="b", serial="B7", reason="besok", override=True
    )
    forced.state = event_pb2.CARD_STATE_PRINTED
    home.write(recorded(nik_of(1)), card_moved(nik_of(1)))
    away.write(draft(Kind.CARD_MOVED, nik_of(1), forced))
    with new_hub(tmp_path / "hub", [home, Node(SECOND), away], is_durable=False) as store:
        send(store, [home.frame(), away.frame()])
        store.claim_right(nik_of(2), "ktp-el", 1, AWAY, now_ms=START_MS)
    return tmp_path / "hub"


def run(*arguments: object, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, (arguments, done.output, done.exception)
    return json.loads(done.stdout)


def test_who_waits_for_whom_and_rights_given_beforehand(folder: Path, tmp_path: Path) -> None:
    (waiting,) = run("rights", "list", folder, "--waiting")
    assert (waiting["holder"], waiting["fence"], waiting["waiting"]) == (HOME, 0, [AWAY])
    moved = tmp_path / "pindah.csv"
    moved.write_text(f"nama,nik\nA,{nik_of(1, '537199'):016d}\nB,{nik_of(2):016d}\n")
    answers = run("rights", "assign", folder, AWAY, "--file", moved, code=1)
    assert [(one["granted"], one["holder"]) for one in answers] == [(True, AWAY), (False, HOME)]
    listed = CliRunner().invoke(app, ["rights", "list", str(folder)]).stdout
    assert "537199*****" in listed and f"{nik_of(2):016d}" not in listed


def test_an_office_gone_for_good(folder: Path) -> None:
    done = CliRunner().invoke(app, ["rights", "give-back", str(folder), HOME, "--reason", "terbakar"])
    assert isinstance(done.exception, InvalidInputError) and "revoke" in str(done.exception)
    assert CliRunner().invoke(app, ["revoke", str(folder), HOME]).exit_code == 0
    gone = run("rights", "give-back", folder, HOME, "--reason", "terbakar", "--roll-to", SECOND, "--officer", "k")
    assert (gone["rights"], gone["roll"]) == (0, True)
    (waiting,) = run("rights", "list", folder, "--waiting")
    assert (waiting["holder"], waiting["fence"]) == (SECOND, 1)
    (event,) = [
        json.loads(text)
        for text in CliRunner().invoke(app, ["export", str(folder), "--what", "events"]).stdout.splitlines()
        if '"roll_moved"' in text
    ]
    assert (event["body"]["reason"], event["body"]["officer"]) == ("terbakar", "k")


def test_forced_cards_and_the_recall_list(folder: Path) -> None:
    (forced,) = run("cards", folder, "--overrides")
    assert (forced["node"], forced["serial"], forced["reason"]) == (AWAY, "B7", "besok")
    (recall,) = run("cards", folder, "--recall", "--node", AWAY)
    assert (recall["serial"], recall["reason"]) == ("B7", "double_print")
    assert run("cards", folder, "--recall", "--node", HOME) == []
    shown = CliRunner().invoke(app, ["cards", str(folder), "--recall"]).stdout
    assert "537104**********" in shown and str(nik_of(1)) not in shown
    assert CliRunner().invoke(app, ["cards", str(folder)]).exit_code != 0
