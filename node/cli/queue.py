"""``node queue``, ``move``, ``policy``: who is printed next, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, note, opened, print_json, print_table, write_line
from node.cli.words import say
from node.clock import now_ms
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("queue", show_queue), ("move", move), ("policy", policy)):
        app.command(name=name)(command)


def show_queue(
    folder: Dir,
    limit: Annotated[int, typer.Option(min=0, help="How many cards to list, first the next.")] = 50,
    probe: Annotated[bool, typer.Option(help="Ask each printer whether it works.")] = True,
    as_json: AsJson = False,
) -> None:
    """Who is printed next, when each card will be out, how many by closing, and what keeps it from being more.

    Example: sepe node queue ./oebobo
    """
    from node.cli.queue_view import (
        clock_of,
        day_document,
        finish_of,
        printer_of,
        printer_table,
        product_of,
        stopped_printers,
    )
    from node.desk.people import names_of, shown
    from node.printing.ledger import Ledger
    from node.printing.outlook import office_day, words_of
    from node.printing.printers import Printers
    from sepe.dispatch.outlook import limit_of

    with opened(folder) as store:
        stopped = asyncio.run(stopped_printers([one.address for one in Printers(store).used()])) if probe else {}
        day = office_day(store, now_ms(), stopped=stopped)
        waiting = [one for one, _ in zip(day.queue, range(limit), strict=False)]
        ledger = Ledger(store)
        niks = {one.job: ledger.job(one.job).nik for one in waiting}
        names = names_of(store, niks.values())
    rows = [(one, finish_of(day, one), limit_of(one, day.seen)) for one in waiting]
    if as_json:
        print_json(
            {
                **day_document(day, stopped),
                "jobs": [
                    {
                        "job": one.job, "nik": f"{niks[one.job]:016d}", "class": str(one.kind),
                        "product": product_of(one), "printer": printer_of(day, one), "finish_ms": finish,
                        "waits_for": [str(it) for it in why],
                    }
                    for one, finish, why in rows
                ],
            }
        )  # fmt: skip
        return
    indonesian, english = words_of(day.seen.binding)
    close = clock_of(day, day.seen.close_ms)
    write_line(
        say(
            f"Antrean {len(day.queue)}, di pencetak {day.in_printers}, masih diperkirakan datang {day.expected}",
            f"Waiting {len(day.queue)}, in printers {day.in_printers}, still expected {day.expected}",
        )
    )
    write_line(
        say(
            f"Sampai {close}: {day.seen.done_by_close} tercetak, {day.seen.left_at_close} tersisa",
            f"By {close}: {day.seen.done_by_close} printed, {day.seen.left_at_close} left over",
        )
    )
    if day.seen.binding:
        write_line(say(f"Yang menahan hari ini: {indonesian}", f"What binds today: {english}"))
    write_line("")
    printer_table(day, stopped)
    if rows:
        write_line("")
        print_table(
            ("job", say("warga", "resident"), say("golongan", "class"), say("pencetak", "printer"),
             say("selesai", "done"), say("menunggu", "waits for")),
            [
                (one.job, shown(niks[one.job], names), str(one.kind), printer_of(day, one) or "-",
                 clock_of(day, finish) if finish else "-", say(*words_of(why)) or "-")
                for one, finish, why in rows
            ],
        )  # fmt: skip


def move(
    folder: Dir,
    jobs: Annotated[list[int], typer.Argument(metavar="JOB …", help="Numbers from `sepe node queue`.")],
    to: Annotated[str, typer.Option("--to", help="Name or address of the printer; any: whichever is free.")],
) -> None:
    """Let waiting jobs be printed by one printer. A job that may have reached a printer is never moved.

    Example: sepe node move ./oebobo 17 18 --to depan
    """
    from node.printing.printers import Printers
    from node.printing.queue import QueueStore

    with opened(folder) as store:
        address = "" if to in ("any", "semua") else Printers(store).find(to).address
        with store.transaction():
            reader = QueueStore(store)
            for job in jobs:
                reader.move(job, address)
    note(say(f"{len(jobs)} pekerjaan dipindah.", f"{len(jobs)} jobs moved."))


def policy(
    folder: Dir,
    write: Annotated[bool, typer.Option(help="Put the policy file that ships into DIR, to be edited.")] = False,
) -> None:
    """Who goes first at the printer: the policy file in force.

    Example: sepe node policy ./oebobo --write
    """
    from node.printing.queue import POLICY_NAME, default_policy, load_policy

    with opened(folder) as store:
        path = folder / POLICY_NAME
        if write and path.exists():
            raise InvalidInputError("the file is there already", field="DIR", value=str(path), hint="Edit it.")
        if write:
            path.write_text(default_policy(), encoding="utf-8")
        load_policy(folder, store.node)
    text = path.read_text(encoding="utf-8") if path.exists() else default_policy()
    write_line(str(path) if write else text.rstrip())


@dataclass(frozen=True, slots=True)
class Times:
    """When one waiting card will be out (``None``: not in sight), as text for people, and what it waits for."""

    finish_ms: int | None
    clock: str
    waits_for: tuple[str, ...]


def finishes(store: NodeStore) -> dict[int, Times]:
    """The forecast of each waiting job, for `sepe node prints`."""
    from node.cli.queue_view import clock_of, finish_of
    from node.printing.outlook import office_day
    from sepe.dispatch.outlook import limit_of

    day = office_day(store, now_ms())
    found = {}
    for one in day.queue:
        finish = finish_of(day, one)
        clock = "-" if finish is None else clock_of(day, finish)
        found[one.job] = Times(finish, clock, tuple(str(why) for why in limit_of(one, day.seen)))
    return found
