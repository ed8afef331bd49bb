"""The program ``sepe``: one command over the office's, the hub's and the load tester's commands.

Only the part that is called is imported: `sepe node record` runs at an office desk a thousand times a day and
must not pay for the hub's gRPC server.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from sepe.errors import InvalidInputError, SepeError, TransientError

EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

PARTS = {
    "hub": ("hub.cli", "The centre: merges what the offices send and ends with one record per NIK."),
    "node": ("node.cli", "One office machine: record, print, and send when there is a line."),
    "surge": ("surge.cli", "Load and fault tests: replay an election week and get a verdict."),
    "demo": ("surge.demo.cli", "Three offices of Kota Kupang, a cut line, a purged broker, and a verdict."),
}


def build(part: str | None) -> typer.Typer:
    """The command tree, with ``part`` imported and the others shown by name only."""
    app = typer.Typer(
        name="sepe",
        help="Record residents and print identity cards in every kecamatan, line or no line.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option("--version", help="Show the version and end.", is_eager=True, callback=_show_version),
        ] = False,
    ) -> None:
        pass

    for name, (module, text) in PARTS.items():
        if name == part:
            app.add_typer(importlib.import_module(module).app, name=name, help=text)
        else:
            # Shown in the list of commands, never run: `main` imports the part that is called.
            app.command(name=name, help=text)(lambda: None)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("sepe"))
        raise typer.Exit


def main() -> None:
    """Run ``sepe`` and turn our errors into the exit codes of CONTRACT."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("-")]
    part = arguments[0] if arguments and arguments[0] in PARTS else None
    try:
        build(part)(prog_name="sepe")
    except InvalidInputError as exc:
        _fail(str(exc), EXIT_USAGE)
    except TransientError as exc:
        _fail(str(exc), EXIT_UNREACHABLE)
    except SepeError as exc:
        _fail(str(exc), EXIT_USAGE)
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough; Python would complain again at exit.
        sys.stderr.close()
        raise SystemExit(0) from None


def _fail(text: str, code: int) -> None:
    print(f"sepe: {text}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
