"""What a printer that tells is worth: requests for each card, and how late the ledger hears that a card is out.

Two offices print the same cards side by side, each on a virtual printer at ten times real pace; one printer keeps
event subscriptions (RFC 3995, 3996), the other can only be asked. Lateness is from the sheet's fall into the tray
to the ledger's *printed*.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from node.desk.lines import InputLine
from node.desk.record import Desk
from node.printing.driver import Document, Media, open_driver
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.press import Press
from node.settings import KEY_NAME, NodeSettings, save_settings
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe_io import keys
from sepe_io.logs import set_up
from surge.lab.policy import print_incomplete
from surge.printer import Tells, VirtualPrinter

PACE_S = 3.0
CARDS = 5
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Batch:
    """One office's cards: requests for each, milliseconds until the ledger knew."""

    requests: float
    late_ms: float


def run() -> list[dict[str, object]]:
    """Two rows beside polling."""
    set_up("ERROR")
    asked, told = asyncio.run(_side_by_side())
    common = {"reference": "the same office, a printer that can only be asked"}
    return [
        {"name": "requests a card to a printer that tells", "value": told.requests, "unit": "requests",
         "reference_value": asked.requests, "ratio": round(asked.requests / told.requests, 2), **common},
        {"name": "from the tray to the ledger, a printer that tells", "value": told.late_ms, "unit": "ms",
         "reference_value": asked.late_ms, "ratio": round(asked.late_ms / told.late_ms, 2), **common},
    ]  # fmt: skip


async def _side_by_side() -> list[Batch]:
    return list(await asyncio.gather(*(_batch(tells) for tells in (Tells.NEVER, Tells.WAITS))))


async def _batch(tells: Tells) -> Batch:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = _office(folder)
        own = NodeStore.open(folder)
        async with VirtualPrinter(pace_s=PACE_S, tells=tells) as printer:
            press = Press(
                own, open_driver(printer.url), _Maker(), printer=printer.url, rights=None, now_ms=_now_ms
            )
            stop = asyncio.Event()
            running = asyncio.create_task(press.run(stop))
            ledger = Ledger(store)
            while ledger.counts() != {"printed": CARDS}:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(LOOK_S)
            stop.set()
            await running
            await press.close()
            known_ms = {job.name: job.changed_ms for job in ledger.all(CARDS)}
            late = [known_ms[sheet.job_name] - sheet.at_s * 1000 for sheet in printer.tray]
            requests = printer.requests.total() / CARDS
        own.close()
        store.close()
    return Batch(round(requests, 1), round(max(median(late), 0.1), 1))


def _office(folder: Path) -> NodeStore:
    settings = NodeSettings("537104-1", "127.0.0.1:1")
    keys.save(keys.Signer.generate(), folder / KEY_NAME)
    store = NodeStore.create(folder, settings, now_ms=_now_ms())
    print_incomplete(folder)
    save_settings(folder, settings)
    Stock(store).receive(SerialRange("ktp-el", "C000001", f"C{CARDS:06d}"), now_ms=_now_ms())
    lines = [
        {"nik": f"537104410190{9001 + number}", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P"}
        for number in range(CARDS)
    ]
    answers = Desk(store, regions=None, photo_base=folder).record(
        [InputLine(number, json.dumps(line).encode()) for number, line in enumerate(lines, 1)], _now_ms()
    )
    assert all(answer.ok for answer in answers)
    return store


def _now_ms() -> int:
    return int(time.time() * 1000)


class _Maker:
    """The smallest card that a printer takes: this is about the line."""

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        return lambda: Document(job.name, Media.CARD, b"%PDF-1.4 /Type /Page")
