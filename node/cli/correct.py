"""``node correct``: this office mends what it typed itself."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.reprints import OLD_CARD, POLICE_LETTER, PROOF


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(correct)


def correct(  # noqa: PLR0917 - options of a command
    folder: Dir,
    nik: Annotated[str, typer.Argument(metavar="NIK")],
    changes: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE…", help='As in: name="MARIA TAEK"')],
    reason: Annotated[str, typer.Option("--reason", help="What was wrong, and how it was found.")],
    operator: Annotated[str, typer.Option("--operator", help="Who does it; goes into the event.")] = "",
    proof: Annotated[str, typer.Option("--proof", help="Number of the paper that proves it.")] = "",
    old_card: Annotated[str, typer.Option("--old-card", help="Serial of the old card that was shown.")] = "",
    police_letter: Annotated[str, typer.Option("--police-letter", help="Where the old card is lost.")] = "",
    as_json: AsJson = False,
) -> None:
    """Correct what was typed here today, before the card is handed over; later only with the papers that prove it.

    No officer is asked: the claim takes the place of this office's earlier one, and the old value stays in the
    history. A card that came out meanwhile is spoiled stock and is printed again. A stranger's different claim
    stays a case.

    Example: sepe node correct ./oebobo 5371044101909001 name="MARIA TAEK" --reason "salah ketik"
    """
    from node.desk.correct import correct as correct_now
    from sepe_io.regions import region_table

    number = Nik.parse(nik)
    shown = ((PROOF, proof), (OLD_CARD, old_card), (POLICE_LETTER, police_letter))
    with opened(folder) as store:
        done = correct_now(
            store, number, dict(map(_split, changes)), reason=reason, operator=operator, now_ms=now_ms(),
            evidence={key: value for key, value in shown if value}, regions=region_table(),
        )  # fmt: skip
    for warning in done.warnings:
        note(warning)
    if as_json:
        print_json(
            {
                "nik": number.value, "events": [str(event) for event in done.events],
                "renewed": list(done.renewed), "spoiled": list(done.spoiled), "at_printer": list(done.at_printer),
            }
        )  # fmt: skip
        return
    rows = [(job, say("dicetak dengan data yang benar", "prints the right data")) for job in done.renewed]
    rows += [(job, say("blangko rusak: musnahkan kartunya", "spoiled: destroy the card")) for job in done.spoiled]
    rows += [
        (job, say("ada di pencetak: bila keluar, tarik", "at the printer: if it comes out, collect it"))
        for job in done.at_printer
    ]
    print(f"{number.masked} {say('diperbaiki', 'corrected')}")
    if rows:
        print_table((say("cetakan", "job"), say("menjadi", "becomes")), rows)


def _split(change: str) -> tuple[str, str]:
    field, sign, value = change.partition("=")
    if not sign or not field:
        raise InvalidInputError(
            say("tulis KOLOM=NILAI", "write FIELD=VALUE"), field="FIELD=VALUE", value=change,
            hint=say("Contoh:", "Example:") + ' name="MARIA TAEK"',
        )  # fmt: skip
    return field, value
