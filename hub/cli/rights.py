"""``hub rights`` and ``hub cards``: who may print what, what was forced, and what must be collected."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, masked, now_ms, opened, say, table
from hub.cli.repair import login
from hub.dispatch import decide
from hub.read import cards as read_cards
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe.nik import NIK_DIGITS, Nik
from sepe.products import DEFAULT_PRODUCT, PRODUCTS

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="A machine, such as 537105-1.")]

app = typer.Typer(
    no_args_is_help=True, help="The rights to print: who holds them, who waits, an office gone for good."
)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="rights")
    parent.command()(cards)


@app.command("list")
def rights_list(
    directory: Directory,
    node: Annotated[str, typer.Option("--node", help="Only those that this machine holds or waits for.")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that somebody waits for.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rights that moved, and those that somebody waits for: who holds them, since when they are asked for.

    All others are where they always were: with the first machine of the kecamatan that the NIK begins with.

    Example: sepe hub rights list ./hub --waiting
    """
    if node:
        check_node(node)
    with opened(directory) as store:
        found = read_cards.rights(store.connection, node=node, only_waiting=waiting)
    if as_json:
        emit(found)
        return
    table(
        ("nik", "product", "issue", "holder", "fence", "waiting", "asked", "kept"),
        [
            [masked(one["nik"]), one["product"], one["issue"], one["holder"] or "-", one["fence"],
             " ".join(one["waiting"]), one["asked"] or "", one["kept"]]
            for one in found
        ],
    )  # fmt: skip


@app.command("give-back")
def rights_give_back(  # noqa: PLR0917 - options of one command
    directory: Directory,
    node: NodeArgument,
    reason: Annotated[str, typer.Option("--reason", help="What happened to it, and who says so.")],
    roll_to: Annotated[
        str, typer.Option("--roll-to", help="Another machine of the same office that gets its roll.")
    ] = "",
    officer: Annotated[str, typer.Option("--officer", help="Who decides; else the login name.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give back every right of a machine that is gone for good. Shut it out first: `sepe hub revoke`.

    Example: sepe hub rights give-back ./hub 537104-1 --reason "terbakar, berita acara 12/2024" --roll-to 537104-2
    """
    with opened(directory) as store:
        done = decide.give_back_for(
            store, node, roll_to=roll_to, reason=reason, officer=officer or login(), now_ms=now_ms()
        )
    if as_json:
        emit({"node": node, "rights": done.rights, "roll": done.roll, "roll_to": roll_to})
        return
    roll = f", and the roll of {node[:6]}{f' goes to {roll_to}' if roll_to else ''}" if done.roll else ""
    print(f"{node}: {done.rights} rights given back{roll}")


@app.command("assign")
def rights_assign(  # noqa: PLR0917 - options of one command
    directory: Directory,
    node: NodeArgument,
    niks: Annotated[list[str] | None, typer.Argument(metavar="[NIK …]", show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="One NIK a line, or a CSV with a column nik.")
    ] = None,
    product: Annotated[str, typer.Option("--product")] = DEFAULT_PRODUCT,
    issue: Annotated[int, typer.Option("--issue", min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Give rights to a machine beforehand, for residents of another kecamatan whom it will print without a line.

    A right that another machine holds is asked for; run this again later. Exit code 1: not all were given.

    Example: sepe hub rights assign ./hub 537105-1 --file pindah-datang.csv
    """
    if product not in PRODUCTS:
        raise InvalidInputError("no such product", field="--product", value=product, hint=", ".join(PRODUCTS))
    wanted = [Nik.parse(text).number for text in [*(niks or ()), *(_niks_in(file) if file else ())]]
    if not wanted:
        raise InvalidInputError("name residents or give --file", field="NIK")
    with opened(directory) as store:
        answers = decide.assign(store, node, [(nik, product, issue) for nik in wanted], now_ms=now_ms())
    rows: list[dict[str, Any]] = [
        {
            "nik": str(key[0]).zfill(NIK_DIGITS), "granted": one.granted, "holder": one.holder, "fence": one.fence,
            "reason": one.reason,
        }
        for key, one in answers
    ]  # fmt: skip
    if as_json:
        emit(rows)
    else:
        table(
            ("nik", "granted", "holder", "reason"),
            [
                [masked(one["nik"]), "yes" if one["granted"] else "no", one["holder"], one["reason"]]
                for one in rows
            ],
        )
    if not all(one["granted"] for one in rows):
        raise typer.Exit(PARTLY)


def cards(
    directory: Directory,
    overrides: Annotated[bool, typer.Option("--overrides", help="Cards that were made without a right.")] = False,
    recall: Annotated[bool, typer.Option("--recall", help="Cards to be collected, and by which office.")] = False,
    node: Annotated[str, typer.Option("--node", help="Only those that this machine made.")] = "",
    as_json: AsJson = False,
) -> None:
    """Cards that a person must see: what supervisors forced, and what must be collected.

    The list masks the NIK; --json is for the officer's own screen.

    Example: sepe hub cards ./hub --recall --node 537105-1
    """
    if overrides == recall:
        raise InvalidInputError(
            "say which list", field="--overrides, --recall", hint="sepe hub cards DIR --recall"
        )
    if node:
        check_node(node)
    with opened(directory, projected=True) as store:
        found = (
            read_cards.forced(store.connection, node) if overrides else read_cards.recalled(store.connection, node)
        )
    if as_json:
        emit(found)
        return
    if not found:
        say("none")
        return
    if overrides:
        table(
            ("office", "nik", "product", "issue", "serial", "state", "at", "reason"),
            [
                [one["node"], masked(one["nik"]), one["product"], one["issue"], one["serial"], one["state"],
                 one["at"], one["reason"]]
                for one in found
            ],
        )  # fmt: skip
        return
    table(
        ("office", "nik", "product", "issue", "serial", "printed", "why"),
        [
            [
                one["node"],
                masked(one["nik"]),
                one["product"],
                one["issue"],
                one["serial"],
                one["at"],
                one["reason"],
            ]
            for one in found
        ],
    )


def _niks_in(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError("the file cannot be read as text", field="--file", value=str(file)) from exc
    rows = [row for row in csv.reader(lines) if row and row[0].strip()]
    heads = [one.strip().lower() for one in rows[0]] if rows else []
    place = heads.index("nik") if "nik" in heads else 0
    for row in rows[1:] if "nik" in heads else rows:
        yield row[place].strip() if place < len(row) else ""
