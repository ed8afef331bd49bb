"""``sepe hub copy``: move a hub's data to PostgreSQL, or back."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.common import AsJson, Directory, emit, now_ms, say
from hub.engine import place
from sepe_io import logs

TO_SQLITE = "sqlite"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(copy)


def copy(
    directory: Directory,
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL|sqlite", help="An empty PostgreSQL database, or sqlite: hub.db in DIR."),
    ],
    as_json: AsJson = False,
) -> None:
    """Move the hub's data to another database, beside a running hub: it goes on there by itself within a second.

    Killed on the way, call it again. The old database stays as it was and takes no more.

    Example: sepe hub copy ./hub --to postgresql://sepe@db.internal/sepe
    """
    from hub.merge.move import move

    logs.set_up("WARNING")
    url = "" if to == TO_SQLITE else place.check_url(to, field="--to")
    shown = [-1]

    def progress(done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        if not as_json and percent // 10 != shown[0]:
            shown[0] = percent // 10
            say(f"{percent} %")

    found = move(directory, url, progress=progress, clock_ms=now_ms)
    if as_json:
        emit({"frames": found.frames, "digest": found.digest.digest, "held_ms": found.held_ms})
    else:
        print(f"{found.frames} frames; digest {found.digest.digest}; nobody could write for {found.held_ms} ms")
