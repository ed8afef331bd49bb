"""``hub blanks``: card stock of all offices."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, now_ms, opened, say, table
from hub.stock.allot import allot as allot_range
from hub.stock.index import open_index, scan, stock_books
from hub.stock.way import way
from sepe.ids import HUB_NODE
from sepe.serials import SerialRange, SerialSet
from sepe.stock import Conflict, MachineStock, StockSum, Transit
from sepe_io.commands import DirFirst

app = typer.Typer(
    cls=DirFirst, no_args_is_help=True, help="Card stock: the sum of each node, allotments, where a serial is."
)

BLANK_CONFLICT = "blank_conflict"


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="blanks")


@app.command()
def show(
    directory: Directory,
    node: Annotated[str, typer.Option("--node", help="Only this one.")] = "",
    days: Annotated[bool, typer.Option("--days", help="The sum of each day, not of all.")] = False,
    below: Annotated[int | None, typer.Option("--below", help="Only who holds fewer: who needs a refill.")] = None,
    as_json: AsJson = False,
) -> None:
    """The sum of each node: received + moved in = printed + spoiled + moved out + lost + closing.

    Exit code 1: a sum does not close, a count differs, or two nodes report one serial.

    Example: sepe hub blanks ./hub
    """
    with opened(directory) as store:
        books = stock_books(store)
    faults = books.faults()
    machines = [
        one for one in books.machines if node in ("", one.node) and (below is None or len(one.held) < below)
    ]
    if as_json:
        emit({
            "nodes": [_machine_json(one) for one in machines],
            "in_transit": [_transit_json(one) for one in books.transits],
            "conflicts": [conflict_case(one) for one in books.conflicts],
            "faults": faults,
        })  # fmt: skip
    else:
        terms = [one.name for one in fields(StockSum)]
        rows = [
            (one.node, one.product, day, *(getattr(total, term) for term in terms),
             "ok" if total.closes else -total.gap)
            for one in machines
            for day, total in (one.days.items() if days else [("all", one.total)])
        ]  # fmt: skip
        table(("node", "product", "day", *terms, "closes"), rows)
        for transit in books.transits:
            sender = "allotted" if transit.sender == HUB_NODE else f"from {transit.sender}"
            print(f"in transit  {transit.product}  {sender} to {transit.receiver}: {transit.serials}")
        for fault in faults:
            say(f"sepe: {fault}")
    if faults:
        raise typer.Exit(PARTLY)


@app.command()
def allot(  # noqa: PLR0917 - options of a command
    directory: Directory,
    node: Annotated[str, typer.Option("--node", help="The node that gets them.")],
    product: Annotated[str, typer.Option("--product", help="ktp-el or kia.")],
    first: Annotated[str, typer.Option("--first", help="First serial, such as A00012001.")],
    last: Annotated[str, typer.Option("--last", help="Last serial; the first one when left out.")] = "",
    reason: Annotated[str, typer.Option("--reason")] = "",
    officer: Annotated[str, typer.Option("--officer")] = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give a range of blanks to a node; there they are received with `sepe node blanks receive`.

    Example: sepe hub blanks allot ./hub --node 537104-1 --product ktp-el --first A00012001 --last A00012500
    """
    serials = SerialRange(product, first, last or first)
    with opened(directory) as store:
        event = allot_range(store, node, serials, reason=reason, officer=officer, now_ms=now_ms())
    if as_json:
        emit({"event": str(event), "node": node, "product": product, "first": serials.first, "last": serials.last,
              "count": len(serials.serials)})  # fmt: skip
    else:
        print(f"{len(serials.serials)} {product} blanks allotted to {node}: {serials}")


@app.command()
def where(
    directory: Directory,
    serial: Annotated[str, typer.Argument(metavar="SERIAL")],
    as_json: AsJson = False,
) -> None:
    """A serial's way: every report that names it, oldest first, and where it is now.

    Exit code 1: nobody ever reported it, or two nodes claim it.

    Example: sepe hub blanks where ./hub A00012007
    """
    with opened(directory) as store:
        index = open_index(store.directory)
        try:
            scan(index, store.connection)
            found = way(index, serial)
        finally:
            index.close()
    if as_json:
        emit(found)
    else:
        for one in found:
            print(f"{one['product']} {one['serial']}: {', '.join(one['now']) or 'nowhere'}")
            for said in one["reports"]:
                other = f" {said['other_node']}" if said.get("other_node") else ""
                print(f"  {said['at']}  {said['node']}  {said['what']}{other}")
    if not found:
        say(f"sepe: {serial}: no report names it; see what there is: sepe hub blanks DIR")
    if not found or any(len(one["now"]) != 1 for one in found):
        raise typer.Exit(PARTLY)


def conflict_case(one: Conflict) -> dict[str, Any]:
    """Serials that two nodes claim, as `hub cases` lists them; it closes when one of them takes its claim back."""
    return {
        "id": "", "kind": BLANK_CONFLICT, "nik": "", "subject": f"{one.product} {one.serials}", "open": True,
        "product": one.product, "nodes": list(one.nodes), "serials": _listed(one.serials),
    }  # fmt: skip


def _machine_json(one: MachineStock) -> dict[str, Any]:
    return {
        "node": one.node,
        "product": one.product,
        **asdict(one.total),
        "closes": one.total.closes,
        "days": [{"day": day, **asdict(total), "closes": total.closes} for day, total in one.days.items()],
        "at_hand": _listed(one.held),
        "strays": _listed(one.strays),
        "doubled": _listed(one.doubled),
        "miscounts": [{"day": day, "difference": off} for day, off in one.miscounts],
    }


def _transit_json(one: Transit) -> dict[str, Any]:
    return {"product": one.product, "from": one.sender, "to": one.receiver, "count": len(one.serials),
            "serials": _listed(one.serials)}  # fmt: skip


def _listed(serials: SerialSet) -> list[list[str]]:
    return [[first, last] for first, last in serials.ranges()]
