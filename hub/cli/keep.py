"""Commands that keep a hub safe: backup, restore, doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, opened, say
from hub.merge import audit
from hub.merge import backup as backups
from hub.merge.store import HubStore
from hub.stock.index import stock_books

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (backup, restore, doctor):
        app.command()(command)


def backup(directory: Directory, file: File, as_json: AsJson = False) -> None:
    """Copy the whole hub, its key included, into one file, while it runs.

    Example: sepe hub backup ./hub hub.backup
    """
    with opened(directory) as store:
        size = backups.backup(store, file)
    if as_json:
        emit({"file": str(file), "bytes": size})
    else:
        print(f"{size} bytes; keep it as safe as the hub: its key is in it")


def restore(directory: Directory, file: File, as_json: AsJson = False) -> None:
    """Make a hub in DIR, which must be empty, from a backup; the offices then send what it lacks.

    Example: sepe hub restore ./new-hub hub.backup
    """
    backups.restore(file, directory)
    HubStore.open(directory).close()
    if as_json:
        emit({"directory": str(directory)})
    else:
        print(f"restored into {directory}. Nodes enrolled since the backup need a new token")


def doctor(
    directory: Directory,
    deep: Annotated[bool, typer.Option("--deep", help="Every signature and head too; slow.")] = False,
    as_json: AsJson = False,
) -> None:
    """Is the data whole, and the way to it as it must be? Exit 1 when something needs a person.

    Database, log, books of blanks; and NATS: the stream's settings, its replicas, who reads which partition.

    Example: sepe hub doctor ./hub --deep
    """
    with opened(directory, projected=True) as store:
        found = []
        for one in (*audit.audit(store, deep=deep), _stock(store), *_pipe(store)):
            found.append(one)
            if not as_json:
                print(f"{'ok  ' if one.is_well else 'LOOK'}  {one.check}: {one.detail}")
                if not one.is_well:
                    say(f"sepe: {one.check}: {one.hint}")
    if as_json:
        emit([asdict(one) for one in found])
    if not all(one.is_well for one in found):
        raise typer.Exit(PARTLY)


def _pipe(store: HubStore) -> list[audit.Finding]:
    # The other commands start without NATS' library.
    from hub.pipe_check import look_at_pipe

    return look_at_pipe(store)


def _stock(store: HubStore) -> audit.Finding:
    """Whether the books of card stock add up; here and not in the audit, which knows nothing of stock."""
    books = stock_books(store)
    faults = books.faults()
    detail = (
        faults[0]
        if len(faults) == 1
        else f"{len(faults)} faults"
        if faults
        else (f"{len(books.machines)} books add up")
    )
    return audit.Finding("stock", not faults, detail, "sepe hub blanks DIR")
