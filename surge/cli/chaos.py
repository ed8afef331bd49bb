"""``sepe surge chaos``: real processes under blows, and a count afterwards."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer

EXIT_BAD = 99

app = typer.Typer(no_args_is_help=True, help="Kill real processes at seeded moments, and count afterwards. Linux.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="chaos")


@app.callback()
def group() -> None:
    """Kill real processes at seeded moments, and count afterwards."""


@app.command()
def prints(
    *,
    kills: Annotated[int, typer.Option(min=0, help="How often the office is killed.")] = 200,
    cards: Annotated[int, typer.Option(min=1, max=100_000, help="Cards of the batch.")] = 2000,
    restarts: Annotated[int, typer.Option(min=0, help="How many kills take the printer's power along.")] = 20,
    pace: Annotated[float, typer.Option(min=0, help="Seconds that the printer takes for a card.")] = 0.05,
    seed: Annotated[int | None, typer.Option(help="The same seed kills after the same cards.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep the office, its log and the tray's notes here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Kill an office while it prints a batch; every card must be in the ledger then, and no NIK have two.

    Exit code 99 when a check does not hold. 200 kills take some ten minutes.

    Example: sepe surge chaos prints --kills 20 --cards 200
    """
    from surge.chaos.prints import PrintSettings, run, text_of

    number = SystemRandom().randrange(1_000_000) if seed is None else seed
    settings = PrintSettings(kills=kills, cards=cards, restarts=min(restarts, kills), seed=number, pace_s=pace)
    _say(f"seed {number}")
    with tempfile.TemporaryDirectory(prefix="sepe-prints-") as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(run(settings, folder, _say))
    typer.echo(json.dumps(report.document(), ensure_ascii=False) if as_json else text_of(report))
    if not report.passed:
        raise typer.Exit(EXIT_BAD)


def _say(text: str) -> None:
    typer.echo(text, err=True)
