"""Twenty virtual printers at ten times the pace of real ones, and how busy one office keeps them.

The printers live in a process of their own (``python -m bench.printers FOLDER``), as the real ones live in other
boxes. Busy is measured at the tray: the time that the sheets between the first and the last of a printer needed at
the machine's pace, over the time that passed. The reference is the bare driver, which has the next document ready
and keeps no books.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from node.desk.lines import InputLine
from node.desk.record import Desk
from node.printing.driver import Document, JobOutcome, Media, open_driver
from node.printing.ledger import Ledger
from node.printing.press import keep_pressing
from node.printing.printers import Printers
from node.settings import KEY_NAME, NodeSettings, save_settings
from node.stock import SerialRange, Stock
from node.storage.store import NodeStore
from sepe_io import keys
from sepe_io.logs import set_up
from surge.lab.policy import print_incomplete
from surge.printer import VirtualPrinter

PRINTERS = 20
# Card printers take 32 to 40 seconds for two sides with a chip; no two are alike.
PACES_S = [3.2 + 0.8 * number / (PRINTERS - 1) for number in range(PRINTERS)]
SECONDS = 40.0
# Cards after which an office that never saw its printers before knows their pace.
LEARNING = 2
NODE = "537104-1"
ROOT = Path(__file__).resolve().parents[1]


def run() -> list[dict[str, object]]:
    """One row: how much of the time the printers were at work."""
    set_up("ERROR")
    with _printers() as (urls, trays):
        asyncio.run(_bare(urls))
        reference = _busy(trays())
    with _printers() as (urls, trays):
        asyncio.run(_office(urls))
        value = _busy(trays())
    return [
        {
            "name": f"{PRINTERS} printers at 10 times real pace, kept busy by one office",
            "value": round(100 * value, 2),
            "unit": "%",
            "reference": "the bare driver, next document ready, no ledger",
            "reference_value": round(100 * reference, 2),
            "ratio": round(value / reference, 3),
        }
    ]


def _busy(trays: list[list[float]]) -> float:
    """The share of the time in which the machines made cards, once the pace of each is known."""
    trays = [times[LEARNING:] for times in trays]
    made = sum(pace_s * (len(times) - 1) for pace_s, times in zip(PACES_S, trays, strict=True))
    return made / sum(times[-1] - times[0] for times in trays)


async def _bare(urls: list[str]) -> None:
    until = time.monotonic() + SECONDS

    async def feed(number: int, url: str) -> None:
        driver, count = open_driver(url), 0
        while time.monotonic() < until:
            count += 1
            name = f"bare-{number}-{count}"
            await driver.submit(Document(name, Media.CARD, b"%PDF-1.4 /Type /Page"))
            await asyncio.sleep(PACES_S[number] * 0.98)
            while await driver.outcome(name) is not JobOutcome.PRINTED:  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(PACES_S[number] / 100)

    await asyncio.gather(*(feed(number, url) for number, url in enumerate(urls)))


async def _office(urls: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = NodeSettings(NODE, "127.0.0.1:1")
        keys.save(keys.Signer.generate(), folder / KEY_NAME)
        now_ms = int(time.time() * 1000)
        store = NodeStore.create(folder, settings, now_ms=now_ms)
        print_incomplete(folder)
        save_settings(folder, settings)
        cards = round(PRINTERS * SECONDS / min(PACES_S)) + 4 * PRINTERS
        Stock(store).receive(SerialRange("ktp-el", "B000001", f"B{cards:06d}"), now_ms=now_ms)
        lines = [
            {"nik": f"53710441{1 + number // 999:02d}909{number % 999 + 1:03d}"[:16], "name": "MARIA TAEK",
             "birth_date": "1990-09-01", "sex": "P"}
            for number in range(cards)
        ]  # fmt: skip
        answers = Desk(store, regions=None, photo_base=folder).record(
            [InputLine(number, json.dumps(line).encode()) for number, line in enumerate(lines, 1)], now_ms
        )
        assert all(answer.ok for answer in answers), next(one for one in answers if not one.ok)
        Printers(store).adopt(urls)
        stop = asyncio.Event()
        task = asyncio.create_task(
            keep_pressing(folder, rights=None, stop=stop, now_ms=lambda: int(time.time() * 1000))
        )
        await asyncio.sleep(SECONDS)
        stop.set()
        await task
        assert Ledger(store).counts().get("in_doubt", 0) == 0
        store.close()


@contextmanager
def _printers() -> Iterator[tuple[list[str], Callable[[], list[list[float]]]]]:
    """(addresses, what tells the times at which sheets came out of each)."""
    with tempfile.TemporaryDirectory() as name:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.printers", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None and process.stdin is not None

        def trays() -> list[list[float]]:
            files = sorted(Path(name).glob("*.jsonl"))
            return [[json.loads(line)["at"] for line in file.read_text().splitlines()] for file in files]

        try:
            yield json.loads(process.stdout.readline()), trays
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


async def _serve(folder: Path) -> None:
    printers = [
        VirtualPrinter(pace_s=pace_s, tray_file=folder / f"{number:02d}.jsonl")
        for number, pace_s in enumerate(PACES_S)
    ]
    for printer in printers:
        await printer.start()
    print(json.dumps([printer.url for printer in printers]), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for printer in printers:
        await printer.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
