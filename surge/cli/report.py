"""``sepe surge report``: the page of a run that was kept as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="What `sepe surge run --json` wrote.")],
    html: Annotated[Path, typer.Argument(metavar="HTML", help="Where the page goes.")],
    *,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What got better or worse since that earlier --json.")
    ] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="id (default) or en; also SEPE_LANG.")] = None,
) -> None:
    """Write the report of a run once more: in another language, or beside an earlier run.

    The page is one file that needs no network, and prints on A4. `sepe surge run --html` writes the same one.

    Example: sepe surge report result.json report.html --compare before.json
    """
    from sepe.errors import InvalidInputError
    from surge.report import html_of
    from surge.run import result_json

    earlier = None if compare is None else result_json.load(compare)
    text = html_of(result_json.load(result), earlier, language=lang)
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InvalidInputError(
            f"cannot be written: {exc.strerror}", field="HTML", value=str(html), hint="Name a file in a directory"
        ) from exc
