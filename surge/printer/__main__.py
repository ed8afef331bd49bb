"""``python -m surge.printer``: one virtual printer as a process of its own.

Prints ``{"url": …, "http": …}`` as its first line when it listens. Takes commands as JSON lines on stdin
or by ``POST /control`` (see ``VirtualPrinter.control``) and answers each stdin line with one line. Ends on
SIGTERM, Ctrl-C, and when stdin is closed, unless ``--detached``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from sepe.errors import InvalidInputError
from surge.printer.engine import Mechanics
from surge.printer.notices import Tells
from surge.printer.virtual import VirtualPrinter


def main() -> None:
    options = _parser().parse_args()
    mechanics = Mechanics(
        pace_s=options.pace,
        blanks=options.blanks,
        ribbon=options.ribbon,
        heat_after=options.heat_after,
        heat_pause_s=options.heat_pause,
        jobs_max=options.jobs_max,
    )
    printer = VirtualPrinter(
        mechanics,
        host=options.host,
        port=options.port,
        name=options.name,
        tray_file=options.tray,
        tells=options.tells,
    )
    try:
        asyncio.run(_run(printer, is_detached=options.detached))
    except KeyboardInterrupt:
        return
    except OSError as exc:
        print(f"surge.printer: cannot listen on port {options.port}: {exc.strerror}", file=sys.stderr)
        raise SystemExit(3) from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m surge.printer", description="A virtual IPP card printer.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--name", default="kartu")
    parser.add_argument("--pace", type=float, default=0.0, metavar="S", help="seconds a sheet")
    parser.add_argument("--blanks", type=int, metavar="N", help="sheets until it is empty")
    parser.add_argument("--ribbon", type=int, metavar="N", help="sheets until the ribbon ends")
    parser.add_argument("--heat-after", type=int, metavar="N", help="sheets until it must cool")
    parser.add_argument("--heat-pause", type=float, default=60.0, metavar="S")
    parser.add_argument("--jobs-max", type=int, default=1, metavar="N", help="unfinished jobs it takes")
    parser.add_argument(
        "--tells", type=Tells, choices=list(Tells), default=Tells.WAITS, help="what it knows of events"
    )
    parser.add_argument("--tray", type=Path, metavar="FILE", help="append one JSON line per sheet")
    parser.add_argument("--detached", action="store_true", help="go on when stdin is closed")
    return parser


async def _run(printer: VirtualPrinter, *, is_detached: bool) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # Windows has no signal handlers on its loop; Ctrl-C still works.
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    async with printer:
        print(json.dumps({"url": printer.url, "http": printer.http_url}), flush=True)
        with suppress(asyncio.CancelledError):
            await _obey(printer, loop)
            if is_detached:
                await asyncio.Event().wait()


async def _obey(printer: VirtualPrinter, loop: asyncio.AbstractEventLoop) -> None:
    """Carry out stdin's lines until it ends."""
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        # A daemon thread, because a blocked read of stdin cannot be cancelled on every system.
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True, name="stdin").start()
    while line := await lines.get():
        if not line.strip():
            continue
        try:
            await printer.control(json.loads(line))
            answer = {"ok": True, "reasons": list(printer.engine.reasons)}
        except (ValueError, InvalidInputError) as exc:
            answer = {"ok": False, "error": str(exc)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
