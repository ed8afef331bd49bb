"""One process of offices, ``python -m surge.drain.team TASK``, as many as `OFFICES_EACH` on an event loop.

Hundreds of threads of one Python process wait for its one lock until nothing moves, so the offices are divided.
A team says ten times a second how its offices stand, one JSON document a line; it ends when it is asked to, or
when whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from node.outbox.view import RelayView
from sepe.errors import SepeError
from sepe_io import handles, logs
from sepe_io.process import end_child, stop_requests
from sepe_io.tasks import end_tasks
from surge.demo.parts import Part
from surge.drain.offices import Backlog, relaying

OFFICES_EACH = 80
SAY_S = 0.1
# Eighty offices take leave one after the other.
END_S = 30.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How some offices stand, added up.

    Attributes:
        durable: events that the hub confirmed; ``pending``: that it did not.
        waiting: offices with such events.
        on_nats, on_grpc, offline: offices by the line they use.
        reason: why one of those that wait has no line, or lost its last one.
    """

    durable: int = 0
    pending: int = 0
    waiting: int = 0
    on_nats: int = 0
    on_grpc: int = 0
    offline: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    sessions: int = 0
    reason: str = ""

    def joined(self, other: Standing) -> Standing:
        """Both teams' offices together."""
        mine, theirs = asdict(self), asdict(other)
        reason = mine.pop("reason") or theirs["reason"]
        return Standing(**{name: value + theirs[name] for name, value in mine.items()}, reason=reason)


def standing_of(views: Sequence[RelayView]) -> Standing:
    """What the relays show of themselves, added up."""
    waiting = [view for view in views if view.pending]
    lines = Counter(view.link for view in views)
    return Standing(
        durable=sum(view.durable_seq for view in views),
        pending=sum(view.pending for view in waiting),
        waiting=len(waiting),
        on_nats=lines["nats"],
        on_grpc=lines["grpc"],
        offline=lines["offline"],
        frames_sent=sum(view.frames_sent for view in views),
        bytes_sent=sum(view.bytes_sent for view in views),
        sessions=sum(view.sessions for view in views),
        reason=next((view.reason for view in waiting if view.reason), ""),
    )


@dataclass(slots=True)
class Team:
    """One such process, and what it said last."""

    part: Part
    last: Standing = field(default_factory=Standing)

    async def listen(self) -> None:
        """Note what it says until it ends.

        Raises:
            SepeError: it ended. Nobody asks it to while somebody listens.
        """
        assert self.part.child.stdout is not None
        while line := await self.part.child.stdout.readline():
            self.last = Standing(**json.loads(line))
        raise SepeError(f"the process of {self.part.name} ended; the log of that name says why")


@dataclass(slots=True)
class Teams:
    """All offices of a drain at work."""

    teams: list[Team]
    listening: list[asyncio.Task[None]]

    def standing(self) -> Standing:
        """How all of them stand, a moment ago.

        Raises:
            SepeError: one of the processes ended.
        """
        for task in self.listening:
            if task.done():
                task.result()
        found = Standing()
        for team in self.teams:
            found = found.joined(team.last)
        return found

    def processes(self) -> dict[str, int]:
        """The id of each, by name."""
        return {team.part.name: team.part.child.pid for team in self.teams}


@asynccontextmanager
async def teams_at_work(made: Sequence[Backlog], folder: Path, *, hub: str, nats: str) -> AsyncIterator[Teams]:
    """The relays of all offices at work in a few processes, whose logs and tasks are written to ``folder``."""
    async with AsyncExitStack() as stack:
        count = -(-len(made) // OFFICES_EACH)
        found = Teams([], [])
        for number in range(count):
            name = f"offices {number + 1}"
            task = folder / f"offices-{number + 1}.json"
            offices = [[one.node, str(one.folder), one.events, one.seed] for one in made[number::count]]
            task.write_text(json.dumps({"hub": hub, "nats": nats, "offices": offices}))
            command = [sys.executable, "-m", "surge.drain.team", str(task)]
            team = Team(await Part.start(name, command, task.with_suffix(".log")))
            stack.push_async_callback(partial(end_child, team.part.child, grace_s=END_S))
            found.teams.append(team)
            found.listening.append(asyncio.create_task(team.listen(), name=name))
        stack.push_async_callback(end_tasks, found.listening)
        yield found


async def _work(task: Path) -> None:
    told = json.loads(task.read_text())
    made = [Backlog(node, Path(folder), events, seed) for node, folder, events, seed in told["offices"]]
    with stop_requests() as stop:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        orphaned = loop.create_task(reader.read())
        orphaned.add_done_callback(lambda _: stop.set())
        _say({})
        async with relaying(made, hub=told["hub"], nats=told["nats"]) as views:
            while not stop.is_set():
                _say(asdict(standing_of(views)))
                await asyncio.sleep(SAY_S)


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logs.set_up("WARNING")
    handles.use_all()
    asyncio.run(_work(Path(sys.argv[1])))
