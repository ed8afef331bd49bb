"""The commands of one office machine."""

from typing import Annotated

import typer

from node.cli import (
    batch,
    blanks,
    cards,
    correct,
    handing,
    keys,
    look,
    news,
    printers,
    printing,
    queue,
    record,
    run,
    setup,
    supplies,
    waiting,
    words,
)

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback()
def root(
    lang: Annotated[str | None, typer.Option("--lang", help="id (default) or en; also SEPE_LANG.")] = None,
) -> None:
    """One office machine: record, print, and send when there is a line."""
    words.choose(lang)


PARTS = (
    setup, record, correct, printing, queue, batch, printers, handing, blanks, cards, supplies, look,
    news, waiting, run, keys,
)  # fmt: skip
for part in PARTS:
    part.register(app)
