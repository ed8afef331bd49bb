"""``node record``: JSON lines in, one JSON line out per input line."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.common import EXIT_BUSY, EXIT_PART, Dir, note, opened
from node.cli.words import say
from node.clock import now_ms
from sepe.errors import InvalidInputError

PROGRESS_SECONDS = 2.0
REFUSED, NOT_STORED = "refused", "not_stored"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def record(
        folder: Dir,
        source: Annotated[Path, typer.Argument(metavar="FILE|-", help="JSON lines; - reads standard input.")],
    ) -> None:
        """Record residents: one JSON object per line in, one JSON answer per line out.

        A line is answered once it is safe on the disk. A bad line is refused with its reason and the others are
        recorded; the exit code is 1 then. Photos are looked for beside the file.

        Example: echo '{"nik": "5371044101909001", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P"}'
        | sepe node record ./oebobo -
        """
        from node.desk.lines import batches
        from node.desk.record import Desk
        from sepe_io.regions import region_table

        is_stdin = str(source) == "-"
        try:
            stream: AbstractContextManager[Any] = nullcontext(sys.stdin.buffer) if is_stdin else source.open("rb")
        except OSError as exc:
            raise InvalidInputError(
                f"the file cannot be read: {exc.strerror}", field="FILE", value=str(source), hint="Check its name."
            ) from exc
        counts = {"recorded": 0, REFUSED: 0, NOT_STORED: 0}
        out = sys.stdout.buffer
        with opened(folder) as store, stream as lines:
            desk = Desk(store, regions=region_table(), photo_base=Path() if is_stdin else source.parent)
            said_at = time.monotonic()
            for batch in batches(lines):
                answers = desk.record(batch, now_ms())
                for answer in answers:
                    counts["recorded" if answer.ok else answer.status] += 1
                out.write(
                    b"".join(answer.to_json().encode("utf-8", "backslashreplace") + b"\n" for answer in answers)
                )
                out.flush()
                if time.monotonic() - said_at > PROGRESS_SECONDS:
                    said_at = time.monotonic()
                    note(_sum(counts))
        if any(counts[key] for key in (REFUSED, NOT_STORED)):
            note(_sum(counts))
            raise typer.Exit(EXIT_BUSY if counts[NOT_STORED] and not counts["recorded"] else EXIT_PART)


def _sum(counts: dict[str, int]) -> str:
    good, bad = counts["recorded"], counts[REFUSED] + counts[NOT_STORED]
    return say(f"{good} direkam, {bad} ditolak", f"{good} recorded, {bad} refused")
