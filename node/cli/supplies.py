"""``node ribbon``, ``node heat``: what a person tells of a card printer beside its jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, opened, print_json, print_table
from node.clock import now_ms
from node.desk.day import day_of
from node.printing.condition import Conditions, Limits
from node.printing.printers import Printers
from node.stock.supplies import as_json as condition_json
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError

Printer = Annotated[
    str, typer.Option("--printer", help="Its name or address; may be left out where one printer makes cards.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def ribbon(
        folder: Dir,
        printer: Printer = "",
        changed: Annotated[bool, typer.Option("--changed", help="A ribbon was put in just now.")] = False,
        cards: Annotated[int | None, typer.Option(help="Cards it makes, if not as usual.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """How many cards each ribbon still makes; with --changed, that a new one was put in.

        Example: sepe node ribbon ./oebobo --changed --printer depan
        """
        with opened(folder) as store:
            if changed:
                Conditions(store).change_ribbon(_which(store, printer), now_ms(), cards)
            elif cards is not None:
                raise InvalidInputError("hanya untuk pita baru", field="--cards", value=cards, hint="--changed")
            _show(store, as_json=as_json)

    @app.command()
    def heat(  # noqa: PLR0917 - options of a command
        folder: Dir,
        printer: Printer = "",
        day_cards: Annotated[int | None, typer.Option(help="Cards a day before heat spoils them; 0: any.")] = None,
        run_cards: Annotated[int | None, typer.Option(help="Cards before it must rest; 0: any.")] = None,
        rest: Annotated[int | None, typer.Option(help="Seconds that it rests then.")] = None,
        as_json: AsJson = False,
    ) -> None:  # fmt: skip
        """What each printer can take in a day and in a row; with numbers, set it.

        Example: sepe node heat ./oebobo --printer depan --day-cards 100
        """
        with opened(folder) as store:
            if (day_cards, run_cards, rest) != (None, None, None):
                which = _which(store, printer)
                old = Conditions(store).of(which, "").limits
                Conditions(store).set_limits(
                    which,
                    Limits(
                        old.ribbon_cards,
                        old.day_cards if day_cards is None else day_cards,
                        old.run_cards if run_cards is None else run_cards,
                        old.rest_s if rest is None else rest,
                    ),
                )
            _show(store, as_json=as_json)


def _which(store: NodeStore, printer: str) -> str:
    """The address of the printer that is meant.

    Raises:
        InvalidInputError: none has this name or address, or it is not said which of several.
    """
    printers = Printers(store)
    used = printers.used() or printers.adopt()
    if printer:
        known = {one.printer for one in Conditions(store).all("")}
        return printer if printer in known else printers.find(printer).address
    for_cards = [one for one in used if "card" in one.media]
    if len(for_cards) == 1:
        return for_cards[0].address
    if not used:
        raise InvalidInputError(
            "no printer is set", field="--printer", hint="sepe node printers DIR --add ipp://HOST/ipp/print"
        )
    names = ", ".join(one.name for one in for_cards or used)
    raise InvalidInputError("sebutkan pencetak yang mana", field="--printer", hint=f"--printer: {names}")


def _show(store: NodeStore, *, as_json: bool) -> None:
    now = now_ms()
    name_of = {one.address: one.name for one in Printers(store).used()}
    today = day_of(now, store.node).isoformat()
    rows = [
        {"name": name_of.get(one.printer, ""), **condition_json(one, now)} for one in Conditions(store).all(today)
    ]
    if as_json:
        print_json(rows)
        return
    heads = ("name", "printer", "ribbon_left", "cards_today", "day_cards", "run_cards", "rest_s")
    print_table(
        (*heads, "stopped_by"),
        [
            (*("-" if row[head] is None else row[head] for head in heads), ", ".join(row["stopped_by"]) or "-")  # type: ignore[arg-type]
            for row in rows
        ],
    )
