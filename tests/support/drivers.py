"""Drivers of virtual printers in tests: by address, with deadlines of a test's own, waiting for an outcome."""

from __future__ import annotations

import asyncio

from node.printing.driver import JobOutcome, PrintDriver
from node.printing.ipp.client import IppDriver, PrinterAddress
from surge.printer import VirtualPrinter


async def settled(driver: PrintDriver, job_name: str, *, until: JobOutcome) -> None:
    """Wait until the printer says so of the job."""
    async with asyncio.timeout(20):
        while True:
            if await driver.outcome(job_name) is until:
                return
            await asyncio.sleep(0.005)


def addressed(printer: VirtualPrinter, **deadlines: float) -> IppDriver:
    """A driver of this printer with deadlines of its own."""
    host, port = printer.url.removeprefix("ipp://").split("/")[0].split(":")
    return IppDriver(PrinterAddress(host, int(port), "/ipp/print"), **deadlines)
