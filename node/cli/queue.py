"""``node queue``, ``move``, ``batch``, ``policy``: who is printed next, and when."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, note, opened, print_json, print_table, write_line
from node.cli.words import say
from node.clock import now_ms
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.nik import Nik


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("queue", show_queue), ("move", move), ("batch", batch), ("policy", policy),
    ):  # fmt: skip
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


def batch(  # noqa: PLR0917 - options of a command
    folder: Dir,
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Of the school or the night; none: list them.")
    ] = "",
    niks: Annotated[
        list[str] | None, typer.Argument(metavar="[NIK …|-]", help="In the order of printing.")
    ] = None,
    printer: Annotated[str, typer.Option(help="Print the batch on this printer alone.")] = "",
    start: Annotated[str, typer.Option("--from", metavar="HH:MM", help="Not before this time today.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print the cards of a list together, in its order, after everything more urgent: a school, a night's run.

    Exit code 2: a NIK of the list has nothing that waits here; nothing is changed then.

    Example: sepe node batch ./oebobo sman-3 - --from 16:00 < daftar.txt
    """
    from node.printing.queue import QueueStore

    with opened(folder) as store:
        reader = QueueStore(store)
        if name:
            wanted = _read_niks(niks or [])
            count = _put_in_batch(store, reader, name, wanted, printer=printer, start=start)
            note(say(f"Kelompok {name}: {count} kartu.", f"Batch {name}: {count} cards."))
        rows = reader.batches()
    if as_json:
        heads = ("batch", "cards", "printed", "waiting", "stuck")
        print_json([dict(zip(heads, row, strict=True)) for row in rows])
    elif rows:
        print_table((say("kelompok", "batch"), say("kartu", "cards"), say("tercetak", "printed"),
                     say("menunggu", "waiting"), say("perlu dilihat", "to be looked at")), rows)  # fmt: skip


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


def _put_in_batch(
    store: NodeStore, reader: object, name: str, niks: list[str], *, printer: str, start: str
) -> int:
    from node.printing.ledger import Ledger
    from node.printing.printers import Printers
    from node.printing.queue import Place, QueueStore
    from node.printing.spool import WAITING, JobState

    assert isinstance(reader, QueueStore)
    now = now_ms()
    address = Printers(store).find(printer).address if printer else ""
    from_ms = _today_at(store, start, now) if start else 0
    with store.transaction():
        ledger = Ledger(store)
        places = []
        for position, text in enumerate(niks):
            jobs = [job for job in ledger.of_resident(Nik.parse(text).number)
                    if job.state in (*WAITING, JobState.WAITING_DUE)]  # fmt: skip
            if not jobs:
                raise InvalidInputError(
                    "tidak ada cetakan yang menunggu untuk NIK ini", field="nik", value=text,
                    hint="Lihat: sepe node prints DIR --nik NIK",
                )  # fmt: skip
            places += [(job.id, Place(address, name, position, now, from_ms)) for job in jobs]
        reader.place(places)
    return len(places)


def _read_niks(niks: list[str]) -> list[str]:
    if niks == ["-"]:
        niks = sys.stdin.read().split()
    if not niks:
        raise InvalidInputError("name residents, or - to read them", field="NIK", hint="One NIK on each line.")
    return niks


def _today_at(store: NodeStore, text: str, now: int) -> int:
    from node.printing.queue import load_policy

    try:
        at = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError("a time of day, HH:MM", field="--from", value=text) from None
    return load_policy(store.folder, store.node).hours.midnight_ms(now) + (at.hour * 60 + at.minute) * 60_000
