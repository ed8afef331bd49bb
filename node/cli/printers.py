"""``node printers``, ``pause``, ``resume``, ``drain``: the printers of one machine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import EXIT_BUSY, AsJson, Dir, note, opened, print_json
from node.cli.words import say
from node.clock import now_ms
from sepe.errors import InvalidInputError

POLL_SECONDS = 0.2

Which = Annotated[str, typer.Argument(metavar="[PRINTER]", help="Name or address; all when left out.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("printers", show_printers), ("pause", pause), ("resume", resume), ("drain", drain)):
        app.command(name=name)(command)


def show_printers(  # noqa: PLR0917 - options of a command
    folder: Dir,
    add: Annotated[str, typer.Option("--add", help="Use this printer too: folder:PATH, ipp://…, lp:QUEUE.")] = "",
    name: Annotated[str, typer.Option("--name", help="Its name for people, with --add.")] = "",
    media: Annotated[str, typer.Option("--media", help="card, a4 or card,a4, with --add.")] = "",
    remove: Annotated[str, typer.Option("--remove", help="Use this one no longer: name or address.")] = "",
    probe: Annotated[bool, typer.Option(help="Ask each printer whether it works.")] = True,
    as_json: AsJson = False,
) -> None:
    """The printers of this machine: mode, pace, cards today, ribbon. A running node follows at once.

    Example: sepe node printers ./oebobo --add ipp://192.168.1.9/ipp/print --name depan --media card
    """
    from node.cli.queue_view import day_document, printer_table, stopped_printers
    from node.printing.outlook import office_day
    from node.printing.printers import Printers

    with opened(folder) as store:
        printers = Printers(store)
        if not printers.used():
            printers.adopt()
        if add:
            printers.add(add, name=name, media=[one for one in media.split(",") if one])
        elif name or media:
            raise InvalidInputError("only with --add", field="--name" if name else "--media", value=name or media)
        if remove:
            printers.remove(printers.find(remove).address)
        stopped = asyncio.run(stopped_printers([one.address for one in printers.used()])) if probe else {}
        day = office_day(store, now_ms(), stopped=stopped)
    if as_json:
        print_json(day_document(day, stopped)["printers"])
    else:
        printer_table(day, stopped)


def pause(folder: Dir, which: Which = "") -> None:
    """Let a printer, or all, take no further card. What it has in hand comes out; its other cards go elsewhere.

    Example: sepe node pause ./oebobo depan
    """
    _set_mode(folder, which, "paused")
    note(say("Dijeda. Lanjutkan dengan: sepe node resume DIR", "Paused. Go on with: sepe node resume DIR"))


def resume(folder: Dir, which: Which = "") -> None:
    """Let a printer, or all, work again.

    Example: sepe node resume ./oebobo
    """
    _set_mode(folder, which, "on")
    note(say("Bekerja lagi.", "At work again."))


def drain(
    folder: Dir,
    which: Which = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it is empty.")] = 120.0,
) -> None:
    """Let a printer, or all, finish what it has, then pause: before a ribbon change, a move, the end of the day.

    Exit code 3: it still has a card after the time; it drains on.

    Example: sepe node drain ./oebobo depan
    """
    from filelock import Timeout

    from node.printing.ledger import Ledger
    from node.printing.press import press_lock
    from node.printing.printers import Mode, Printers
    from node.printing.spool import JobState

    addresses = _set_mode(folder, which, "draining")
    until = time.monotonic() + wait
    with opened(folder) as store:
        printers, ledger = Printers(store), Ledger(store)
        while True:
            busy = {job.printer for job in ledger.in_state(JobState.RESERVED, JobState.SUBMITTED)}
            draining = [one for one in printers.used() if one.mode is Mode.DRAINING and one.address in addresses]
            if not draining:
                break
            try:
                # While nobody presses, an empty printer is drained; else its press says when.
                with press_lock(folder).acquire(timeout=0):
                    for one in draining:
                        if one.address not in busy:
                            printers.drained(one.address)
            except Timeout:
                pass
            if time.monotonic() > until:
                names = ", ".join(one.name for one in draining)
                note(say(f"Masih bekerja: {names}", f"Still at work: {names}"))
                raise typer.Exit(EXIT_BUSY)
            time.sleep(POLL_SECONDS)
    note(say("Kosong dan dijeda.", "Empty and paused."))


def _set_mode(folder: Path, which: str, mode: str) -> set[str]:
    from node.printing.printers import Mode, Printers

    with opened(folder) as store:
        printers = Printers(store)
        if not printers.used():
            printers.adopt()
        chosen = [printers.find(which)] if which else printers.used()
        if not chosen:
            raise InvalidInputError(
                "no printer is set", field="PRINTER", hint="Add one: sepe node printers DIR --add …"
            )
        with store.transaction():
            for one in chosen:
                printers.set_mode(Mode(mode), one.address)
        return {one.address for one in chosen}
