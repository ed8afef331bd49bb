"""``sepe hub partitions``: over how many subjects the offices spread their frames."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.common import AsJson, Directory, emit, opened, say
from hub.ingest import partitions as setting
from sepe_io.sqlite import transaction


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(partitions)


def partitions(
    directory: Directory,
    count: Annotated[
        int | None, typer.Argument(metavar="[N]", help="The new count, 1 to 256; without it, the count is shown.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change over how many partitions of NATS the offices spread their frames.

    May be changed at any time, with frames on their way: running processes follow within seconds, offices with
    the next word they hear, and what is left in a partition is read. More of them than processes gain nothing.

    Example: sepe hub partitions ./hub 16
    """
    with opened(directory) as store:
        if count is not None:
            with transaction(store.connection):
                setting.set_count(store.connection, count)
        found = setting.count(store.connection)
    if as_json:
        emit({"partitions": found})
        return
    print(found)
    if count is not None:
        say("running processes follow within seconds; their shares (--partitions) leave none out")
