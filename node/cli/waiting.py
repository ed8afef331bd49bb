"""``node confirm-data``, ``confirm-date``, ``force``, ``cancel``: what a person says of a card that waits."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms
from node.printing.job import Job
from sepe.errors import InvalidInputError
from sepe.nik import Nik

NikArgument = Annotated[str, typer.Argument(metavar="NIK")]
Operator = Annotated[str, typer.Option("--operator", help="Who does it; goes into the event.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("confirm-data", confirm_data), ("confirm-date", confirm_date), ("force", force), ("cancel", cancel),
    ):  # fmt: skip
        app.command(name=name)(command)


def confirm_data(folder: Dir, nik: NikArgument, operator: Operator = "", as_json: AsJson = False) -> None:
    """You looked at doubtful data and they are right: the card goes on.

    It shows the data and what is doubtful about them. Wrong data are mended with `sepe node correct`.

    Example: sepe node confirm-data ./oebobo 5371044101909001 --operator op-1
    """
    from node.desk.life import person
    from node.desk.waiting import confirm_data as confirm_now

    number = Nik.parse(nik)
    with opened(folder) as store:
        known = person(store, number.number)
        if known is not None:
            note(f"{number.masked}  {known.name}, {known.birth_date}, {known.sex}, {known.marital_status or '-'}")
        _show(confirm_now(store, number, operator=operator, now_ms=now_ms()), as_json=as_json)


def confirm_date(
    folder: Dir,
    day: Annotated[str, typer.Option("--date", help="Today, YYYY-MM-DD, as a calendar says.")],
    reason: Annotated[str, typer.Option("--reason", help="How you know.")],
    operator: Annotated[str, typer.Option("--operator", help="The supervisor.")],
) -> None:
    """A supervisor says that this machine's date is right: cards that are due by it go on.

    Needed after a start without a line when the clock stepped over a day: a card's first day is law, and no clock
    that ran ahead brings it. Each card that is printed by it says so to the centre.

    Example: sepe node confirm-date ./oebobo --date 2024-11-27 --reason "kalender kantor" --operator kasi-1
    """
    from node.printing.due import confirm_date as confirm_now

    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        raise InvalidInputError("a day is YYYY-MM-DD", field="--date", value=day) from None
    with opened(folder) as store:
        confirm_now(store, wanted, reason=reason, operator=operator, now_ms=now_ms())
    print(say(f"tanggal {wanted.isoformat()} dipastikan", f"{wanted.isoformat()} is confirmed"))


def force(
    folder: Dir,
    nik: NikArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, though something is missing; the centre reads it.")
    ],
    operator: Annotated[str, typer.Option("--operator", help="The supervisor.")],
    as_json: AsJson = False,
) -> None:
    """A supervisor has a card made although it is incomplete; `sepe hub cards --overrides` lists it.

    Example: sepe node force ./oebobo 5371044101909001 --reason "kamera rusak, besok pemilu" --operator kasi-1
    """
    from node.desk.waiting import force_incomplete

    with opened(folder) as store:
        done = force_incomplete(store, Nik.parse(nik), reason=reason, operator=operator, now_ms=now_ms())
        _show(done, as_json=as_json)


def cancel(
    folder: Dir,
    which: Annotated[str, typer.Argument(metavar="NIK|JOB", help="A resident, or the number of one print.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is not to be printed.")],
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Do not print what waits, up to the moment in which the printer has it. It may be asked for again.

    Example: sepe node cancel ./oebobo 5371044101909001 --reason "salah orang"
    """
    from node.desk.waiting import cancel as cancel_now

    with opened(folder) as store:
        _show(cancel_now(store, which, reason=reason, operator=operator, now_ms=now_ms()), as_json=as_json)


def _show(jobs: list[Job], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "job": job.id,
                    "product": job.product,
                    "issue": job.issue,
                    "state": str(job.state),
                    "reason": job.reason,
                }
                for job in jobs
            ]
        )
        return
    heads = (say("cetakan", "job"), say("produk", "product"), say("keadaan", "state"), say("alasan", "why"))
    print_table(heads, [(job.id, job.product, str(job.state), job.reason) for job in jobs])
