"""Help that teaches: every command shows how it is called."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

from surge.program import PARTS


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*path, name))
    if not getattr(command, "commands", {}):
        yield " ".join(path), command


COMMANDS = dict(
    found
    for part, (module, _) in PARTS.items()
    for found in commands(typer.main.get_command(import_module(module).app), (part,))
)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"demo"}))
def test_every_command_has_an_example_that_it_understands(name: str) -> None:
    command = COMMANDS[name]
    # `show` is what a group does without a word of its own. An example may go on in the next line.
    shown = re.sub(r"\n(?! *(sepe|\n))", " ", command.help or "")
    examples = re.findall(rf"sepe {name.removesuffix(' show')}(?: show)?( .*|$)", shown, re.MULTILINE)
    assert examples, f"sepe {name} --help shows no example"
    for example in examples:
        words = shlex.split(re.split(r";| [|>&] ?", example)[0], comments=True)
        try:
            command.make_context(name, words)
        except typer.BadParameter as exc:
            # Files of an example need not exist here.
            assert "does not exist" in str(exc), exc
