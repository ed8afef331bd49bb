"""``hub duplicates``: who was claimed where, when and by whom, and claimed again."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.common import AsJson, Directory, masked, opened, say
from hub.read.duplicates import Duplicate, Filter, Visit, area, duplicates
from hub.read.person import at_ms
from sepe.errors import InvalidInputError
from sepe.nik import NIK_DIGITS
from sepe_io.files import OWNER_ALONE

PROGRESS_S = 2.0
COLUMNS = (
    "nik", "name", "first_node", "first_at", "first_operator", "again_node", "again_at", "again_operator",
    "product", "reason",
)  # fmt: skip
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("duplicates")(show_duplicates)


def show_duplicates(  # noqa: PLR0917 - options of a command
    directory: Directory,
    office: Annotated[
        str, typer.Option("--office", metavar="CODE", help="One of the visits was here: 5371, 537104, 537104-1.")
    ] = "",
    day: Annotated[
        str,
        typer.Option("--day", metavar="YYYY-MM-DD", help="Day of the later visit, at its office."),
    ] = "",
    pair: Annotated[
        str, typer.Option("--pair", metavar="A,B", help="Between these two, whichever came first.")
    ] = "",
    as_json: AsJson = False,
    file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Into a new file, NIK masked."),
    ] = None,
) -> None:
    """Residents who were recorded more than once with the same identity: where, when and by whom, and again.

    Nobody has to decide anything about these; who was recorded with another identity is in `sepe hub cases`. The
    list and the file mask the NIK; --json is for the officer's own screen.

    Example: sepe hub duplicates ./hub --office 537104 --day 2024-11-23
    """
    wanted = Filter(
        area(office, "--office") if office else "", _date(day) if day else None, _pair(pair) if pair else None
    )
    if as_json and file is not None:
        raise InvalidInputError("one of the two", field="--csv", value="--json", hint="Leave one of them out.")
    with opened(directory) as store:
        found = duplicates(store.connection, wanted, _progress())
        if as_json:
            count = _as_json(found)
        elif file is not None:
            count = _as_csv(found, file)
        else:
            count = _as_text(found)
    say(f"{count} duplicates")


def _as_json(found: Iterable[Duplicate]) -> int:
    """One document, written while it is read: a national hub has more than fits in memory."""
    count = 0
    for count, one in enumerate(found, start=1):
        print("[" if count == 1 else ",")
        print(json.dumps(_document(one), ensure_ascii=False), end="")
    print("\n]" if count else "[]")
    return count


def _as_text(found: Iterable[Duplicate]) -> int:
    count = 0
    for count, one in enumerate(found, start=1):  # noqa: B007
        nik = masked(str(one.nik).zfill(NIK_DIGITS))
        print(
            f'{nik}  "{_shown(one.again.name)}"  first {_where(one.first)}  again {_where(one.again)}'
            f"  {_shown(one.again.product)} {_shown(one.again.reason)}"
        )
    return count


def _as_csv(found: Iterable[Duplicate], path: Path) -> int:
    count = 0
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE)
    except OSError as exc:
        raise InvalidInputError(
            f"the file cannot be made: {exc.strerror}", field="--csv", value=str(path), hint="Name a new file."
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for count, one in enumerate(found, start=1):  # noqa: B007
            first, again = one.first, one.again
            row = (
                masked(str(one.nik).zfill(NIK_DIGITS)), again.name, first.node, at_ms(first.at_ms), first.operator,
                again.node, at_ms(again.at_ms), again.operator, again.product, again.reason,
            )  # fmt: skip
            writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row])
    return count


def _document(one: Duplicate) -> dict[str, Any]:
    return {"nik": str(one.nik).zfill(NIK_DIGITS), "first": _visit(one.first), "again": _visit(one.again)}


def _visit(one: Visit) -> dict[str, Any]:
    return {
        "node": one.node, "at": at_ms(one.at_ms), "operator": one.operator, "name": one.name,
        "product": one.product, "reason": one.reason,
    }  # fmt: skip


def _where(one: Visit) -> str:
    return f"{one.node} {at_ms(one.at_ms)} {_shown(one.operator) or '-'}"


def _shown(text: str) -> str:
    """Text from an office, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _progress() -> Any:
    said_at = time.monotonic()

    def tell(read: int, found: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > PROGRESS_S:
            said_at = time.monotonic()
            say(f"{read} NIK that were claimed more than once are read, {found} duplicates so far …")

    return tell


def _pair(text: str) -> tuple[str, str]:
    left, comma, right = text.partition(",")
    if not comma:
        area("", "--pair")
    return area(left.strip(), "--pair"), area(right.strip(), "--pair")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            "a day is YYYY-MM-DD", field="--day", value=text, hint="Such as 2024-11-23."
        ) from None
