"""``sepe demo``: the live view or plain lines, the closing summary, the exit code."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from sepe.region import zone
from surge.demo.play import play
from surge.demo.plot import OFFICES, Plot, write_plot
from surge.demo.verdict import Figures, judge, product_table
from surge.demo.view import OfficeScene, Scene, render, render_summary

SECONDS = 40.0
SEED = 2024

app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Plain lines instead of the live view.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=10, max=3600, help="How long people come, in seconds.")
    ] = SECONDS,
    seed: Annotated[int, typer.Option("--seed", help="The same seed brings the same people.")] = SEED,
    as_json: Annotated[bool, typer.Option("--json", help="The closing summary as one JSON document.")] = False,
    keep: Annotated[Path | None, typer.Option("--keep", help="Keep all directories and logs here.")] = None,
) -> None:
    """Hub, NATS and three offices of Kota Kupang with printers, on this machine.

    One office loses its line, goes on recording and printing, returns and converges; the broker is purged
    meanwhile. Ends with a summary; exit code 0 only if nothing was lost or doubled.
    """
    plot = write_plot(seed, seconds, datetime.now(tz=zone(OFFICES[0][0]).tzinfo).date())
    scene = Scene([OfficeScene(name, f"{code}-1") for code, name in OFFICES], seconds_total=seconds)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="sepe-demo-") as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        if headless or as_json or not console.is_terminal:
            figures = asyncio.run(_play_plainly(plot, folder, scene, started))
        else:
            figures = asyncio.run(_play_live(plot, folder, scene, console, started))
    checks = judge(plot, figures)
    if as_json:
        rows = [{"check": c.name, "expected": c.expected, "found": c.found, "holds": c.holds} for c in checks]
        print(json.dumps({"seed": seed, "seconds": seconds, "checks": rows}, ensure_ascii=False))
    else:
        Console(width=110).print(render_summary(checks, product_table(plot, figures)))
    raise typer.Exit(0 if all(check.holds for check in checks) else 1)


async def _play_plainly(plot: Plot, folder: Path, scene: Scene, started: float) -> Figures:
    def say(text: str) -> None:
        typer.echo(f"{time.monotonic() - started:6.1f} s  {text}", err=True)

    return await play(plot, folder, scene, say)


async def _play_live(plot: Plot, folder: Path, scene: Scene, console: Console, started: float) -> Figures:
    def say(text: str) -> None:
        scene.story.append(f"{time.monotonic() - started:5.1f} s  {text}")

    with Live(console=console, get_renderable=lambda: render(scene), refresh_per_second=4):
        return await play(plot, folder, scene, say)
