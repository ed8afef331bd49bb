"""``node batch``: cards that are printed together, from a list or as people are recorded into it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table, write_line
from node.cli.words import say
from node.clock import now_ms
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.recording import checked_batch

if TYPE_CHECKING:
    from node.printing.batches import Entry, Refused, Terms

Row = tuple[str, int, int, int, int]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="batch")(batch)


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
    release: Annotated[
        bool, typer.Option("--release", help="Print a batch that people were recorded into.")
    ] = False,
    out: Annotated[bool, typer.Option("--out", help="Take these out: they are printed by themselves.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the cards of a list together, in its order, after everything more urgent: a school, a night's run.

    People who are recorded with "batch": "sman-3" in their line are not printed before --release. Exit code 1:
    some of the list could not be taken, stdout says which and why; the others were.

    Example: sepe node batch ./oebobo sman-3 - --from 16:00 < daftar.txt
    """
    from node.desk.people import names_of
    from node.printing.batches import Batches
    from node.printing.queue import QueueStore

    if out and release:
        raise InvalidInputError("one of the two", field="--out", value="--release", hint="Leave one of them out.")
    refused: list[Refused] = []
    with opened(folder) as store:
        batches = Batches(store)
        if name:
            name, terms = checked_batch(name), _terms(store, printer, start)
            if niks or not release:
                entries = _entries(niks or [])
                count, refused = (
                    batches.take_out(name, entries) if out else batches.put(name, entries, terms, now_ms())
                )
                note(_said(name, count, out=out))
            if release:
                count = batches.release(name, terms, now_ms())
                note(say(f"Kelompok {name} dilepas: {count} kartu.", f"Batch {name} is released: {count} cards."))
        rows, held = QueueStore(store).batches(), batches.held()
        names = names_of(store, (one.nik for one in refused))
    if as_json:
        print_json(_document(name, rows, held, refused, names))
    else:
        _show(rows, held, refused, names)
    if refused:
        raise typer.Exit(EXIT_PART)


def _document(
    name: str, rows: Sequence[Row], held: Collection[str], refused: Sequence[Refused], names: Mapping[int, str]
) -> list[dict[str, object]]:
    """Every batch; ``released`` and ``refused`` where there is something to say."""
    heads = ("batch", "cards", "printed", "waiting", "stuck")
    found: list[dict[str, object]] = [dict(zip(heads, row, strict=True)) for row in rows]
    for one in found:
        if one["batch"] in held:
            one["released"] = False
    if refused:
        mine = next((one for one in found if one["batch"] == name), None)
        if mine is None:
            mine = dict(zip(heads, (name, 0, 0, 0, 0), strict=True))
            found.insert(0, mine)
        mine["refused"] = [
            {
                "line": one.line, "nik": f"{one.nik:016d}" if one.nik else None, "name": names.get(one.nik),
                "error": say(one.indonesian, one.english),
            }
            for one in refused
        ]  # fmt: skip
    return found


def _show(
    rows: Sequence[Row], held: Collection[str], refused: Sequence[Refused], names: Mapping[int, str]
) -> None:
    from node.desk.people import shown

    for one in refused:
        who = f"{shown(one.nik, names)}: " if one.nik else ""
        write_line(say(f"baris {one.line}: {who}{one.indonesian}", f"line {one.line}: {who}{one.english}"))
    if rows:
        print_table(
            (say("kelompok", "batch"), say("kartu", "cards"), say("tercetak", "printed"),
             say("menunggu", "waiting"), say("perlu dilihat", "to be looked at"), say("dilepas", "released")),
            [(*row, say("belum", "no") if row[0] in held else say("ya", "yes")) for row in rows],
        )  # fmt: skip


def _said(name: str, count: int, *, out: bool) -> str:
    if out:
        return say(f"{count} kartu keluar dari kelompok {name}.", f"{count} cards left the batch {name}.")
    return say(f"Kelompok {name}: {count} kartu.", f"Batch {name}: {count} cards.")


def _entries(niks: list[str]) -> list[Entry]:
    """Who is named, each with its line: of standard input, or its place in the command."""
    from node.printing.batches import Entry

    if niks == ["-"]:
        found = [Entry(number, word) for number, line in enumerate(sys.stdin, start=1) for word in line.split()]
    else:
        found = [Entry(number, word) for number, word in enumerate(niks, start=1)]
    if not found:
        raise InvalidInputError(
            "name residents, or - to read them; --release prints a batch that people were recorded into",
            field="NIK", hint="One NIK on each line.",
        )  # fmt: skip
    return found


def _terms(store: NodeStore, printer: str, start: str) -> Terms:
    from node.printing.batches import Terms
    from node.printing.printers import Printers

    address = Printers(store).find(printer).address if printer else ""
    return Terms(address, _today_at(store, start, now_ms()) if start else 0)


def _today_at(store: NodeStore, text: str, now: int) -> int:
    from node.printing.queue import load_policy

    try:
        at = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError("a time of day, HH:MM", field="--from", value=text) from None
    return load_policy(store.folder, store.node).hours.midnight_ms(now) + (at.hour * 60 + at.minute) * 60_000
