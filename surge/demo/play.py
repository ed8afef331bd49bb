"""Plays the demo: starts the parts, lets people come, breaks the line and the broker, waits, and judges."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hub.merge.store import HubStore
from hub.read.status import counts
from node.printing.ledger import Ledger
from node.storage.store import NodeStore
from sepe.errors import TransientError
from sepe.subjects import STREAM
from surge.demo.parts import DemoError, Desk, Part, run_sepe, sepe_json, sheets
from surge.demo.plot import CUT_AT, CUT_OFFICE, HEAL_AT, OFFICES, PURGE_AT, Plot
from surge.demo.verdict import Figures
from surge.demo.view import OfficeScene, Scene
from surge.lab.policy import print_incomplete
from surge.line import Line
from surge.look import position_of

PRINTER_PACE_S = 0.15
BLANKS = 400
LOOK_EVERY_S = 0.5
# After the last visit: the backlog drains, the last cards come out.
SETTLE_TIMEOUT_S = 45.0
# Jobs in these states wait for a person or another office and will not print by themselves.
STANDING = frozenset(
    {"waiting_due", "waiting_right", "waiting_blank", "held", "failed", "in_doubt",
     "printed", "handed_over", "spoiled", "void"}
)  # fmt: skip


@dataclass(slots=True)
class Office:
    """One office's processes and files."""

    name: str
    node: str
    folder: Path
    tray: Path
    line_grpc: Line
    line_nats: Line
    scene: OfficeScene
    desk: Desk | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def lines(self) -> tuple[Line, Line]:
        """The office's one cable; gRPC and NATS go through it side by side."""
        return self.line_grpc, self.line_nats


@dataclass(slots=True)
class Stage:
    """Everything that runs."""

    folder: Path
    hub_dir: Path
    hub: Part
    offices: list[Office]
    scene: Scene
    say: Callable[[str], None]


async def play(plot: Plot, folder: Path, scene: Scene, say: Callable[[str], None]) -> Figures:
    """Play a plot in ``folder`` and return what everybody says at the end.

    Raises:
        DemoError: a part did not start, or the demo did not settle in time.
    """
    async with _stage(folder, scene, say) as stage:
        looking = asyncio.create_task(_look(stage))
        try:
            await asyncio.gather(_people_come(plot, stage), _things_break(plot, stage))
            for office in stage.offices:
                assert office.desk is not None
                await office.desk.close()
            await _settled(stage)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        _look_once(stage)
        return await _figures_of_one_moment(stage)


@asynccontextmanager
async def _stage(folder: Path, scene: Scene, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Make directories, enrol, start everything; end every process at the end."""
    hub_dir = folder / "hub"
    await run_sepe("hub", "init", hub_dir)
    async with AsyncExitStack() as stack:
        hub = await Part.hub(folder / "hub.log", hub_dir, "--nats-port", "0")
        stack.push_async_callback(hub.end)
        say("hub and embedded nats-server run")
        offices = await asyncio.gather(
            *(_open_office(stack, folder, hub_dir, hub, place) for place in range(len(OFFICES)))
        )
        scene.offices[:] = [office.scene for office in offices]
        say("three offices open: " + ", ".join(office.name for office in offices))
        yield Stage(folder, hub_dir, hub, list(offices), scene, say)


async def _open_office(stack: AsyncExitStack, folder: Path, hub_dir: Path, hub: Part, place: int) -> Office:
    code, name = OFFICES[place]
    node = f"{code}-1"
    node_dir, tray, log = folder / node, folder / f"{node}.tray", folder / f"{node}.log"
    nats = urlsplit(hub.ready["nats"])
    grpc_host, _, grpc_port = hub.ready["grpc"].rpartition(":")
    line_grpc = await stack.enter_async_context(Line(grpc_host, int(grpc_port)))
    line_nats = await stack.enter_async_context(Line(nats.hostname or "127.0.0.1", nats.port or 4222))
    token = (await run_sepe("hub", "enrol", hub_dir, "--node", node)).strip()
    printer = await Part.printer(f"printer of {name}", log, tray, PRINTER_PACE_S)
    stack.push_async_callback(printer.end)
    await run_sepe(
        "node", "init", node_dir, "--node", node, "--hub", line_grpc.address, "--nats", f"nats://{line_nats.address}",
        "--token", token, "--printer", printer.ready["url"], "--blanks", BLANKS,
    )  # fmt: skip
    print_incomplete(node_dir)
    running = await Part.sepe(name, log, "node", "run", node_dir, "--http", "127.0.0.1:0")
    stack.push_async_callback(running.end)
    office = Office(
        name, node, node_dir, tray, line_grpc, line_nats, OfficeScene(name, node), parts=[printer, running]
    )
    office.desk = await Desk.open(node_dir, log)
    return office


async def _people_come(plot: Plot, stage: Stage) -> None:
    start = time.monotonic()
    stage.scene.seconds_total = plot.seconds
    for arrival in plot.arrivals:
        await asyncio.sleep(max(0.0, start + arrival.at_s - time.monotonic()))
        stage.scene.seconds = time.monotonic() - start
        desk = stage.offices[arrival.office].desk
        assert desk is not None
        await desk.record(arrival.person.to_line())


async def _things_break(plot: Plot, stage: Stage) -> None:
    office = stage.offices[CUT_OFFICE]
    await asyncio.sleep(plot.seconds * CUT_AT)
    for line in office.lines:
        line.cut()
    office.scene.is_cut = True
    stage.say(f"{office.name}: the line is cut; the office goes on recording and printing")
    await asyncio.sleep(plot.seconds * (PURGE_AT - CUT_AT))
    purged = await purge_stream(stage.hub.ready["nats"])
    stage.say(f"JetStream is purged: {purged} frames gone from the broker")
    await asyncio.sleep(plot.seconds * (HEAL_AT - PURGE_AT))
    for line in office.lines:
        line.heal()
    office.scene.is_cut = False
    stage.say(f"{office.name}: the line is back with {office.scene.pending} events to send")


async def purge_stream(nats_url: str) -> int:
    """Throw away every frame that the broker holds; return how many there were."""
    import nats

    connection = await nats.connect(nats_url)
    try:
        stream = connection.jetstream()
        held = (await stream.stream_info(STREAM)).state.messages
        await stream.purge_stream(STREAM)
        return held
    finally:
        await connection.close()


async def _look(stage: Stage) -> None:
    while True:
        _look_once(stage)
        await asyncio.sleep(LOOK_EVERY_S)


def _look_once(stage: Stage) -> None:
    """Read every database once, as the status commands do."""
    scene = stage.scene
    for office in stage.offices:
        with_store = NodeStore.open(office.folder, read_only=True)
        try:
            position = with_store.position()
            jobs = Ledger(with_store).counts()
            office.scene.link = with_store.link(int(time.time() * 1000))
        finally:
            with_store.close()
        office.scene.received = position.durable_seq
        office.scene.pending = position.last_seq - position.durable_seq
        office.scene.recorded = sum(answer["ok"] for answer in office.desk.answers) if office.desk else 0
        office.scene.sheets = len(sheets(office.tray))
        office.scene.waiting = sum(count for state, count in jobs.items() if state not in _OVER)
    try:
        with HubStore.open(stage.hub_dir) as store:
            store.project()
            held = counts(store.connection)
    except TransientError:
        return  # The hub is writing; the next look will tell.
    scene.events, scene.residents, scene.duplicates = held.events, held.residents, held.duplicates
    scene.cases_open, scene.cards = held.cases_open, held.cards


_OVER = frozenset({"printed", "handed_over", "spoiled", "void"})


async def _settled(stage: Stage) -> None:
    """Wait until nothing is pending and no printer has work.

    Raises:
        DemoError: not within `SETTLE_TIMEOUT_S`; what is left is named.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while left := _left(stage):
        if time.monotonic() > deadline:
            raise DemoError(f"not settled after {SETTLE_TIMEOUT_S:.0f} s: {'; '.join(left)}")
        await asyncio.sleep(LOOK_EVERY_S)
    stage.say("everything sent, every printer idle")


def _left(stage: Stage) -> list[str]:
    left = []
    for office in stage.offices:
        store = NodeStore.open(office.folder, read_only=True)
        try:
            position = store.position()
            busy = {
                state: count for state, count in Ledger(store).counts().items() if state not in STANDING and count
            }
        finally:
            store.close()
        if position.durable_seq != position.last_seq:
            left.append(f"{office.name} has {position.last_seq - position.durable_seq} events to send")
        if busy:
            left.append(f"{office.name} has jobs {busy}")
    return left


async def _figures_of_one_moment(stage: Stage) -> Figures:
    """What everybody says, taken while nothing moved: a card that waited for another office's right may get it,
    and be printed, while the accounts are taken.

    Raises:
        DemoError: something moved for longer than `SETTLE_TIMEOUT_S`.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        before = _marks(stage)
        figures = await _figures(stage)
        if _marks(stage) == before:
            return figures
        stage.say("a card was printed meanwhile: the accounts are taken again")
        await _settled(stage)
    raise DemoError(f"something moved for longer than {SETTLE_TIMEOUT_S:.0f} s")


def _marks(stage: Stage) -> list[tuple[int, int, int]]:
    """What changes when anything happens at an office."""
    marks = []
    for office in stage.offices:
        position = position_of(office.folder)
        marks.append((position.last_seq, position.durable_seq, len(sheets(office.tray))))
    return marks


async def _figures(stage: Stage) -> Figures:
    hub_dir = stage.hub_dir
    events = [
        json.loads(line) for line in (await run_sepe("hub", "export", hub_dir, "--what", "events")).splitlines()
    ]
    status = await sepe_json("hub", "status", hub_dir)
    cases = await sepe_json("hub", "cases", hub_dir)
    digest = await sepe_json("hub", "digest", hub_dir)
    nodes = {office.node: await sepe_json("node", "status", office.folder) for office in stage.offices}
    prints = ("node", "prints", "--limit", len(events))
    jobs = [job for office in stage.offices for job in await sepe_json(*prints, office.folder)]
    await run_sepe("hub", "rebuild", hub_dir)
    rebuilt = await sepe_json("hub", "digest", hub_dir)
    answers = [answer for office in stage.offices if office.desk for answer in office.desk.answers]
    return Figures(
        answers=answers,
        events=events,
        status=status,
        cases=cases,
        digest=digest["digest"],
        rebuilt_digest=rebuilt["digest"],
        nodes=nodes,
        jobs=jobs,
        sheets={office.node: len(sheets(office.tray)) for office in stage.offices},
    )
