"""``node roll``, ``rights``, ``recalls``, ``take-back``, ``old-cards``, ``life``: rights, and cards that end."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import EXIT_PART, EXIT_USAGE, AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.products import DEFAULT_PRODUCT
from sepe.wire.v1 import event_pb2

NikArgument = Annotated[str, typer.Argument(metavar="NIK")]
Operator = Annotated[str, typer.Option("--operator", help="Who does it; goes into the event.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("roll", roll), ("rights", rights), ("recalls", recalls), ("take-back", take_back),
        ("old-cards", old_cards), ("life", life),
    ):  # fmt: skip
        app.command(name=name)(command)


def roll(
    folder: Dir,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A list to load, CSV or JSON lines.")
    ] = None,
    vote: Annotated[str, typer.Option("--vote", help="Day of the vote, YYYY-MM-DD; else today.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="List who has no card yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load the roll, and say how far it is covered.

    Columns: nik, and where known name, birth_date, voter. Rights of residents from elsewhere are asked for while
    there is a line, so that they can be printed without one. Exit code 1: some lines were refused.

    Example: sepe node roll ./oebobo daftar-pemilih.csv --vote 2024-11-27
    """
    from node.desk.day import day_of
    from node.desk.people import shown
    from node.desk.roll import coverage, load, without_card

    with opened(folder) as store:
        loaded = None
        if file is not None:
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as exc:
                raise InvalidInputError("berkas tidak terbaca", field="FILE", value=str(file)) from exc
            loaded = load(store, text, now_ms=now_ms())
        on = _day(vote) if vote else day_of(now_ms(), store.node)
        found = coverage(store, on=on)
        people = without_card(store) if missing else []
    document: dict[str, object] = {
        "listed": found.listed, "recorded": found.recorded, "printed": found.printed,
        "handed_over": found.handed_over, "without_card": found.without_card, "under_age": found.under_age,
        "right_elsewhere": found.elsewhere,
    }  # fmt: skip
    if loaded is not None:
        document |= {"loaded": loaded.entries, "new": loaded.new, "rights_asked": loaded.asked,
                     "refused": [{"line": line, "error": error} for line, error in loaded.refused]}  # fmt: skip
    if as_json:
        people_json = [
            {"nik": f"{one.nik:016d}", "name": one.name, "voter": one.is_voter,
             "birth_date": one.birth_date.isoformat() if one.birth_date else None}
            for one in people
        ]  # fmt: skip
        print_json(document | ({"missing": people_json} if missing else {}))
    else:
        print_table(("what", "count"), [(key, value) for key, value in document.items() if isinstance(value, int)])
        if people:
            print_table((say("warga", "resident"),), [(shown(one.nik, {one.nik: one.name}),) for one in people])
        for line, error in loaded.refused if loaded else ():
            note(say(f"baris {line}: {error}", f"line {line}: {error}"))
    if loaded is not None and loaded.refused:
        raise typer.Exit(EXIT_PART)


def rights(folder: Dir, nik: NikArgument, as_json: AsJson = False) -> None:
    """Which rights to print a resident's cards this machine has, and what it promised away.

    Example: sepe node rights ./oebobo 5371044101909001
    """
    from node.printing.rights import Right, RightBook

    number = Nik.parse(nik).number
    with opened(folder) as store:
        book = RightBook(store)
        known = store.connection.execute(
            "SELECT product, issue FROM print_right WHERE nik = ?1 UNION SELECT product, issue FROM job "
            "WHERE nik = ?1 ORDER BY 1, 2",
            (number,),
        ).fetchall()
        rows = []
        for product, issue in known or [(DEFAULT_PRODUCT, 1)]:
            grip = book.grip(Right(number, product, issue))
            rows.append(
                {"product": product, "issue": issue, "may_print": grip.fence is not None, "fence": grip.fence,
                 "let_go": grip.let_go if grip.let_go >= 0 else None}
            )  # fmt: skip
    if as_json:
        print_json(rows)
        return
    print_table(
        ("product", "issue", "may print", "fence", "given back up to"),
        [
            (row["product"], row["issue"], say("ya", "yes") if row["may_print"] else say("tidak", "no"),
             "-" if row["fence"] is None else row["fence"], "-" if row["let_go"] is None else row["let_go"])
            for row in rows
        ],
    )  # fmt: skip


def recalls(folder: Dir, as_json: AsJson = False) -> None:
    """Cards that this office has to collect: another card is valid, or the owner died.

    Example: sepe node recalls ./oebobo
    """
    from node.desk.people import names_of, shown
    from node.desk.standing import recalls as listed

    with opened(folder) as store:
        found = listed(store)
        niks = [int(str(one["nik"])) for one in found]
        names = names_of(store, niks)
    if as_json:
        print_json([{**one, "nik": f"{one['nik']:016d}"} for one in found])
        return
    print_table(
        (say("warga", "resident"), "product", "issue", "serial", "why"),
        [
            (shown(nik, names), one["product"], one["issue"], one["serial"], one["reason"])
            for nik, one in zip(niks, found, strict=True)
        ],
    )


def take_back(  # noqa: PLR0917 - options of a command
    folder: Dir,
    nik: NikArgument,
    serial: Annotated[
        str, typer.Option("--serial", help="The number printed on the card; a paper has none.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="recall, damaged, data-change, move-in, death, found.")
    ] = "",
    product: Annotated[str, typer.Option("--product")] = DEFAULT_PRODUCT,
    lost: Annotated[
        bool, typer.Option("--lost", help="It does not come back: its owner lost it, by the police letter.")
    ] = False,
    police_letter: Annotated[str, typer.Option("--police-letter", help="Its number, with --lost.")] = "",
    from_elsewhere: Annotated[
        bool, typer.Option("--from-elsewhere", help="Nobody here knows the number: another office made the card.")
    ] = False,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Take a card back from its owner, whichever office made it. It goes into the next destruction's minutes.

    --lost closes the recall of a card that its owner lost; without --serial of the one that is to be collected.

    Example: sepe node take-back ./oebobo 5371044101909001 --serial A00012007 --reason recall
    """
    from node.desk.old_cards import OldCards
    from sepe.reprints import LOST

    number = Nik.parse(nik).number
    is_lost = lost or reason == LOST
    if is_lost and reason not in ("", LOST):
        raise InvalidInputError(
            say("kartu yang hilang tidak ditarik", "a lost card is not taken back"),
            field="--reason", value=reason, hint=say("Pilih --lost atau --reason", "Say --lost or --reason"),
        )  # fmt: skip
    with opened(folder) as store:
        cards = OldCards(store)
        if is_lost:
            one = cards.lose(
                number, product, police_letter, serial=serial, operator=operator, now_ms=now_ms(),
                from_elsewhere=from_elsewhere,
            )  # fmt: skip
        else:
            one = cards.take_back(
                number, product, serial, reason, operator=operator, now_ms=now_ms(), from_elsewhere=from_elsewhere
            )
    if as_json:
        print_json(
            {"product": one.product, "serial": one.serial, "reason": one.reason, "document": one.document,
             "minutes": one.minutes}
        )  # fmt: skip
    else:
        heads = ("product", "serial", "reason", "document")
        print_table(heads, [(one.product, one.serial or "-", one.reason, one.document or "-")])


def old_cards(
    folder: Dir,
    everything: Annotated[bool, typer.Option("--all", help="Those already destroyed too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cards that were taken back and wait to be destroyed: `sepe node blanks destroy` takes them along.

    Example: sepe node old-cards ./oebobo
    """
    from node.desk.day import day_of
    from node.desk.old_cards import OldCards
    from node.desk.people import names_of, shown

    with opened(folder) as store:
        node = store.node
        found = OldCards(store).listing(only_waiting=not everything)
        names = names_of(store, (one.nik for one in found))
    if as_json:
        print_json(
            [
                {"product": one.product, "serial": one.serial, "nik": f"{one.nik:016d}", "reason": one.reason,
                 "taken_ms": one.taken_ms, "operator": one.operator, "minutes": one.minutes or None}
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("product", "serial", say("warga", "resident"), "reason", "taken", "minutes"),
        [
            (one.product, one.serial, shown(one.nik, names), one.reason,
             day_of(one.taken_ms, node).isoformat(), one.minutes or "-")
            for one in found
        ],
    )  # fmt: skip


def life(  # noqa: PLR0917 - options of a command
    folder: Dir,
    nik: NikArgument,
    state: Annotated[str, typer.Argument(metavar="STATE", help="dead, moved, or alive (with --court).")],
    document: Annotated[str, typer.Option("--document", help="Number of the certificate, letter or order.")],
    court: Annotated[bool, typer.Option("--court", help="By order of a court.")] = False,
    operator: Operator = "",
    yes: Annotated[bool, typer.Option("--yes", help="It is this person; do not ask.")] = False,
) -> None:
    """A resident died or moved away: what is still to be printed is withdrawn on a death, his card is collected.

    It shows whose NIK it is and asks; --yes answers. A death of somebody who was never recorded here waits for an
    officer at the centre: the number may be mistyped.

    Example: sepe node life ./oebobo 5371044101909001 dead --document 5371-KM-14112024-0003
    """
    from node.desk.life import change_life, person

    number = Nik.parse(nik)
    with opened(folder) as store:
        _confirm_person(number, person(store, number.number), state, yes=yes)
        counts = change_life(
            store,
            number.number,
            state,
            document=document,
            is_court_order=court,
            operator=operator,
            now_ms=now_ms(),
        )
    print_table(("nik", "state"), [(number.masked, state)])
    if not counts:
        note(
            say(
                "NIK ini tidak pernah direkam di sini: petugas pusat yang memutuskan",
                "this NIK was never recorded here: an officer at the centre decides",
            )
        )


def _confirm_person(number: Nik, known: event_pb2.Recorded | None, state: str, *, yes: bool) -> None:
    """Show whose NIK it is, and let the operator say that it is he.

    Raises:
        InvalidInputError: it is a death, nobody can be asked and ``--yes`` was not given; nothing is written.
    """
    stranger = say("tidak pernah direkam di sini", "never recorded here")
    note(f"{number.masked}  {stranger if known is None else f'{known.name}, {known.birth_date}, {known.sex}'}")
    if yes or state != "dead":
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(
            say("kematian perlu dipastikan orangnya", "a death wants its person confirmed"), field="--yes",
            value=number.masked, hint=say("Periksa nama di atas, tambahkan --yes", "Check the name, add --yes"),
        )  # fmt: skip
    if not typer.confirm(say("Benar orang ini?", "Is it this person?"), err=True):
        raise typer.Exit(EXIT_USAGE)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError("a day is YYYY-MM-DD", field="--vote", value=text) from None
