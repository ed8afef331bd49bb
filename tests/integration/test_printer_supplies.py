"""Ribbon and heat of each printer where there are several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.printing.printers import Printers
from sepe.errors import InvalidInputError
from tests.support.office import make_office

FRONT, BACK, PAPER = "ipp://10.0.0.1/ipp/print", "ipp://10.0.0.2/ipp/print", "ipp://10.0.0.3/ipp/print"


def node(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_each_printer_has_a_ribbon_and_limits_of_its_own(tmp_path: Path) -> None:
    store = make_office(tmp_path / "node")
    printers = Printers(store)
    printers.add(PAPER, name="kertas", media=["a4"])
    printers.add(FRONT, name="depan", media=["card"])
    folder = store.folder
    node("ribbon", folder, "--changed", "--cards", 300)  # One printer makes cards: no other can be meant.
    printers.add(BACK, name="belakang", media=["card"])
    with pytest.raises(InvalidInputError, match="depan, belakang"):
        node("ribbon", folder, "--changed")
    with pytest.raises(InvalidInputError, match="tidak ada pencetak"):
        node("heat", folder, "--day-cards", 100, "--printer", "atas")
    node("ribbon", folder, "--changed", "--printer", "belakang")
    node("heat", folder, "--day-cards", 250, "--printer", BACK)
    rows = {row["name"]: row for row in json.loads(node("heat", folder, "--json"))}
    assert {name: (row["ribbon_left"], row["day_cards"]) for name, row in rows.items()} == {
        "depan": (300, 0), "belakang": (500, 250), "kertas": (None, 0),
    }  # fmt: skip
    assert "belakang" in node("ribbon", folder)
    store.close()
