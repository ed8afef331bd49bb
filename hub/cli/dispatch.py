"""``hub dispatch``: what each office's printers can still do today, and what moves between them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, masked, now_ms, opened, say, table
from hub.cli.repair import login
from hub.dispatch import moves, overflow, relief
from hub.dispatch.elsewhere import Asked
from hub.dispatch.relief import CardMove, Progress, Relief, Stand
from hub.merge import registry
from hub.merge.store import HubStore
from hub.read import printers
from hub.read.person import at_ms
from sepe.nik import NIK_DIGITS
from sepe.products import DEFAULT_PRODUCT

Product = Annotated[str, typer.Option(help="Of which blanks: ktp-el or kia.")]
Least = Annotated[int, typer.Option(min=1, help="Fewest cards or blanks that are worth a drive.")]
Only = Annotated[
    overflow.Kind | None, typer.Option("--only", help="cards: nobody can bring blanks today; or blanks.")
]
POLL_S = 0.3
# Shown of decisions whose day is over.
SHOWN_MS = 24 * 3_600_000

WORDS = {
    Asked.ASKED: "asked",
    Asked.MOVED: "moved already",
    Asked.HELD_ELSEWHERE: "stays: its right is not there",
    Asked.NOT_RECORDED: "stays: its recording is not here yet",
    Asked.NO_PHOTO: "stays: its photo is not here yet",
    Asked.NIK_CONFLICT: "stays: identities in conflict",
    Asked.DEAD: "stays: the owner died",
    Asked.ALREADY_PRINTED: "stays: printed",
    Asked.SUPERSEDED: "stays: a later issue is out",
    Asked.IN_HAND: "stays: being printed",
    Asked.UNKNOWN_NODE: "stays: that machine is not enrolled",
    Asked.REVOKED: "stays: that machine was shut out",
}

app = typer.Typer(
    no_args_is_help=True, help="Printers of all offices: what waits, what can still be printed today, what moves."
)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="dispatch")


@app.command("offices")
def show_offices(directory: Directory, as_json: AsJson = False) -> None:
    """Every machine's queue, blanks and printers, as it told last, and what binds there.

    Example: sepe hub dispatch offices ./hub
    """
    with opened(directory) as store:
        rows = [
            {
                "node": node, "told": at_ms(told_ms), "waiting": room.waiting, "capacity": room.capacity,
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
    directory: Directory, product: Product = DEFAULT_PRODUCT, least: Least = overflow.MOVE_MIN, only: Only = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Which cards and blanks should move to offices that can still print today. It changes nothing.

    `sepe hub dispatch apply` carries it out. Of each card: where it waits and why, when it would be out there, and
    about when at the other office.

    Example: sepe hub dispatch plan ./hub
    """
    with opened(directory) as store:
        found = _proposed(store, product, least, only)
        cards = relief.check(store, found, now_ms())
    if as_json:
        emit(_plan_json(product, found) | {"cards": [_card_json(one) for one in cards]})
        return
    _show_plan(found)
    _show_cards(cards)


@app.command()
def apply(  # noqa: PLR0917 - options of one command
    directory: Directory,
    reason: Annotated[str, typer.Option("--reason", help="Why these cards are made elsewhere today.")],
    officer: Annotated[str, typer.Option("--officer", help="Who decides; else the login name.")] = "",
    product: Product = DEFAULT_PRODUCT,
    least: Least = overflow.MOVE_MIN,
    only: Only = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the offices' answers.")
    ] = 15.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="As `plan`: change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Carry the plan out: ask for its cards, and have its blanks brought.

    A card goes over once the office that has it has promised, on its own disk, not to print it. An office without
    a line, and one that has begun, keeps its card; what is not answered when the receiving printers close stays
    where it is. Done twice it moves nothing more. Exit code 1: not all went over (yet); `hub dispatch moves`.

    Example: sepe hub dispatch apply ./hub --reason "blangko Oebobo habis" --only cards
    """
    if dry_run:
        show_plan(directory, product, least, only, as_json)
        return
    with opened(directory) as store:
        found = _proposed(store, product, least, only)
        cards = relief.decide(store, found, reason=reason, officer=officer or login(), now_ms=now_ms())
        asked = {(one.nik, one.product, one.issue) for one in cards if one.outcome in {Asked.ASKED, Asked.MOVED}}
        done = _answers(store, asked, wait)
        seen = {
            one.reroute.from_node: registry.last_seen_ms(store.connection, one.reroute.from_node) for one in done
        }
    is_all = (
        len(asked) == len(cards)
        and not found.unnamed
        and all(one.stand in {Stand.MOVED, Stand.PRINTED} for one in done)
    )
    if as_json:
        emit(_plan_json(product, found) | {
            "cards": [_card_json(one) for one in cards], "answers": [_progress_json(one) for one in done],
        })  # fmt: skip
    else:
        _show_plan(found)
        _show_cards([one for one in cards if one.outcome not in {Asked.ASKED, Asked.MOVED}])
        _show_answers(done, seen)
    if not is_all:
        raise typer.Exit(PARTLY)


@app.command("moves")
def show_moves(directory: Directory, as_json: AsJson = False) -> None:
    """What officers had moved: cards of today and yesterday, how far each is, and blanks to be brought.

    Example: sepe hub dispatch moves ./hub
    """
    with opened(directory) as store:
        done = relief.progress(store, now_ms(), after_ms=now_ms() - SHOWN_MS)
        blanks = moves.blanks_orders(store.connection, after_ms=now_ms())
    if as_json:
        emit({
            "cards": [_progress_json(one) for one in done],
            "blanks": [
                {"product": one.product, "from": one.from_node, "to": one.to_node, "count": one.count,
                 "until": at_ms(one.until_ms), "reason": one.reason, "officer": one.officer}
                for one in blanks
            ],
        })  # fmt: skip
        return
    table(
        ("decided", "nik", "product", "from", "to", "stands", "detail", "officer", "reason"),
        [
            [at_ms(relief.decided_ms(one.reroute)), _masked(one.reroute.nik), one.reroute.product,
             one.reroute.from_node, one.reroute.to_node, one.stand, one.detail, one.reroute.officer,
             one.reroute.reason]
            for one in done
        ],
    )  # fmt: skip
    for order in blanks:
        print(f"blanks  {order.count} {order.product}  {order.from_node} to {order.to_node}")


def _proposed(store: HubStore, product: str, least: int, only: overflow.Kind | None) -> Relief:
    kinds: Collection[overflow.Kind] = tuple(overflow.Kind) if only is None else (only,)
    return relief.propose(store, product, now_ms(), least=least, kinds=kinds)


def _answers(store: HubStore, keys: Collection[moves.Key], wait_s: float) -> list[Progress]:
    """How far these are once every office has answered, or after so long."""
    until_s = time.monotonic() + wait_s
    while True:
        done = relief.progress(store, now_ms(), keys=keys, after_ms=now_ms())
        if time.monotonic() >= until_s or all(one.stand is not Stand.ASKED for one in done):
            return done
        time.sleep(POLL_S)


def _show_plan(found: Relief) -> None:
    plan = found.plan
    table(
        ("move", "count", "from", "to"), [[one.kind, one.count, one.from_node, one.to_node] for one in plan.moves]
    )
    say(f"Printed today: {plan.before} as things are, {plan.after} with these moves; {plan.left} are left.")
    if found.unnamed:
        say(f"{found.unnamed} of these cards are not named: their office told how many wait and not which.")
    if plan.silent:
        say(f"Left out, because they told nothing for two hours: {', '.join(plan.silent)}")


def _show_cards(cards: Sequence[CardMove]) -> None:
    if cards:
        print()
        table(
            ("nik", "product", "from", "to", "why", "here", "there", ""),
            [
                [_masked(one.nik), one.product, one.from_node, one.to_node, one.why, _clock(one.here_ms),
                 _clock(one.there_ms), WORDS[one.outcome] if one.outcome else ""]
                for one in cards
            ],
        )  # fmt: skip


def _show_answers(done: Sequence[Progress], seen: dict[str, int]) -> None:
    for stand, word in (
        (Stand.MOVED, "went over"), (Stand.PRINTED, "are printed there"), (Stand.KEPT, "stay: being printed"),
        (Stand.ASKED, "are asked for; no answer yet"),
    ):  # fmt: skip
        count = sum(1 for one in done if one.stand is stand)
        if count:
            say(f"{count} cards {word}.")
    for node in sorted({one.reroute.from_node for one in done if one.stand is Stand.ASKED}):
        at = at_ms(seen[node]) if seen[node] else "never"
        say(f"{node} was last heard at {at}; it keeps its cards until it answers: sepe hub dispatch moves")


def _plan_json(product: str, found: Relief) -> dict[str, Any]:
    plan = found.plan
    return {
        "product": product, "before": plan.before, "after": plan.after, "left": plan.left,
        "silent": list(plan.silent),
        "moves": [
            {"kind": str(one.kind), "from": one.from_node, "to": one.to_node, "count": one.count}
            for one in plan.moves
        ],
    }  # fmt: skip


def _card_json(one: CardMove) -> dict[str, Any]:
    return {
        "nik": _masked(one.nik), "product": one.product, "issue": one.issue, "from": one.from_node,
        "to": one.to_node, "why": one.why, "here": at_ms(one.here_ms) if one.here_ms else None,
        "there": at_ms(one.there_ms), "outcome": one.outcome,
    }  # fmt: skip


def _progress_json(one: Progress) -> dict[str, Any]:
    moved = one.reroute
    return {
        "nik": _masked(moved.nik), "product": moved.product, "issue": moved.issue, "from": moved.from_node,
        "to": moved.to_node, "stands": str(one.stand), "detail": one.detail, "until": at_ms(moved.until_ms),
        "decided": at_ms(relief.decided_ms(moved)), "reason": moved.reason, "officer": moved.officer,
    }  # fmt: skip


def _masked(nik: int) -> str:
    return masked(str(nik).zfill(NIK_DIGITS))


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%d %H:%MZ") if ms else "never"
