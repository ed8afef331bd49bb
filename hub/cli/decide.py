"""``hub decide`` and ``hub replace-nik``: an officer's word, said with what it does before it is done."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from hub.app import decide as app_decide
from hub.app import replace_nik as app_replace
from hub.app.effects import Effects
from hub.cli.common import AsJson, Directory, emit, masked, now_ms, opened, say
from hub.cli.repair import login
from sepe.errors import InvalidInputError
from sepe.nik import Nik

Officer = Annotated[str, typer.Option("--officer", help="Who decides; else the login name.")]
Revise = Annotated[bool, typer.Option("--revise", help="Decide anew what was decided; the earlier word is kept.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, though cards are recalled by it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decide)
    app.command("replace-nik")(replace_nik)


def decide(  # noqa: PLR0917 - options of one command
    directory: Directory,
    case: Annotated[str, typer.Argument(metavar="CASE", help="Its id, or the beginning of it.")],
    keep: Annotated[
        str,
        typer.Option(
            "--keep",
            help="The claim that stays: its number, or its event's name. Of a same_person hint: a NIK, or both."
            " Of a death from elsewhere: accept or refuse.",
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", help="What the decision rests on.")],
    officer: Officer = "",
    revise: Revise = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """An officer's decision on a case; itself an event, so it is never lost or undone silently.

    It says first which cards are recalled and where they are, what prints now and where, and what stays on hold.
    Where a card is recalled by it, it asks; --yes answers for a script. Of a hint that two NIK are one person,
    keeping one replaces the other by it.

    Example: sepe hub decide ./hub CASE --keep 1 --reason "akta kelahiran 474/2024"
    """
    with opened(directory) as store:
        now = now_ms()
        planned = app_decide.plan(
            store, case, keep, reason=reason, officer=officer or login(), now_ms=now, revise=revise
        )
        _announce(planned.effects)
        _confirm(planned.effects, yes=yes)
        found, event = app_decide.take(store, planned, now)
    if as_json:
        emit(
            {**found, "case": found["id"], "kept": planned.kept, **_document(planned.effects), "event": str(event)}
        )
    else:
        print(f"{found['id']} {'still open: a claim came that you had not seen' if found['open'] else 'decided'}")


def replace_nik(  # noqa: PLR0917 - options of one command
    directory: Directory,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The number that does not count any more.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The one that counts instead.")],
    why: Annotated[str, typer.Option("--why", help="mistyped, double, temporary or replaced (by the centre).")],
    reason: Annotated[str, typer.Option("--reason", help="What it rests on.")],
    officer: Officer = "",
    undo: Annotated[bool, typer.Option("--undo", help="OLD counts again: it is not NEW after all.")] = False,
    revise: Revise = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """One NIK is another: cards under OLD are void and recalled, its jobs withdrawn, its claims stand under NEW.

    Whoever types OLD is told NEW. No card is made under NEW by this; the resident is recorded there.

    Example: sepe hub replace-nik ./hub 5371044101909001 5371044101909002 --why mistyped --reason "KK 5371/12"
    """
    numbers = Nik.parse(old), Nik.parse(new)
    with opened(directory) as store:
        now = now_ms()
        planned = app_replace.plan(
            store,
            *numbers,
            why=why,
            reason=reason,
            officer=officer or login(),
            now_ms=now,
            revise=revise,
            undo=undo,
        )
        _announce(planned.effects)
        if planned.drafts:
            _confirm(planned.effects, yes=yes)
            app_replace.take(store, planned, now)
    if as_json:
        emit(
            {
                "old": old,
                "new": None if undo else new,
                "changed": bool(planned.drafts),
                **_document(planned.effects),
            }
        )
    elif not planned.drafts:
        print(f"{masked(old)} was said to be {masked(new)} before; nothing changed")
    else:
        print(f"{masked(old)} {'counts again' if undo else f'is {masked(new)} now'}")


def _announce(effects: Effects) -> None:
    """Say on stderr what is about to happen, so that stdout stays the answer's own."""
    for one in effects.recalls:
        where = "handed over by" if one["state"] == "handed_over" else "at"
        say(f"recall  {_card(one)}  {where} {one['node']}  {one['why']}")
    for one in effects.revived:
        say(f"good again  {_card(one)}  at {one['node']}")
    for one in effects.prints:
        say(f"prints  {masked(one['nik'])}  {one['product']}  issue {one['issue']}  at {one['node']}")
    for nik in effects.holds:
        say(f"on hold  {masked(nik)}  until an officer decides between its identities")
    if not (effects.recalls or effects.revived or effects.prints or effects.holds):
        say("no card is recalled and none becomes due by it")


def _card(one: dict[str, Any]) -> str:
    return f"{masked(one['nik'])}  {one['product']}  {one['serial'] or '-'}"


def _confirm(effects: Effects, *, yes: bool) -> None:
    """Ask before cards are recalled.

    Raises:
        InvalidInputError: nobody can be asked and ``--yes`` was not given; nothing is written.
    """
    if yes or not effects.cannot_be_taken_back:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "cards are recalled by this, and nobody can be asked", field="--yes", value="absent",
            hint="Look at what it does, above; then add --yes.",
        )  # fmt: skip
    if not typer.confirm("Do it?", err=True):
        raise typer.Exit(2)


def _document(effects: Effects) -> dict[str, Any]:
    return {
        "recalls": list(effects.recalls), "prints": list(effects.prints), "revived": list(effects.revived),
        "on_hold": list(effects.holds),
    }  # fmt: skip
