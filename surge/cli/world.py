"""``sepe surge world``: offices, lines, a broker and a hub under one seed, with every fault, and a verdict."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sepe.errors import InvalidInputError

if TYPE_CHECKING:
    from surge.fullworld.verdict import Verdict as FullVerdict
    from surge.world.run import Plan, Verdict

EXIT_RED = 99
# Fresh seeds are drawn from here: short enough to read out over the telephone.
SEED_BOUND = 10**9


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("world")(world)


def world(
    *,
    seed: Annotated[int | None, typer.Option(help="Play this seed; without it fresh ones are drawn.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to play, one after the other.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days the world lasts.")] = 2,
    offices: Annotated[int, typer.Option(min=1, max=99, help="How many offices it has.")] = 5,
    recordings: Annotated[int, typer.Option(min=0, help="Visits to all desks; 0 means 40 for each office.")] = 0,
    fault: Annotated[list[str] | None, typer.Option(help="A fault by name; may be given often.")] = None,
    all_faults: Annotated[bool, typer.Option("--all-faults", help="Every fault there is.")] = False,
    calm: Annotated[bool, typer.Option("--calm", help="No fault at all.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The product's own stores, desks and relays: slower, and closer.")
    ] = False,
    print_day: Annotated[
        bool, typer.Option("--print-day", help="Most visitors want a card, many far from home.")
    ] = False,
    bug: Annotated[str | None, typer.Option(help="Plant a mistake, to see that the checkers find it.")] = None,
    every_bug: Annotated[
        bool, typer.Option("--every-bug", help="Each mistake in turn, and a table of how many seeds it turns red.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Tell the whole story of each seed.")] = False,
    script: Annotated[Path | None, typer.Option(help="Play a scenario script instead, and compare.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Play seeded worlds and print seed, commit and verdict. Exit code 99 when a checker turned red.

    Without --fault, --all-faults or --calm a world has a bad line and power that fails.

    Example: sepe surge world --seeds 200 --all-faults
    """
    from surge.world import faults
    from surge.world.bugs import bug_named
    from surge.world.run import Plan

    if full and (script or bug or every_bug or print_day):
        raise InvalidInputError("scripts, bugs and print days belong to the world without --full", field="--full")
    if script is not None:
        _play_script(script)
        return
    if sum((bool(fault), all_faults, calm)) > 1:
        raise InvalidInputError("choose one of --fault, --all-faults and --calm")
    chosen = faults.ALL if all_faults else faults.CALM if calm else faults.STANDARD
    plan = Plan(
        offices,
        days,
        recordings,
        faults.named(fault) if fault else chosen,
        bug_named(bug) if bug else None,
        print_day,
    )
    first = secrets.randbelow(SEED_BOUND) if seed is None else seed
    if every_bug:
        _play_bugs(range(first, first + seeds), plan, as_json=as_json)
        return
    _play(range(first, first + seeds), plan, is_full=full, wants_story=trace, as_json=as_json)


def _verdicts(seeds: range, plan: Plan, *, is_full: bool, wants_story: bool) -> Iterator[Verdict | FullVerdict]:
    if not is_full:
        from surge.world.run import play_many

        yield from play_many(seeds, plan, wants_story=wants_story)
        return
    from surge.fullworld.run import NOT_PLAYED, run
    from surge.world.faults import NAMES
    from surge.world.run import recordings_of

    if plan.faults.named and NOT_PLAYED.issuperset(plan.faults.named):
        raise InvalidInputError(
            "the full world does not play this fault", field="--fault", value=", ".join(plan.faults.named),
            hint=f"One of: {', '.join(name for name in NAMES if name not in NOT_PLAYED)}.",
        )  # fmt: skip
    for seed in seeds:
        yield run(seed, plan.offices, recordings_of(plan), plan.faults, plan.days)


def _play(seeds: range, plan: Plan, *, is_full: bool, wants_story: bool, as_json: bool) -> None:
    commit, begun_s, red = commit_of_checkout(), time.perf_counter(), []
    totals: dict[str, int] = {}
    verdicts = []
    for verdict in _verdicts(seeds, plan, is_full=is_full, wants_story=wants_story):
        for name, count in verdict.figures.items():
            totals[name] = totals.get(name, 0) + count
        if not verdict.is_green:
            red.append(verdict)
        if as_json:
            verdicts.append(verdict)
        elif wants_story or len(seeds) == 1 or not verdict.is_green:
            _print(verdict, commit, wants_story=wants_story)
            if not verdict.is_green:
                typer.echo(f"  at that commit: {replay_line(verdict.seed, plan, is_full=is_full)}")
    seconds = time.perf_counter() - begun_s
    if as_json:
        document = {
            "commit": commit, "first_seed": seeds.start, "seeds": len(seeds), "seconds": round(seconds, 3),
            "verdict": "red" if red else "green", "offices": plan.offices, "days": plan.days,
            "faults": plan.faults.named, "bug": plan.bug.value if plan.bug else None, "full": is_full,
            "replay": [replay_line(verdict.seed, plan, is_full=is_full) for verdict in red],
            "red": [asdict(verdict) for verdict in red], "figures": totals,
        }  # fmt: skip
        if wants_story:
            document["stories"] = {str(verdict.seed): verdict.story for verdict in verdicts}
        typer.echo(json.dumps(document))
    elif len(seeds) > 1:
        rate = round(len(seeds) / seconds * 60)
        verdict_text = f"red: {len(red)} of {len(seeds)} seeds" if red else f"green: {len(seeds)} seeds"
        typer.echo(f"{verdict_text}, {seeds.start} to {seeds.stop - 1}, commit {commit}, {rate} a minute")
    if red:
        raise typer.Exit(EXIT_RED)


def replay_line(seed: int, plan: Plan, *, is_full: bool) -> str:
    """The command that tells one seed's story again, line by line the same, when that commit is checked out."""
    from surge.world import faults

    words = ["sepe surge world", *(["--full"] if is_full else []), f"--seed {seed}"]
    words += [f"--offices {plan.offices}", f"--days {plan.days}"]
    words += [f"--recordings {plan.recordings}"] if plan.recordings else []
    short = {faults.ALL: ["--all-faults"], faults.CALM: ["--calm"], faults.STANDARD: []}
    words += short.get(plan.faults, [f"--fault {name}" for name in plan.faults.named])
    words += ["--print-day"] if plan.is_print_day else []
    words += [f"--bug {plan.bug.value}"] if plan.bug else []
    return " ".join([*words, "--trace"])


def _print(verdict: Verdict | FullVerdict, commit: str, *, wants_story: bool) -> None:
    for line in verdict.story if wants_story else ():
        typer.echo(line)
    typer.echo(f"seed {verdict.seed}, commit {commit}: {'green' if verdict.is_green else 'RED'}")
    typer.echo("  " + ", ".join(f"{name} {count}" for name, count in verdict.figures.items()))
    for name, problems in verdict.problems.items():
        for problem in problems:
            typer.echo(f"  {name}: {problem}")


def _play_bugs(seeds: range, plan: Plan, *, as_json: bool) -> None:
    """Every planted mistake over these seeds: none may stay unseen."""
    from surge.world import faults
    from surge.world.bugs import TRAPS
    from surge.world.run import play_many

    rows, unseen = [], []
    for bug, trap in TRAPS.items():
        strength = faults.named([*plan.faults.named, *trap.needs])
        red = [
            verdict.seed
            for verdict in play_many(seeds, replace(plan, bug=bug, faults=strength))
            if trap.checker in verdict.red
        ]
        unseen += [] if red else [bug.value]
        rows.append({
            "bug": bug.value, "needs": trap.needs, "checker": trap.checker, "red": len(red), "seeds": len(seeds),
            "first_red": red[0] if red else None,
        })  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"commit": commit_of_checkout(), "first_seed": seeds.start, "bugs": rows}))
    else:
        typer.echo(f"seeds {seeds.start} to {seeds.stop - 1}, commit {commit_of_checkout()}")
        for row in rows:
            also = f" with {', '.join(row['needs'])}" if row["needs"] else ""  # type: ignore[arg-type]
            first = f", first {row['first_red']}" if row["red"] else ""
            typer.echo(f"  {row['bug']}{also}: red in {row['red']} of {row['seeds']} by {row['checker']}{first}")
    if unseen:
        raise typer.Exit(EXIT_RED)


def _play_script(path: Path) -> None:
    from surge.world.script import play_script, split

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError("the script cannot be read", field="--script", value=str(path)) from exc
    said = play_script(text)
    typer.echo(said, nl=False)
    if said != split(text)[1]:
        typer.echo("differs from the expected output below ----", err=True)
        raise typer.Exit(EXIT_RED)


def commit_of_checkout() -> str:
    """Which code this is: the checkout's commit, else the installed version."""
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        try:
            found = subprocess.run(
                ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
                capture_output=True,
                text=True,
                check=False,
                timeout=5,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
        if found.returncode == 0:
            return found.stdout.strip()
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sepe")
    except PackageNotFoundError:
        return "unknown"
