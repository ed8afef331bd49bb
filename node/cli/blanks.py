"""``node blanks``: numbered card stock."""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms
from node.stock import SerialRange, Stock, Story, check_product, spoil_reason
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe.serials import SerialSet, span_of
from sepe.stock import BLANK_PRODUCTS, SPOIL_REASONS, StockSum
from sepe_io.commands import DirFirst

Product = Annotated[str, typer.Option("--product", help="ktp-el or kia.")]
First = Annotated[str, typer.Option("--first", help="First serial, such as A00012001.")]
Last = Annotated[str, typer.Option("--last", help="Last serial; the first one when left out.")]
Reason = Annotated[str, typer.Option("--reason")]
Operator = Annotated[str, typer.Option("--operator")]

REASONS = ", ".join(SPOIL_REASONS)
DAYS_SHOWN = 7


app = typer.Typer(
    cls=DirFirst, no_args_is_help=True,
    help="Numbered card stock: the day's sum, receive, count, move, spoil, destroy, list.",
)  # fmt: skip


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="blanks")


@app.command()
def show(
    folder: Dir,
    everything: Annotated[bool, typer.Option("--all", help=f"Every day, not the last {DAYS_SHOWN}.")] = False,
    as_json: AsJson = False,
) -> None:
    """The sum of each day: opening + received + moved in = printed + spoiled + moved out + lost + closing.

    Exit code 1: a sum does not close; then rows of the database were altered: sepe node doctor DIR.

    Example: sepe node blanks ./oebobo
    """
    with opened(folder) as store:
        stock = Stock(store)
        days = [(product, day, one) for product in BLANK_PRODUCTS for day, one in stock.sums(product).items()]
    last = sorted({day for _, day, _ in days})[-DAYS_SHOWN:]
    shown = [one for one in days if everything or one[1] in last]
    if as_json:
        print_json([_sum_json(*one) for one in shown])
    else:
        terms = [one.name for one in fields(StockSum)]
        print_table(
            ("product", "day", *terms, "closes"),
            [
                (product, day or "-", *(getattr(one, term) for term in terms), "ok" if one.closes else -one.gap)
                for product, day, one in shown
            ],
        )
    if not all(one.closes for _, _, one in days):
        raise typer.Exit(EXIT_PART)


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
def count(  # noqa: PLR0917 - options of a command
    folder: Dir,
    product: Annotated[str, typer.Option("--product", help="With --present: what was counted.")] = "",
    present: Annotated[
        list[str] | None, typer.Option("--present", metavar="FIRST[:LAST]", help="What lies there; repeat it.")
    ] = None,
    reason: Reason = "", operator: Operator = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """How many blanks are at hand, and where the others went; with --present, what was counted by hand.

    Every range that lies in the drawer is named; what is missing is booked as lost, what was lost before as found.
    Blanks that lie in a printer need not be shown.

    Example: sepe node blanks count ./oebobo --product ktp-el --present A00012101:A00012400
    """
    with opened(folder) as store:
        stock = Stock(store)
        if present is None:
            counts = stock.counts()
        else:
            there = SerialSet()
            for text in present:
                first, _, last = text.partition(":")
                there.add(*span_of(first, last or first))
            found = stock.count(
                check_product(product), there, now_ms=now_ms(), story=Story(reason.strip(), operator)
            )
            document = {"product": product, "held": found.held, "lost": _listed(found.lost),
                        "found": _listed(found.found)}  # fmt: skip
    if present is None:
        if as_json:
            print_json(counts)
            return
        rows = [(name, state, number) for name, states in counts.items() for state, number in states.items()]
        print_table(("product", "state", "count"), rows)
    elif as_json:
        print_json(document)
    else:
        print_table(("product", "held", "lost", "found"),
                    [(product, found.held, str(found.lost) or "-", str(found.found) or "-")])  # fmt: skip


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
    reason: Annotated[str, typer.Option("--reason", help=f"For the minutes: {REASONS}.")] = "",
    lost: Annotated[bool, typer.Option("--lost", help="Not spoiled but gone; any reason.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write off blanks that were never printed on; the reason goes into the minutes.

    Example: sepe node blanks spoil ./oebobo --product ktp-el --first A00012007 --reason "tanpa chip"
    """
    if not reason.strip():
        raise InvalidInputError("tulis alasannya", field="--reason", hint=REASONS)
    why = reason.strip() if lost else spoil_reason(reason)
    _take_out(folder, SerialRange(product, first, last or first), "lost" if lost else "spoiled",
              Story(why, operator), as_json=as_json)  # fmt: skip


@app.command()
def destroy(  # noqa: PLR0917 - options of a command
    folder: Dir,
    minutes: Annotated[Path, typer.Option("--minutes", help="Where the minutes go, a PDF.")],
    witness: Annotated[list[str], typer.Option("--witness", help="A name; two or more.")],
    product: Annotated[str | None, typer.Option("--product", help="Only this one.")] = None,
    operator: Operator = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Destroy everything that is spoiled, before witnesses, and write the minutes.

    Example: sepe node blanks destroy ./oebobo --witness "ANA BOLE" --witness "YOHANES LAY" --minutes berita.pdf
    """
    with opened(folder) as store:
        number = Stock(store).destroy(product, witnesses=witness, operator=operator, now_ms=now_ms())
        if number is None:
            note(say("Tidak ada blangko rusak yang belum dimusnahkan.", "Nothing is spoiled that still exists."))
            if as_json:
                print_json({"number": None, "count": 0, "file": None})
            return
    write_minutes(folder, number, minutes, as_json=as_json)


@app.command(name="minutes")
def write_minutes(
    folder: Dir,
    number: Annotated[int, typer.Argument(metavar="NUMBER")],
    out: Annotated[Path, typer.Option("--out", help="Where they go, a PDF.")],
    as_json: AsJson = False,
) -> None:
    """Write the minutes of an earlier destruction again; they are the same byte for byte.

    Example: sepe node blanks minutes ./oebobo 3 --out berita-3.pdf
    """
    from node.stock.minutes import draw_minutes, minutes_of

    with opened(folder) as store:
        found = minutes_of(store, number)
    half = out.with_name(f".{out.name}.part")
    try:
        with half.open("wb") as file:
            file.write(draw_minutes(found))
            file.flush()
            os.fsync(file.fileno())
        half.replace(out)
    except OSError as exc:
        raise InvalidInputError(
            f"berkas ini tidak dapat ditulis ({exc.strerror})", field="--out", value=str(out),
            hint=f"Pemusnahannya sudah dicatat; ulangi: sepe node blanks minutes DIR {number} --out FILE.pdf",
        ) from exc  # fmt: skip
    if as_json:
        print_json({"number": number, "count": found.count, "file": str(out)})
    else:
        print_table(("number", "count", "file"), [(number, found.count, str(out))])


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


def _sum_json(product: str, day: str, one: StockSum) -> dict[str, object]:
    return {"product": product, "day": day or None, **asdict(one), "closes": one.closes}


def _listed(serials: SerialSet) -> list[list[str]]:
    return [[first, last] for first, last in serials.ranges()]
