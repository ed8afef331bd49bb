"""What a printer remembers, held against the ledger: jobs that were called ended, and cards that we forgot."""

from __future__ import annotations

from node.printing.driver import JobOutcome, PrintDriver, PrinterBusyError, PrinterUnreachableError
from node.printing.withdrawal import HOLDING, OVER, Withdrawals, Withdrawn
from node.printing.works import Works
from sepe_io.logs import logger

log = logger(__name__)

# A printer is asked again after so long about what it may still remember.
DOUBT_RETRY_MS = 30_000


class PrinterMemory:
    """Of one printer; `Works` is shared with the others."""

    def __init__(self, works: Works, driver: PrintDriver) -> None:
        self._works = works
        self._driver = driver
        self._is_heard = False
        self._asked_ms: dict[int, int] = {}

    async def examine(self, address: str) -> int:
        """To be called before the printer gets its next card; how many findings there were."""
        return await self._watch_withdrawn(address) + await self._hear_names()

    async def _watch_withdrawn(self, address: str) -> int:
        """Cancel what this printer still has of attempts that a person called ended; return how many ended."""
        withdrawals, now_ms = Withdrawals(self._works.store), self._works.now_ms()
        ended = 0
        for one in await self._works.db(withdrawals.watched, address, now_ms):
            if abs(now_ms - self._asked_ms.get(one.job, -DOUBT_RETRY_MS)) >= DOUBT_RETRY_MS:
                ended += await self._drop_withdrawn(withdrawals, one)
        return ended

    async def _drop_withdrawn(self, withdrawals: Withdrawals, one: Withdrawn) -> int:
        try:
            outcome = await self._driver.outcome(one.name)
            if outcome in HOLDING:
                await self._driver.cancel(one.name)
                log.warning("press.withdrawn_job_canceled", job=one.job)
                return 0  # What became of it is asked next time, soon.
        except (PrinterUnreachableError, PrinterBusyError):
            return 0
        self._asked_ms[one.job] = self._works.now_ms()
        if outcome in OVER or outcome is JobOutcome.PRINTED:
            await self._works.db(withdrawals.ended, one.job, outcome)
            level = log.error if outcome is JobOutcome.PRINTED else log.info
            level("press.withdrawn_job_ended", job=one.job, outcome=str(outcome))
            return 1
        return 0

    async def _hear_names(self) -> int:
        """Once: ask which jobs the printer remembers; of ours that we do not know, we forgot the cards."""
        if self._is_heard:
            return 0
        try:
            names = await self._driver.remembered()
        except (PrinterUnreachableError, PrinterBusyError):
            return 0
        self._is_heard = True
        forgotten = await self._works.db(self._works.witness.hear_printer, names)
        if forgotten:
            log.error("press.attempts_forgotten", count=forgotten)
        return forgotten
