"""``sepe surge drain``: a province comes back at once, onto a cluster that is struck meanwhile."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sepe.errors import InvalidInputError

EXIT_BROKEN = 99


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drain")(drain)


def drain(
    *,
    offices: Annotated[int, typer.Option(min=1, max=315, help="How many kecamatan of NTT come back.")] = 315,
    events: Annotated[int, typer.Option(min=1, help="How many events wait in all their outboxes.")] = 1_000_000,
    postgresql: Annotated[
        str, typer.Option(metavar="URL", help="An empty PostgreSQL database for the hub; it keeps the data.")
    ] = "",
    start_postgresql: Annotated[
        bool, typer.Option("--start-postgresql", help="Start a PostgreSQL server for this run, gone afterwards.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, max=256, help="Of the stream.")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    calm: Annotated[
        bool, typer.Option("--calm", help="Kill nothing; judge how long a quiet office waits.")
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep offices, hub and logs in this new folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Hundreds of offices drain a backlog into a hub with workers, through three nats-servers. Linux.

    On the way the stream's leader is killed, then a worker, then an empty server takes the dead one's place. At
    the end nothing may be pending, and the digest must be that of one SQLite hub that was given the same outboxes.
    Exit code 99 when it is not. A million events need some 3 GB of disk and some minutes on two cores.

    Meanwhile one quiet office records now and then; how long it waits for the hub's word is told, and judged (2 s,
    99 of 100) with --calm: sepe surge drain --offices 1 --events 1000000 --calm --start-postgresql

    Example, in half a minute: sepe surge drain --offices 12 --events 60000 --start-postgresql
    """
    from sepe_io import handles, logs
    from surge.drain.play import DrainSettings, run, text_of
    from surge.lab.postgres import lab_postgres

    if bool(postgresql) == start_postgresql:
        raise InvalidInputError(
            "one database, please", field="--postgresql",
            hint="Give --postgresql URL of an empty database, or --start-postgresql.",
        )  # fmt: skip
    logs.set_up("ERROR")
    # The hub inherits it, for a connection to each office.
    handles.use_all()
    with ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sepe-drain-")))
        else:
            keep.mkdir(parents=True)
            folder = keep.resolve()
        url = stack.enter_context(lab_postgres()).url if start_postgresql else postgresql
        settings = DrainSettings(offices, events, url, partitions, seed, is_struck=not calm)
        report = asyncio.run(run(settings, folder, _say))
    typer.echo(json.dumps(report.document(), ensure_ascii=False) if as_json else text_of(report))
    if not report.passed:
        raise typer.Exit(EXIT_BROKEN)


def _say(text: str) -> None:
    typer.echo(text, err=True)
