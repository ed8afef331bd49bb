"""``node blanks``: numbered card stock."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.common import AsJson, Dir, opened, print_json, print_table
from node.clock import now_ms
from node.stock import SerialRange, Stock, Story, check_product
from sepe.errors import InvalidInputError
from sepe.ids import check_node

Product = Annotated[str, typer.Option("--product", help="ktp-el or kia.")]
First = Annotated[str, typer.Option("--first", help="First serial, such as A00012001.")]
Last = Annotated[str, typer.Option("--last", help="Last serial; the first one when left out.")]
Reason = Annotated[str, typer.Option("--reason")]
Operator = Annotated[str, typer.Option("--operator")]

app = typer.Typer(no_args_is_help=True, help="Numbered card stock: receive, count, move, spoil, list.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="blanks")


@app.command()
def receive(  # noqa: PLR0917 - options of a command
    folder: Dir, product: Product, first: First, last: Last = "", reason: Reason = "", operator: Operator = "",
    from_node: Annotated[str, typer.Option("--from", help="The node that it was moved in from.")] = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a range of blanks into stock.

    Example: sepe node blanks receive ./oebobo --product ktp-el --first A00012001 --last A00012500
    """
    story = Story(reason, operator, check_node(from_node) if from_node else "")
    with opened(folder) as store:
        stock = Stock(store)
        count = stock.receive(SerialRange(product, first, last or first), now_ms=now_ms(), story=story)
        _done(stock, product, count, as_json=as_json)


@app.command()
def count(folder: Dir, as_json: AsJson = False) -> None:
    """How many blanks are at hand, and where the others went.

    Example: sepe node blanks count ./oebobo --json
    """
    with opened(folder) as store:
        counts = Stock(store).counts()
    if as_json:
        print_json(counts)
    else:
        rows = [(product, state, number) for product, states in counts.items() for state, number in states.items()]
        print_table(("product", "state", "count"), rows)


@app.command()
def move(  # noqa: PLR0917 - options of a command
    folder: Dir, product: Product, first: First,
    to: Annotated[str, typer.Option("--to", help="The node that gets them.")],
    last: Last = "", reason: Reason = "", operator: Operator = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give a range of blanks to another machine; there they are received with --from.

    Example: sepe node blanks move ./oebobo --product ktp-el --first A00012101 --last A00012150 --to 537105-1
    """
    _take_out(folder, SerialRange(product, first, last or first), "moved_out",
              Story(reason, operator, check_node(to)), as_json=as_json)  # fmt: skip


@app.command()
def spoil(  # noqa: PLR0917 - options of a command
    folder: Dir, product: Product, first: First, last: Last = "", operator: Operator = "",
    reason: Annotated[str, typer.Option("--reason", help="For the minutes: broken, no chip …")] = "",
    lost: Annotated[bool, typer.Option("--lost", help="Not spoiled but gone.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write off blanks that were never printed on; the reason goes into the minutes.

    Example: sepe node blanks spoil ./oebobo --product ktp-el --first A00012007 --reason "tanpa chip"
    """
    if not reason.strip():
        raise InvalidInputError("write the reason for the minutes", field="--reason")
    _take_out(folder, SerialRange(product, first, last or first), "lost" if lost else "spoiled",
              Story(reason, operator), as_json=as_json)  # fmt: skip


@app.command(name="list")
def listing(
    folder: Dir,
    product: Annotated[str | None, typer.Option("--product")] = None,
    state: Annotated[str | None, typer.Option("--state", help="at_hand, reserved, printed, spoiled …")] = None,
    as_json: AsJson = False,
) -> None:
    """Every blank that ever came here.

    Example: sepe node blanks list ./oebobo --product kia --state at_hand
    """
    if product is not None:
        check_product(product)
    with opened(folder) as store:
        rows = Stock(store).listing(product, state)
    if as_json:
        print_json([dict(zip(("product", "serial", "state", "job"), row, strict=True)) for row in rows])
    else:
        print_table(("product", "serial", "state", "job"), [(*row[:3], row[3] or "") for row in rows])


def _take_out(folder: Dir, serials: SerialRange, movement: str, story: Story, *, as_json: bool) -> None:
    with opened(folder) as store:
        stock = Stock(store)
        number = stock.take_out(serials, movement, now_ms=now_ms(), story=story)
        _done(stock, serials.product, number, as_json=as_json)


def _done(stock: Stock, product: str, number: int, *, as_json: bool) -> None:
    at_hand = stock.counts()[product].get("at_hand", 0)
    if as_json:
        print_json({"product": product, "count": number, "at_hand": at_hand})
    else:
        print_table(("product", "count", "at_hand"), [(product, number, at_hand)])
