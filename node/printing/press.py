"""The press: the office's dispatcher. It lets jobs go, fetches rights, and keeps every printer at work.

Each printer is a `Lane` with a task of its own, so a slow or silent one holds up no other; all take from one queue
(`Works`), so the most urgent card goes to whichever printer is free first. One press at a time works in a node
directory: whoever holds the file lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from node.printing.claiming import take_answer
from node.printing.driver import PrintDriver, open_driver
from node.printing.job import Job
from node.printing.lane import FAULT_SECONDS, FEED_JOBS_MAX, Lane, reading
from node.printing.printers import Mode, Printer, Printers
from node.printing.rights import SUSPENDED, Right, RightBook, RightsClient
from node.printing.spool import Fact, JobState
from node.printing.works import DocumentMaker, Works
from node.settings import PRESS_LOCK_NAME
from node.storage.store import NodeStore
from sepe.errors import SepeError, TransientError
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

__all__ = ["Press", "keep_pressing", "press_lock", "reading"]

log = logger(__name__)

CLAIMS_MAX = 20
NO_LINE_RETRY_MS = 15_000
IDLE_SECONDS = 1.0
STEP_SECONDS = 0.2
NO_LINE = "belum ada sambungan ke pusat untuk meminta hak cetak"
# Time alone changes the queue too: batches have their hour, the policy file may be edited.
REREAD_SECONDS = 10.0
EVERY_MEDIUM = frozenset({"card", "a4"})


def press_lock(folder: Path) -> FileLock:
    """The lock that makes one press of a node directory the only one."""
    return FileLock(folder / PRESS_LOCK_NAME)


class Press:
    """The printers of one node directory. Hold `press_lock` while using it.

    Args:
        store: for this press alone; it is used in a thread of its own, and so is ``maker``.
        driver, printer: one printer and its address, as the ledger remembers it; `use` adds and removes others.
        rights: the way to the hub's rights; ``None`` when there is none.
        now_ms: the wall clock.
        open_printer: the driver for an address; a load test has printers of its own.
    """

    def __init__(
        self,
        store: NodeStore,
        driver: PrintDriver | None,
        maker: DocumentMaker,
        *,
        printer: str = "",
        rights: RightsClient | None,
        now_ms: Callable[[], int],
        open_printer: Callable[[str], PrintDriver] = open_driver,
    ) -> None:
        self._open_printer = open_printer
        self._works = Works(store, maker, now_ms)
        self._rights = rights
        self._now_ms = now_ms
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen_version, self._reread_s = -1, 0.0
        if driver is not None:
            self._lanes[printer] = Lane(self._works, Printer(printer, "", EVERY_MEDIUM, Mode.ON), driver)

    async def close(self) -> None:
        """Wait for what the disk is doing; the store may be closed afterwards."""
        for lane in self._lanes.values():
            await lane.close()
        await self._works.close()

    async def examine(self) -> None:
        """Before the first card: an older ledger prints nothing that may be out already."""
        await self._works.db(self._works.witness.examine)

    async def use(self, printers: Sequence[Printer]) -> None:
        """Work with exactly these printers from now on."""
        wanted = {one.address: one for one in printers}
        for address in self._lanes.keys() - wanted.keys():
            await self._retire(address)
        for address, printer in wanted.items():
            if address in self._lanes:
                self._lanes[address].printer = printer
            else:
                self._lanes[address] = Lane(self._works, printer, self._open_printer(address))

    async def turn(self) -> int:
        """Let go what may go, fetch rights, watch and feed each printer; return how many jobs moved.

        Raises:
            StorageFullError, StorageBusyError: what the printer was told stays told; the next turn asks it.
        """
        moved = await self._works.db(self._wake)
        moved += await self._settle_orphans()
        moved += sum([await lane.watch() for lane in self._lanes.values()])
        moved += await self._claim_rights()
        self._works.expect_change()
        return moved + sum([await lane.feed(FEED_JOBS_MAX) for lane in self._lanes.values()])

    async def run(self, stop: asyncio.Event, *, printers: Callable[[], list[Printer]] | None = None) -> None:
        """Keep all printers busy until ``stop`` is set; trouble is logged and tried again.

        Args:
            printers: asked, in the database's thread, which printers to use; ``None``: those there are.

        Raises:
            DiskFailedError: only a new start can use the database again.
        """
        claims = asyncio.create_task(self._keep_claiming(stop))
        try:
            while not stop.is_set():
                await self._look_after(printers, stop)
                for task in (claims, *self._tasks.values()):
                    if task.done():
                        task.result()
                await self._pause(IDLE_SECONDS, stop)
        finally:
            tasks = [claims, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()

    async def _look_after(self, printers: Callable[[], list[Printer]] | None, stop: asyncio.Event) -> None:
        """What concerns the whole office, once a second or when somebody changed something."""
        try:
            if printers is not None:
                await self.use(await self._works.db(printers))
            moved, version = 0, await self._works.db(self._works.store.data_version)
            if self._lanes:
                moved = await self._works.db(self._wake) + await self._settle_orphans()
            now_s = asyncio.get_running_loop().time()
            if moved or version != self._seen_version or now_s >= self._reread_s:
                self._seen_version, self._reread_s = version, now_s + REREAD_SECONDS
                self._works.wake()
        except DiskFailedError:
            raise
        except SepeError as exc:
            log.warning("press.turn_failed", error=type(exc).__name__, detail=str(exc))
            await self._pause(FAULT_SECONDS, stop)
        for address, lane in self._lanes.items():
            if address not in self._tasks:
                self._tasks[address] = asyncio.create_task(lane.run(stop), name="printer")

    async def _keep_claiming(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                moved = await self._claim_rights() if self._lanes else 0
            except DiskFailedError:
                raise
            except SepeError as exc:
                log.warning("press.claims_failed", error=type(exc).__name__, detail=str(exc))
                moved = 0
            if moved:
                self._works.wake()
            else:
                await self._works.until_changed(IDLE_SECONDS)

    async def _retire(self, address: str) -> None:
        """Work with this printer no longer."""
        task, lane = self._tasks.pop(address, None), self._lanes.pop(address)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await lane.close()

    async def _pause(self, seconds: float, stop: asyncio.Event) -> None:
        """Wait, but not when a job was recorded or a person wants one."""
        version = await self._works.db(self._works.store.data_version)
        for _ in range(max(int(seconds / STEP_SECONDS), 1)):
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await stop.wait()
            except TimeoutError:
                if await self._works.db(self._works.store.data_version) != version:
                    return
            else:
                return

    def _wake(self) -> int:
        self._works.note_paces()
        now_ms = self._now_ms()
        return self._works.ledger.wake(today=self._works.due.today(now_ms).isoformat(), now_ms=now_ms)

    async def _settle_orphans(self) -> int:
        """A job reserved for a printer that is not ours any more: nobody can say whether its card came out."""
        ledger = self._works.ledger
        reserved = await self._works.db(ledger.in_state, JobState.RESERVED)
        orphans = [job for job in reserved if job.printer not in self._lanes]
        for job in orphans:
            await self._works.db(
                lambda job=job: ledger.settle(job.id, Fact.LOST, now_ms=self._now_ms(), reason=LOST)
            )
        return len(orphans)

    async def _claim_rights(self) -> int:
        works, now_ms = self._works, self._now_ms()
        jobs = await works.db(lambda: works.ledger.wanting_right(now_ms, CLAIMS_MAX))
        moved = 0
        for job in jobs:
            try:
                if self._rights is None:
                    raise TransientError(NO_LINE)
                answer = await self._rights.claim(
                    job.nik, job.product, job.issue, above=await works.db(self._above, job)
                )
            except TransientError:
                return moved + await works.db(self._await_line, now_ms)
            await works.db(take_answer, works.store, job.id, answer, self._now_ms())
            moved += 1
        return moved

    def _await_line(self, now_ms: int) -> int:
        """There is no line: everything without a right waits for one."""
        reason = SUSPENDED if RightBook(self._works.store).is_suspended else NO_LINE
        return self._works.ledger.await_right(reason, retry_ms=now_ms + NO_LINE_RETRY_MS, now_ms=now_ms)

    def _above(self, job: Job) -> int:
        """The least fence that we can use."""
        return RightBook(self._works.store).grip(Right(job.nik, job.product, job.issue)).above


async def keep_pressing(
    folder: Path, *, rights: RightsClient | None, stop: asyncio.Event, now_ms: Callable[[], int]
) -> None:
    """Run the press of a node directory on the printers that it uses (`Printers`) until ``stop`` is set.

    While another process presses (a `sepe node print` at the desk), it waits for its turn. Cancelling is safe at
    any moment: a job that the printer may have is asked for at the next start.
    """
    from node.printing.paper import Paper

    store = NodeStore.open(folder)
    press = Press(store, None, Paper(store), rights=rights, now_ms=now_ms)
    lock = press_lock(folder)
    try:
        while not stop.is_set():
            try:
                with lock.acquire(timeout=0):
                    await press.examine()
                    await press.run(stop, printers=Printers(store).used)
            except Timeout:
                await asyncio.sleep(STEP_SECONDS)
    finally:
        await press.close()
        store.close()


LOST = "tidak diketahui apakah kartu sudah keluar; lihat baki pencetak"
