"""``sepe surge run``: a scenario against a real hub, with a verdict."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from surge.run.hubside import HubSide
    from surge.run.play import OnProgress, Plan, Progress
    from surge.run.result import Result

EXIT_MISSED = 99
DESKS = ("auto", "live", "ahead")


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.command("run")(run)


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A name, or a TOML file of your own.")],
    *,
    hub: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT|DIR", help="A hub that runs: gRPC address, or directory here. Else one starts."
        ),
    ] = "",
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="One line NODE TOKEN for each machine, for a hub on another machine."),
    ] = None,
    db: Annotated[
        str, typer.Option(metavar="URL", help="The started hub stores in this empty PostgreSQL database.")
    ] = "",
    nodes: Annotated[int, typer.Option(min=0, help="So many office machines instead of the scenario's.")] = 0,
    events: Annotated[int, typer.Option(min=0, help="So many recordings instead of the scenario's.")] = 0,
    faster: Annotated[float, typer.Option(min=0, help="Times real time; 0: as the scenario says.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed brings the same people; -1: the scenario's.")] = -1,
    desk: Annotated[
        str,
        typer.Option(metavar="auto|live|ahead", help="Desks record in full when people come, or decide ahead."),
    ] = "auto",
    printing: Annotated[
        int, typer.Option(min=-1, help="So many machines print; -1: as many as this computer can book.")
    ] = -1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that the machines are spread over.")] = 2,
    settle: Annotated[
        float, typer.Option(min=1, help="Seconds after the end until what is not sent counts as unsent.")
    ] = 120.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result; - is stdout.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report.")] = None,
    compare_file: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="What got better or worse since that --json.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the hub, all offices and logs in this empty directory.")
    ] = None,
) -> None:  # fmt: skip
    """Play a scenario against a real hub and judge it; exit code 99 when a threshold is missed.

    Every machine is a real office with its own database, outbox, key and link, on a line shaped like its kind.
    People come by the clock whether or not desk, line or hub keep up. Ctrl-C ends it early and still gives the
    account.

    `--faster 60` lets an hour pass in a minute: people, hours, outages and faults come 60 times as fast and lines
    carry 60 times the bytes a second. Delay, loss and the programs stay as they are; times are this machine's.

    \b
    Examples:
      sepe surge run tts-peak-day --faster 60
      sepe surge run election-week-ntt --html week.html --json week.json
      sepe surge run reconnect-storm --nodes 315 --compare before.json
      sepe surge run tts-peak-day --hub staging:7443 --tokens tokens.txt --faster 1
    """
    from sepe.errors import InvalidInputError
    from surge.run import result_json
    from surge.run.cast import Options
    from surge.run.play import Plan
    from surge.scenario import load

    if desk not in DESKS:
        raise InvalidInputError(f"one of {', '.join(DESKS)}", field="--desk", value=desk)
    # Whatever can be wrong is found before anything starts.
    earlier = None if compare_file is None else result_json.load(compare_file)
    found = load(scenario)
    report = _report_writer() if html_file is not None else None
    for path in (json_file, html_file):
        _check_writable(path)
    options = Options(nodes, events, faster, seed, desk, printing)
    with tempfile.TemporaryDirectory(prefix="sepe-surge-") as made:
        folder = _empty(keep) if keep is not None else Path(made)
        plan = Plan(
            found, scenario, options, folder, workers, _tokens(tokens), settle,
            command=" ".join(["sepe", *sys.argv[1:]]),
            version=_version(), commit=_commit(),
        )  # fmt: skip
        result = asyncio.run(_play(plan, hub, db))
    if json_file is not None:
        text = result_json.to_json(result, indent=1) + "\n"
        sys.stdout.write(text) if str(json_file) == "-" else json_file.write_text(text, encoding="utf-8")
    if report is not None and html_file is not None:
        html_file.write_text(report(result, earlier), encoding="utf-8")
    _show(result, earlier, to_stderr=json_file is not None and str(json_file) == "-")
    if not result.passed:
        raise typer.Exit(EXIT_MISSED)


async def _play(plan: Plan, hub: str, database: str) -> Result:
    from sepe.errors import InvalidInputError
    from sepe_io import logs
    from sepe_io.process import stop_requests
    from surge.run.hubside import given_hub, start_hub
    from surge.run.play import checked, play

    logs.set_up("ERROR")
    checked(plan)
    side: HubSide
    if hub:
        side = await given_hub(hub)
        if side.directory is None and not plan.tokens:
            raise InvalidInputError(
                "a hub elsewhere lets in whom it knows", field="--hub", value=hub,
                hint="Give --tokens FILE, or the hub's directory when it is on this machine.",
            )  # fmt: skip
    with stop_requests() as stop, _progress() as on_progress:
        if not hub:
            side = await start_hub(plan.folder, database=database)
        try:
            return await play(plan, side, stop, on_progress)
        finally:
            await side.stop()


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on a terminal, a line every ten seconds elsewhere."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        last = [0.0]

        def tell(now: Progress) -> None:
            if now.phase != "running" or time.monotonic() - last[0] >= 10:
                last[0] = time.monotonic()
                typer.echo(_plain(now), err=True)

        yield tell
        return
    bar = Bars(
        TextColumn("{task.description}"), BarColumn(None), TimeElapsedColumn(), TextColumn("{task.fields[said]}"),
        console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=1.0, said="")

        def show(now: Progress) -> None:
            bar.update(
                task,
                description=now.phase,
                total=now.lasts_s or 1.0,
                completed=min(now.at_s, now.lasts_s),
                said=_said(now),
            )

        yield show


def _plain(now: Progress) -> str:
    return f"{now.phase}  {_said(now)}"


def _said(now: Progress) -> str:
    if now.phase != "running":
        return f"{now.offices} machines"
    down = f"  without a line {now.offices_down}" if now.offices_down else ""
    cards = f"  cards {now.cards:,}" if now.cards else ""
    return (
        f"{now.at_s / 3600:.1f} h  offered {now.offered:,}/{now.events:,}  accepted {now.accepted:,}  "
        f"lag {now.lag:,}{cards}{down}"
    )


def _show(result: Result, earlier: Result | None, *, to_stderr: bool) -> None:
    from rich.console import Console

    from surge.run.compare import compare, unlike
    from surge.run.words import text_of

    console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)
    if earlier is not None:
        for why in unlike(earlier, result):
            console.print(f"[yellow]compared with care: {why}[/]")
    console.print(text_of(result, None if earlier is None else compare(earlier, result)))


def _tokens(path: Path | None) -> dict[str, str]:
    from sepe.errors import InvalidInputError

    if path is None:
        return {}
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError("the file cannot be read", field="--tokens", value=str(path)) from exc
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            # The line itself is a secret.
            raise InvalidInputError(
                f"line {number} is not NODE TOKEN", field="--tokens", value=str(path),
                hint="One line each, as in: 537104-1 TOKEN",
            )  # fmt: skip
        found[words[0]] = words[1]
    return found


def _empty(folder: Path) -> Path:
    from sepe.errors import InvalidInputError

    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidInputError(
            "this directory is not empty", field="--keep", value=str(folder), hint="Take a new one."
        )
    return folder


def _check_writable(path: Path | None) -> None:
    from sepe.errors import InvalidInputError

    if path is not None and str(path) != "-" and not path.resolve().parent.is_dir():
        raise InvalidInputError("no such directory", field="FILE", value=str(path), hint="Make it first.")


def _report_writer() -> Callable[[Result, Result | None], str]:
    from importlib import import_module

    writer: Callable[[Result, Result | None], str] = import_module("surge.report").html_of
    return writer


def _version() -> str:
    from importlib.metadata import version

    return version("sepe")


def _commit() -> str:
    """The commit of a checkout, ``""`` for an installed program."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
