"""The offices: a directory each, with a backlog in its outbox, and their relays in one event loop.

Store, relay, links and frames are the product's own. What differs from an office's machine is that dozens of
them share one process, so an outbox that nobody else writes to is looked at every two seconds, not each 50 ms,
and a few threads do the commits of all.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from datetime import date
from functools import partial
from pathlib import Path
from random import Random

from hub.merge import registry
from hub.merge.proving import VIA_IMPORT, Arrival
from hub.merge.store import HubStore
from node.cli.setup import make_node
from node.desk.residents import mend_residents
from node.outbox.office import Office, open_office
from node.outbox.view import RelayTimes, RelayView
from node.settings import KEY_NAME, NodeSettings
from node.storage.store import PREDECESSOR_KEY, NodeStore
from sepe.errors import InvalidInputError
from sepe.events import Draft, Kind, draft
from sepe.wire.v1 import event_pb2
from sepe_io import keys
from sepe_io.frames import seal_frame
from sepe_io.regions import region_table
from sepe_io.sqlite import transaction
from sepe_io.tasks import end_tasks
from surge.lab.hands import SharedHands
from surge.people import NikSpace, Person, Populace

PROVINCE = "53"
TODAY = date(2024, 11, 18)
START_MS = 1_731_888_000_000  # 18 November 2024, 08.00 in Kupang.
APPEND_EVENTS = 2_500
# One in so many comes to the desk twice, so that heads have more than one event.
AGAIN_EVERY = 10
TIMES = RelayTimes(poll_ms=2_000, retry_max_ms=5_000, report_ms=60_000)
OPEN_AT_ONCE = 32
COMMIT_THREADS = 6

_FIELDS = tuple(
    one.name
    for one in fields(Person)
    if one.name in event_pb2.Recorded.DESCRIPTOR.fields_by_name and one.name not in ("birth_date", "nik")
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """One office to make: its machine, where, and how many events wait in it."""

    node: str
    folder: Path
    events: int
    seed: int


def backlogs(folder: Path, offices: int, events: int, seed: int) -> list[Backlog]:
    """As many kecamatan of NTT, with the events spread over them to within one.

    Raises:
        InvalidInputError: the province has fewer.
    """
    codes = [code for code in region_table().codes() if code.startswith(PROVINCE)]
    if not 1 <= offices <= len(codes):
        raise InvalidInputError(
            f"NTT has {len(codes)} kecamatan", field="--offices", value=offices, hint=f"1 to {len(codes)}."
        )
    chosen = [codes[number * len(codes) // offices] for number in range(offices)]
    return [
        Backlog(
            f"{code}-1", folder / code, events * (place + 1) // offices - events * place // offices, seed + place
        )
        for place, code in enumerate(chosen)
    ]


def make_offices(wanted: Sequence[Backlog], progress: Callable[[int], None], processes: int) -> None:
    """Make them on several cores; ``progress`` hears how many are made."""
    # Never forked: gRPC's threads run in this process, and a child would wait for them for ever.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(_make, wanted, chunksize=1), 1):
            progress(done)


def enrol(store: HubStore, made: Sequence[Backlog], *, now_ms: int) -> None:
    """Make the offices' keys known to a hub."""
    with transaction(store.connection):
        for one in made:
            key = keys.load(one.folder / KEY_NAME).public_key
            registry.add_key(store.connection, one.node, key, now_ms=now_ms)


def one_draft(one: Backlog, number: int) -> Draft:
    """A recording of the ``number``-th resident of its own."""
    people = Populace(
        Random(one.seed + number), kecamatan=one.node[:6], today=TODAY, space=NikSpace(number % 900, 900)
    )
    return _recorded(people.person("ktp-el"))


def frames_of(one: Backlog, *, received_ms: int) -> Iterator[Arrival]:
    """All that is in an outbox, sealed anew: what a courier would bring."""
    store, signer = NodeStore.open(one.folder), keys.load(one.folder / KEY_NAME)
    try:
        epoch, after = store.position().epoch, 0
        while (page := store.page(after)) is not None:
            frame = seal_frame(
                node=one.node, epoch=epoch, first_seq=page.first_seq, chain_before=page.chain_before,
                columns=page.columns, signer=signer,
            )  # fmt: skip
            yield Arrival(frame, VIA_IMPORT, received_ms)
            after = page.last_seq
    finally:
        store.close()


@asynccontextmanager
async def relaying(made: Sequence[Backlog], *, hub: str, nats: str) -> AsyncIterator[list[RelayView]]:
    """All relays at work; what each shows of itself, in the order of the offices."""
    async with AsyncExitStack() as stack:
        worker = partial(SharedHands, threads=stack.enter_context(ThreadPoolExecutor(COMMIT_THREADS, "commits")))
        opened = partial(open_office, hub=hub, nats=nats, times=TIMES, worker_of=worker)
        offices: list[Office] = []
        for start in range(0, len(made), OPEN_AT_ONCE):
            opening = [stack.enter_async_context(opened(one.folder)) for one in made[start : start + OPEN_AT_ONCE]]
            # One after the other: the stack keeps the order in which they are closed.
            offices += [await one for one in opening]
        tasks = [asyncio.create_task(office.relay.run(), name=office.settings.node) for office in offices]
        try:
            yield [office.relay.view for office in offices]
        finally:
            await end_tasks(tasks)


def _make(one: Backlog) -> None:
    make_node(one.folder, NodeSettings(one.node, "127.0.0.1:1"), token="", blanks=0, now_ms=START_MS)
    store = NodeStore.open(one.folder)
    try:
        # Its machine has been at work for long: what an earlier one did here was asked long ago.
        store.put(PREDECESSOR_KEY, None)
        drafts = list(_drafts(one))
        for start in range(0, len(drafts), APPEND_EVENTS):
            store.append(drafts[start : start + APPEND_EVENTS], START_MS + start)
        # What its desk knows of these people, as if it had recorded them: else the relay's upkeep would mend it.
        mend_residents(store)
    finally:
        store.close()


def _drafts(one: Backlog) -> Iterator[Draft]:
    people = Populace(Random(one.seed), kecamatan=one.node[:6], today=TODAY)
    person = people.person("ktp-el")
    for number in range(one.events):
        if number % AGAIN_EVERY or not number:
            person = people.person("ktp-el")
            yield _recorded(person)
        else:
            body = event_pb2.Corrected(fields={"address": f"{person.address} NO. {number}"})
            yield draft(Kind.CORRECTED, int(person.nik.value), body)


def _recorded(person: Person) -> Draft:
    body = event_pb2.Recorded(birth_date=person.birth_date.isoformat(), issue=1)
    for name in _FIELDS:
        setattr(body, name, getattr(person, name))
    return draft(Kind.RECORDED, int(person.nik.value), body)
