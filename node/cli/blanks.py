"""``node blanks``: numbered card stock."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms
from node.stock import SerialRange, Stock, Story, check_product, on_way, spoil_reason
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe.products import DEFAULT_PRODUCT
from sepe.serials import SerialSet, span_of
from sepe.stock import BLANK_PRODUCTS, SPOIL_REASONS, StockSum
from sepe_io.commands import DirFirst
from sepe_io.files import AS_USUAL, replace_file

Product = Annotated[str, typer.Option("--product", help="ktp-el or kia.")]
First = Annotated[str, typer.Option("--first", help="First serial, such as A00012001.")]
AnyProduct = Annotated[str, typer.Option("--product", help="ktp-el or kia.")]
AnyFirst = Annotated[str, typer.Option("--first", help="First serial, such as A00012001; not with --count.")]
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
    folder: Dir, product: AnyProduct = DEFAULT_PRODUCT,
    counted: Annotated[int | None, typer.Option("--count", min=0, help="How many of those coming came.")] = None,
    first: AnyFirst = "", last: Last = "", reason: Reason = "", operator: Operator = "",
    from_node: Annotated[str, typer.Option("--from", help="The node that it was moved in from.")] = "",
    missing: Annotated[
        list[str] | None, typer.Option("--missing", metavar="FIRST[:LAST]", help="With --count: did not come.")
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take blanks into stock: what the centre says is on its way, by its count alone, or a range by its numbers.

    `sepe node blanks coming` shows what is on its way. A count that differs is told to the centre. Missing ones
    that are known are named with --missing and stay on their way. Exit code 1: the count differs.

    Examples:
        sepe node blanks receive ./oebobo --count 500
        sepe node blanks receive ./oebobo --product ktp-el --first A00012001 --last A00012500
    """
    if counted is not None and not first:
        _receive_coming(folder, product, counted, from_node, missing or [], operator, as_json=as_json)
        return
    if not first or missing:
        raise InvalidInputError(
            "sebut jumlah yang datang (--count) atau nomornya (--first, --last)", field="--count",
            hint="sepe node blanks receive DIR --count 500",
        )  # fmt: skip
    story = Story(reason, operator, check_node(from_node) if from_node else "")
    with opened(folder) as store:
        stock = Stock(store)
        count = stock.receive(SerialRange(product, first, last or first), now_ms=now_ms(), story=story)
        _done(stock, product, count, as_json=as_json)


@app.command("coming")
def show_coming(folder: Dir, as_json: AsJson = False) -> None:
    """Blanks that are on their way here, and those that the centre wants brought to another machine today.

    Example: sepe node blanks coming ./oebobo
    """
    with opened(folder) as store:
        parts, wishes = on_way.coming(store), on_way.wanted(store, now_ms())
    if as_json:
        print_json({
            "coming": [
                {"product": one.product, "from": one.sender, "count": len(one.serials),
                 "serials": _listed(one.serials)}
                for one in parts
            ],
            "bring": [
                {"product": one.product, "to": one.to_node, "count": one.count, "reason": one.reason}
                for one in wishes
            ],
        })  # fmt: skip
        return
    print_table(
        ("product", "from", "count", "serials"),
        [(one.product, one.sender, len(one.serials), str(one.serials)) for one in parts],
    )
    for one in wishes:
        command = f"sepe node blanks move DIR --product {one.product} --count {one.count} --to {one.to_node}"
        note(say(
            f"Antar {one.count} blangko {one.product} ke {one.to_node} ({one.reason}): {command}",
            f"Bring {one.count} {one.product} blanks to {one.to_node} ({one.reason}): {command}",
        ))  # fmt: skip


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
    folder: Dir,
    to: Annotated[str, typer.Option("--to", help="The node that gets them.")],
    product: AnyProduct = DEFAULT_PRODUCT,
    counted: Annotated[int | None, typer.Option("--count", min=1, help="So many, the last of the stock.")] = None,
    first: AnyFirst = "",
    last: Last = "", reason: Reason = "", operator: Operator = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give blanks to another machine, by their count or by their numbers; there they are on their way then.

    With --count the program names the numbers to take out of the drawer.

    Examples:
        sepe node blanks move ./oebobo --count 50 --to 537105-1
        sepe node blanks move ./oebobo --first A00012101 --last A00012150 --to 537105-1
    """
    if (counted is None) == (not first):
        raise InvalidInputError(
            "sebut jumlahnya (--count) atau nomornya (--first, --last)", field="--count",
            hint="sepe node blanks move DIR --count 50 --to NODE",
        )  # fmt: skip
    story = Story(reason, operator, check_node(to))
    with opened(folder) as store, store.transaction():
        stock = Stock(store)
        runs = (
            [SerialRange(product, first, last or first)] if counted is None
            else on_way.last_at_hand(store, product, counted)
        )  # fmt: skip
        number = sum(stock.take_out(run, "moved_out", now_ms=now_ms(), story=story) for run in runs)
        on_way.brought(store, product, to, number)
        if counted is not None:
            note(say(f"Ambil dari laci: {', '.join(map(str, runs))}", f"Take out: {', '.join(map(str, runs))}"))
        _done(stock, product, number, as_json=as_json)


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
    try:
        replace_file(out, draw_minutes(found), mode=AS_USUAL)
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


def _receive_coming(  # noqa: PLR0917 - options of a command
    folder: Dir, product: str, counted: int, sender: str, missing: list[str], operator: str, *, as_json: bool
) -> None:
    absent = SerialSet()
    for text in missing:
        first, _, last = text.partition(":")
        absent.add(*span_of(first, last or first))
    with opened(folder) as store:
        found = on_way.receive(
            store, product, counted, sender=sender, missing=absent, operator=operator, now_ms=now_ms()
        )
        _done(Stock(store), product, found.count, as_json=as_json)
    if found.off:
        note(say(
            f"Selisih {found.off:+d} terhadap kata pusat, sudah dilaporkan. Hitung laci: sepe node blanks count",
            f"{found.off:+d} against the centre's word, and told. Count the drawer: sepe node blanks count",
        ))  # fmt: skip
        raise typer.Exit(EXIT_PART)


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
