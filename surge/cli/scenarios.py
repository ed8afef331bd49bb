"""``sepe surge scenarios``: which election weeks there are, and what is in one."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command and ``show``."""
    scenarios = typer.Typer(
        rich_markup_mode=None,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    scenarios.callback()(all_of_them)
    scenarios.command("show")(show)
    app.add_typer(scenarios, name="scenarios")


def all_of_them(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """The scenarios that ship: election weeks and days from published figures.

    Each is a small TOML file; `sepe surge scenarios show NAME` explains one, `show FILE.toml` your own, and
    refuses it with line, value and remedy when it cannot be played.
    """
    if context.invoked_subcommand is not None:
        return
    from surge.scenario.explain import summary
    from surge.scenario.load import load, names

    found = [summary(load(name)) for name in names()]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(
        f"{'scenario':<20}{'offices':>8}{'days':>6}{'visits':>12}{'first cards':>13}{'printers':>10}"
        f"{'run, min':>10}"
    )
    for one in found:
        typer.echo(
            f"{one['name']:<20}{one['offices']:>8,}{one['open_days']:>6}{one['visits']:>12,}"
            f"{one['first_cards']:>13,}{one['printers']:>10,}{one['run_minutes']:>10,.0f}"
        )
    typer.echo("\n`sepe surge scenarios show NAME` explains one; `sepe surge run NAME` plays it.")


def show(
    scenario: Annotated[str, typer.Argument(help="A scenario's name, or a file of your own.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_toml: Annotated[bool, typer.Option("--toml", help="The file itself, to copy and change.")] = False,
) -> None:
    """Explain one scenario in words and totals: who comes when, for what, and what the offices have.

    Example: sepe surge scenarios show saturday-kupang
    """
    from surge.scenario.explain import explain, summary
    from surge.scenario.load import load

    found = load(scenario)
    if as_toml:
        typer.echo(found.source.read_text(encoding="utf-8"), nl=False)
    elif as_json:
        typer.echo(json.dumps(summary(found), ensure_ascii=False))
    else:
        typer.echo(explain(found))
