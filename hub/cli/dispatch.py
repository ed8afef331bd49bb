"""``hub dispatch``: what each office's printers can still do today, and what should move between them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.cli.common import AsJson, Directory, emit, now_ms, opened, say, table
from hub.dispatch import overflow
from hub.read import printers
from sepe.products import DEFAULT_PRODUCT

app = typer.Typer(
    no_args_is_help=True, help="Printers of all offices: what waits, what can still be printed today."
)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="dispatch")


@app.command("offices")
def show_offices(directory: Directory, as_json: AsJson = False) -> None:
    """Every machine's queue, blanks and printers, as it told with its last greeting, and what binds there."""
    with opened(directory) as store:
        rows = [
            {
                "node": node, "told": _time(told_ms), "waiting": room.waiting, "capacity": room.capacity,
                "blanks": dict(room.blanks), "done_by_close": room.done_by_close,
                "left_at_close": room.left_at_close, "binding": room.binding.split("+") if room.binding else [],
            }
            for node, told_ms, room in printers.rooms(store.connection)
        ]  # fmt: skip
    if as_json:
        emit(rows)
        return
    table(
        ("node", "told", "waiting", "capacity", "blanks", "done", "left", "binds"),
        [
            [row["node"], row["told"], row["waiting"], row["capacity"],
             " ".join(f"{product}:{count}" for product, count in sorted(row["blanks"].items())),  # type: ignore[attr-defined]
             row["done_by_close"], row["left_at_close"], " ".join(row["binding"])]  # type: ignore[arg-type]
            for row in rows
        ],
    )  # fmt: skip


@app.command("plan")
def show_plan(
    directory: Directory,
    product: Annotated[str, typer.Option(help="Of which blanks: ktp-el or kia.")] = DEFAULT_PRODUCT,
    least: Annotated[
        int, typer.Option(min=1, help="Fewest cards or blanks that are worth a drive.")
    ] = overflow.MOVE_MIN,
    as_json: AsJson = False,
) -> None:
    """Which cards and blanks should move to offices that can still print today. It proposes and moves nothing.

    Blanks are moved with `sepe node blanks move … --to NODE`; a card by recording or claiming it at the other
    office, whereupon the hub asks its holder for the right.

    Example: sepe hub dispatch plan ./hub
    """
    with opened(directory) as store:
        found = overflow.plan(printers.offices(store.connection, product), now_ms(), move_min=least)
    if as_json:
        emit(
            {
                "product": product, "before": found.before, "after": found.after, "left": found.left,
                "silent": list(found.silent),
                "moves": [
                    {"kind": str(one.kind), "from": one.from_node, "to": one.to_node, "count": one.count}
                    for one in found.moves
                ],
            }
        )  # fmt: skip
        return
    table(
        ("move", "count", "from", "to"), [[one.kind, one.count, one.from_node, one.to_node] for one in found.moves]
    )
    say(f"Printed today: {found.before} as things are, {found.after} with these moves; {found.left} are left.")
    if found.silent:
        say(f"Left out, because they told nothing for two hours: {', '.join(found.silent)}")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
