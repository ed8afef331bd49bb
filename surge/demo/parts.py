"""The demo's processes, as a user would start them: hub, nodes, printers, and one desk per office.

All go through the program's own commands, so the demo exercises what people run and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sepe.errors import SepeError
from sepe_io.process import end_child

READY_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 60.0
# A line of the hub's or node's output; recordings are far smaller.
LINE_BYTES_MAX = 1 << 20


class DemoError(SepeError):
    """A part of the demo did not do its work; the text says which and what it said."""


async def run_sepe(*words: object) -> str:
    """Run one ``sepe`` command to its end; return its stdout.

    Raises:
        DemoError: it failed, or took longer than a minute.
    """
    child = await asyncio.create_subprocess_exec(
        *_sepe(words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, error = await asyncio.wait_for(child.communicate(), COMMAND_TIMEOUT_S)
    except TimeoutError as exc:
        await end_child(child)
        raise DemoError(f"sepe {' '.join(map(str, words))} took over {COMMAND_TIMEOUT_S:.0f} s") from exc
    if child.returncode != 0:
        raise DemoError(
            f"sepe {' '.join(map(str, words))} ended with {child.returncode}: {error.decode().strip()}"
        )
    return out.decode()


async def sepe_json(*words: object) -> Any:
    """The JSON document that one ``sepe`` command prints."""
    return json.loads(await run_sepe(*words, "--json"))


@dataclass(slots=True)
class Part:
    """One process that goes on. ``ready`` is the JSON line by which it said that it works."""

    name: str
    child: asyncio.subprocess.Process
    ready: dict[str, str]

    @classmethod
    async def start(cls, name: str, command: Sequence[str], log: Path) -> Part:
        """Start ``command`` and wait until it says that it is ready.

        Raises:
            DemoError: it ended or stayed silent; the end of its log is shown.
        """
        with log.open("ab") as file:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                limit=LINE_BYTES_MAX,
            )
        assert child.stdout is not None
        try:
            line = await asyncio.wait_for(child.stdout.readline(), READY_TIMEOUT_S)
            return cls(name, child, json.loads(line))
        except (TimeoutError, ValueError) as exc:
            await end_child(child)
            said = log.read_text(errors="replace")[-2000:]
            raise DemoError(f"{name} did not start:\n{said}") from exc

    @classmethod
    async def sepe(cls, name: str, log: Path, *words: object) -> Part:
        """A ``sepe`` command that goes on."""
        return await cls.start(name, _sepe(words), log)

    @classmethod
    async def hub(cls, log: Path, directory: Path, *options: object) -> Part:
        """``sepe hub run`` on free ports of this machine; ``options`` say where its NATS is."""
        anywhere = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
        return await cls.sepe("hub", log, "hub", "run", directory, *anywhere, *options)

    @classmethod
    async def printer(cls, name: str, log: Path, tray: Path, pace_s: float) -> Part:
        """A virtual printer that notes every sheet that comes out in ``tray``."""
        command = [sys.executable, "-m", "surge.printer", "--tray", str(tray), "--pace", str(pace_s)]
        return await cls.start(name, command, log)

    async def end(self) -> int:
        return await end_child(self.child)


@dataclass(slots=True)
class Desk:
    """``sepe node record DIR -`` held open: one line in, one line out."""

    child: asyncio.subprocess.Process
    answers: list[dict[str, Any]] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, node_dir: Path, log: Path) -> Desk:
        with log.open("ab") as file:
            child = await asyncio.create_subprocess_exec(
                *_sepe(("node", "record", node_dir, "-")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                limit=LINE_BYTES_MAX,
            )
        desk = cls(child)
        desk._reading = asyncio.create_task(desk._read())
        return desk

    async def record(self, line: dict[str, str]) -> None:
        """Hand one person's line to the desk; the answer comes into `answers`."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        await self.child.stdin.drain()

    async def close(self) -> None:
        """End of the day: no more lines; wait for the last answer."""
        assert self.child.stdin is not None and self._reading is not None
        self.child.stdin.close()
        await self._reading
        await self.child.wait()

    async def _read(self) -> None:
        assert self.child.stdout is not None
        while line := await self.child.stdout.readline():
            self.answers.append(json.loads(line))


def sheets(tray: Path) -> list[dict[str, Any]]:
    """What physically came out of a printer, from its own notes."""
    return [json.loads(line) for line in tray.read_text().splitlines()] if tray.exists() else []


def _sepe(words: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "surge.program", *map(str, words)]
