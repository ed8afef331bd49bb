"""What greeting and reading everything back cost the merge: the same frames merged with and without them.

*With* means as a running hub does it: the background reading of `hub.verify.watch` is at work all the time (in a
hub it rests for an hour after each pass), and every office greets once for each 32,000 events (in a hub: at each
connection and every quarter of an hour). Both runs alternate, because the machines are shared; the figure is the
median of the ratios, by CPU time of everything that runs meanwhile.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.merge import BATCH_FRAMES, FRAME_EVENTS, OFFICES, _office
from hub.merge.store import HubStore
from hub.verify.watch import Times, keep_verifying
from tests.support.hubs import let_in, new_hub, send
from tests.support.world import START_MS, Node

ROUNDS = 3
GREET_EVERY_EVENTS = 32_000
# So long after its start the reading is where it is all day: resting most of the time.
SETTLING_S = 1.0


def run() -> list[dict[str, Any]]:
    """Rows for ``run.py bench``."""
    nodes = [_office(number) for number in range(OFFICES)]
    frames = [frame for turn in zip(*(node.frames(FRAME_EVENTS) for node in nodes), strict=True) for frame in turn]
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="sepe-bench-") as scratch:
            rates.append((_merge(Path(scratch) / "plain", nodes, frames, is_proven=False),
                          _merge(Path(scratch) / "proven", nodes, frames, is_proven=True)))  # fmt: skip
    return [
        {
            "name": "merge with greetings and reading back",
            "value": statistics.median(proven for _, proven in rates),
            "unit": "events/CPU-s",
            "reference": "merge alone",
            "reference_value": statistics.median(plain for plain, _ in rates),
            "ratio": statistics.median(proven / plain for plain, proven in rates),
        }
    ]


def _merge(directory: Path, nodes: Sequence[Node], frames: Sequence[bytes], *, is_proven: bool) -> float:
    """Events per second of CPU time of all that ran meanwhile; a fifth of the frames lies in the log already."""
    begun = len(frames) // 5
    with new_hub(directory) as store:
        let_in(store, nodes)
        send(store, frames[:begun])
        greet_every = GREET_EVERY_EVENTS // FRAME_EVENTS // BATCH_FRAMES * BATCH_FRAMES
        hellos = [node.hello() for node in nodes]
        with _reading_back(store) if is_proven else _nothing():
            began = time.process_time()
            for start in range(begun, len(frames), BATCH_FRAMES):
                send(store, frames[start : start + BATCH_FRAMES])
                if is_proven and (start - begun) % greet_every < BATCH_FRAMES:
                    for hello in hellos:
                        store.greet(hello, now_ms=START_MS, via="grpc")
            return (len(frames) - begun) * FRAME_EVENTS / (time.process_time() - began)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _reading_back(store: HubStore) -> Iterator[None]:
    """The hub's own background reading, one pass after the other."""
    loop = asyncio.new_event_loop()
    reading = loop.create_task(keep_verifying(store.directory, lambda acks: None, Times(first_s=0)))

    def turn() -> None:
        try:
            loop.run_until_complete(reading)
        except asyncio.CancelledError:
            loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=turn)
    thread.start()
    time.sleep(SETTLING_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(reading.cancel)
        thread.join()
        loop.close()
