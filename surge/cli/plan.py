"""``sepe surge plan``: how many cards by when, what is lacking, and what more printers would change."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    scenario: Annotated[str, typer.Argument(help="A scenario's name (`sepe surge scenarios`), or a file.")],
    *,
    printers: Annotated[str | None, typer.Option(help="What if: +2 more in each office, -1 fewer, or 4.")] = None,
    blanks: Annotated[
        str | None, typer.Option(help="What if: +500 KTP-el blanks on the first morning, or 900.")
    ] = None,
    ribbons: Annotated[str | None, typer.Option(help="What if: +1 ribbon in each cupboard.")] = None,
    desks: Annotated[str | None, typer.Option(help="What if: +2 desks in each office.")] = None,
    shift: Annotated[str | None, typer.Option(help="What if: printers attended until 21:00, or 02:00+1.")] = None,
    good_lines: Annotated[bool, typer.Option("--good-lines", help="What if: no line ever fails.")] = False,
    replications: Annotated[int, typer.Option(min=2, max=1000, help="Plays of each office.")] = 30,
    check: Annotated[
        bool,
        typer.Option("--check", help="Put one office's cards through the real desk, queue and press as well."),
    ] = False,
    lang: Annotated[str | None, typer.Option("--lang", help="id (default) or en; also SEPE_LANG.")] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write everything as one JSON document; - for stdout.")
    ] = None,
) -> None:
    """Work a scenario out: queues, waits, cards by day, what binds when, and how many printers it takes.

    A discrete-event model of people, desks, line, check, blanks, ribbons and printer heat, played 30 times with
    other arrivals; the people are those of `sepe surge run`. With a what-if, the base case stands beside it.
    Intervals are 95 % of the mean. --check prints how far the model is from the real tool.

    Example: sepe surge plan tts-peak-day --printers +1 --shift 21:00
    """
    from node.cli import words
    from sepe_io.logs import set_up
    from surge.plan.answer import plan as planned
    from surge.plan.check import check as checked
    from surge.plan.show import show, show_check
    from surge.plan.whatif import WhatIf, change_of, shift_of
    from surge.scenario.load import load

    words.choose(lang)
    set_up("ERROR")
    found = load(scenario)
    change = WhatIf(
        None if printers is None else change_of(printers, "--printers", high=500),
        None if blanks is None else change_of(blanks, "--blanks"),
        None if ribbons is None else change_of(ribbons, "--ribbons", high=10_000),
        None if desks is None else change_of(desks, "--desks", high=200),
        None if shift is None else shift_of(shift, found),
        good_lines,
    )
    answer = planned(found, change or None, replications=replications)
    seen = checked(found) if check else None
    document = json.dumps(
        {**asdict(answer), "check": None if seen is None else {**asdict(seen), "worst": seen.worst}},
        default=str,
        ensure_ascii=False,
    )
    if output is not None and str(output) == "-":
        typer.echo(document)
        return
    if output is not None:
        output.write_text(document + "\n", encoding="utf-8")
    show(found, answer)
    if seen is not None:
        show_check(seen)
