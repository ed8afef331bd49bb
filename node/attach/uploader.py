"""Bringing attachments to the hub, when the line has nothing better to do.

Events come first, always: before each chunk the relay's view is asked, and while an event waits, or there is no
line, no chunk begins. What is on its way then is at most `sepe.attach.WINDOW_CHUNKS` chunks. A byte budget of the
operator's holds chunks back in the same way; events are charged to it too, but never wait for it.

The hub's word is the only position (see `sepe.attach`), so a session begins with asking and nothing here needs to
survive a kill: rows only say what is worth offering. A session ends when nothing is due, or when the way is not
clear for a while; a stream that stands still would take another office's place at the hub.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_random_exponential

from node.attach.shelf import Attachment, Waiting
from node.attach.worker import AttachmentWorker
from node.clock import now_ms
from node.link.attachments import AttachmentLine, HubWord
from node.outbox.view import RelayView
from sepe.attach import CHUNK_BYTES_MIN, ChunkPace, Upload
from sepe.budget import BURST_PART, Budget
from sepe.errors import PeerProtocolError, TransientError
from sepe.rpc.v1 import attachments_pb2 as rpc
from sepe_io.logs import logger

OFFERS_MAX = 8
NOTE_MS = 1_000
CORRUPT_MAX = 3
LATER_MS_MAX = 60_000

_log = logger("node.attach")

OpenLine = Callable[[], AbstractAsyncContextManager[AttachmentLine]]


class NotNowError(TransientError):
    """The hub asks to come again later, or does not take requests of this machine."""


@dataclass(frozen=True, slots=True)
class UploadTimes:
    """Pauses of the uploader.

    Attributes:
        poll_ms: how often it is looked for new attachments and a clear way.
        patience_ms: how long a session waits for a clear way before it ends.
        wanted_ms: how often the hub is asked what it lacks; also at every start.
        retire_ms: how often files that may go are removed.
    """

    poll_ms: int = 250
    patience_ms: int = 2_000
    wanted_ms: int = 3_600_000
    retire_ms: int = 3_600_000
    retry_max_ms: int = 60_000


@dataclass(slots=True)
class UploadView:
    """The uploader's state for the page and the metrics; updated in place.

    Attributes:
        state: ``looking`` before the first look; ``idle``: nothing is due; ``behind``: events come first, or there
            is no line; ``held``: the budget is used up; ``sending``; ``failed``: the last attempt did, ``reason``
            says why.
        sent: attachments that became whole at the hub; ``sent_bytes`` of chunks handed to the line.
    """

    state: str = "looking"
    waiting: int = 0
    waiting_bytes: int = 0
    refused: int = 0
    sent: int = 0
    sent_bytes: int = 0
    reason: str = ""

    @property
    def is_through(self) -> bool:
        """Whether waiting longer brings nothing: all is sent, or what is left waits for its budget or its hub."""
        return self.state in ("idle", "held", "failed")

    def show(self, waiting: Waiting) -> None:
        self.waiting, self.waiting_bytes, self.refused = waiting.count, waiting.waiting_bytes, waiting.refused


class Uploader:
    """Sends one node's attachments for as long as `run` runs.

    Args:
        relay: the view of the relay that runs beside it.
        open_line: makes a line to the hub.
    """

    def __init__(
        self, folder: Path, relay: RelayView, open_line: OpenLine, *, times: UploadTimes | None = None
    ) -> None:
        self.view = UploadView()
        self._folder = folder
        self._relay = relay
        self._open_line = open_line
        self._times = times or UploadTimes()
        self._pace = ChunkPace()
        self._budget = Budget.full(0, 0)
        self._events_bytes = relay.bytes_sent
        self._wanted_due_ms = self._retire_due_ms = 0
        self._corrupt: Counter[bytes] = Counter()
        self._noted_ms = 0
        self._has_headway = False

    async def run(self) -> None:
        """Send until cancelled. Every `TransientError` is waited out; anything else ends the run."""
        worker = await AttachmentWorker.open(self._folder)
        try:
            self._budget = await worker.budget()
            while True:
                async for attempt in self._retry_policy():
                    with attempt:
                        await self._attempt(worker)
        finally:
            worker.close()

    def _retry_policy(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=wait_random_exponential(multiplier=0.5, max=self._times.retry_max_ms / 1000),
            stop=stop_never,
            reraise=True,
        )

    async def _attempt(self, worker: AttachmentWorker) -> None:
        """Wait until there is something to do and a way to do it, then one session."""
        self._has_headway = False
        try:
            await self._until_due(worker)
            async with self._open_line() as line:
                await self._session(worker, line)
            self.view.reason = ""
        except (TransientError, PeerProtocolError) as exc:
            self._pace.line_failed()
            if self.view.reason != str(exc):
                _log.warning("attachments.interrupted", reason=str(exc), waiting=self.view.waiting)
            self.view.state, self.view.reason = "failed", str(exc)
            if isinstance(exc, PeerProtocolError):
                raise NotNowError(str(exc)) from exc
            if not self._has_headway:
                raise
        finally:
            if self._budget.bytes_per_hour_max:
                with suppress(TransientError):
                    await worker.save_budget(self._budget)

    async def _until_due(self, worker: AttachmentWorker) -> None:
        """Return when something is due and nothing stands before it. Seals and retires meanwhile."""
        while True:
            if _monotonic_ms() >= self._retire_due_ms:
                self._retire_due_ms = _monotonic_ms() + self._times.retire_ms
                await worker.retire()
            if (waiting := await worker.seal_if_changed()) is not None:
                self.view.show(waiting)
            first = await worker.due(1) if self.view.waiting else []
            is_asking = _monotonic_ms() >= self._wanted_due_ms
            if not first and not is_asking:
                self.view.state = "idle"
            elif self._wait_ms(self._worth_sending(first)):
                self._show_hold()
            else:
                return
            await asyncio.sleep(self._times.poll_ms / 1000)

    async def _session(self, worker: AttachmentWorker, line: AttachmentLine) -> None:
        """Offer and send until nothing is due, or the way is not clear for a while."""
        self.view.state = "sending"
        if _monotonic_ms() >= self._wanted_due_ms:
            wish = await line.wanted()
            if again := await worker.heed(wish.sealing_key, wish.sha256s):
                _log.info("attachments.wanted", again=again, total=wish.total)
            # The hub names so many at once; the rest is asked for when these are on their way.
            is_all = len(wish.sha256s) == wish.total or not again
            self._wanted_due_ms = _monotonic_ms() + (self._times.wanted_ms if is_all else LATER_MS_MAX)
            await worker.seal()
        while rows := await worker.due(OFFERS_MAX):
            if not await self._is_clear(self._worth_sending(rows)):
                break
            words = await line.offer(rows)
            for row, word in zip(rows, words, strict=True):
                if not await self._obey(worker, line, row, word):
                    break
        self.view.show(await worker.waiting())

    async def _obey(self, worker: AttachmentWorker, line: AttachmentLine, row: Attachment, word: HubWord) -> bool:
        """Do what the hub's word on an attachment asks for; whether to go on with the next."""
        match word.verdict:
            case rpc.ATTACHMENT_VERDICT_COMPLETE:
                await worker.sent(row)
                # Before it is counted, so that nobody finds it both sent and waiting.
                self.view.show(await worker.waiting())
                self.view.sent += 1
                self._has_headway = True
                self._corrupt.pop(row.sha256, None)
                return True
            case rpc.ATTACHMENT_VERDICT_HELD:
                return await self._upload(worker, line, row, word.held)
            case rpc.ATTACHMENT_VERDICT_REFUSED:
                _log.warning("attachment.refused", reason=word.reason, kind=row.kind)
                await worker.refused(row, word.reason)
            case rpc.ATTACHMENT_VERDICT_CORRUPT:
                await self._mend(worker, row, word.reason)
            case _:
                await asyncio.sleep(min(word.retry_after_ms, LATER_MS_MAX) / 1000)
                raise NotNowError(f"the hub asks to wait: {word.reason or 'no reason'}")
        self.view.show(await worker.waiting())
        return True

    async def _upload(self, worker: AttachmentWorker, line: AttachmentLine, row: Attachment, held: int) -> bool:
        """Send the rest of one attachment; ``False`` when something came before it."""
        upload = Upload(row.sealed_bytes, held)
        async with line.put(row) as stream:
            while True:
                chunk = upload.next_chunk(self._chunk_bytes())
                is_held_back = chunk is not None and self._wait_ms(chunk.size) > 0
                if chunk is not None and is_held_back and not upload.in_flight:
                    if not await self._is_clear(chunk.size):
                        await worker.note(row, upload.held, self._budget)
                        return False
                elif chunk is not None and not is_held_back:
                    data = await worker.slice(row, chunk.offset, chunk.size)
                    if len(data) < chunk.size:
                        await worker.reseal(row, "file_missing")
                        return True
                    self._budget = self._budget.spent(chunk.size, now_ms())
                    await stream.send(chunk.offset, data)
                    upload.sent(chunk, _monotonic_ms())
                    self.view.sent_bytes += chunk.size
                else:
                    word = await stream.word()
                    if word.verdict != rpc.ATTACHMENT_VERDICT_HELD:
                        break
                    waited_ms = upload.heard(word.held, _monotonic_ms())
                    if waited_ms is not None:
                        self._pace.acked(waited_ms)
                        self._has_headway = True
                    await self._note(worker, row, word.held)
        return await self._obey(worker, line, row, word)

    async def _mend(self, worker: AttachmentWorker, row: Attachment, reason: str) -> None:
        """The hub found other bytes than were offered: the line's fault, or our file's."""
        _log.error("attachment.corrupt", reason=reason, kind=row.kind)
        self._corrupt[row.sha256] += 1
        if self._corrupt[row.sha256] >= CORRUPT_MAX:
            await worker.refused(row, reason)
        elif reason != "wrong_hash" or not await worker.is_whole(row):
            await worker.reseal(row, reason)
            await worker.seal()

    async def _note(self, worker: AttachmentWorker, row: Attachment, held: int) -> None:
        """Remember how far the hub is, for whoever looks; not at each chunk, for nothing hangs on it."""
        now = _monotonic_ms()
        if now - self._noted_ms >= NOTE_MS:
            self._noted_ms = now
            await worker.note(row, held, self._budget)
            self.view.show(await worker.waiting())

    async def _is_clear(self, size: int) -> bool:
        """Whether ``size`` bytes may go, after waiting for it a little."""
        until_ms = _monotonic_ms() + self._times.patience_ms
        while wait_ms := self._wait_ms(size):
            self._show_hold()
            if _monotonic_ms() + min(wait_ms, self._times.poll_ms) > until_ms:
                return False
            await asyncio.sleep(min(wait_ms, self._times.poll_ms) / 1000)
        self.view.state = "sending"
        return True

    @property
    def _is_behind(self) -> bool:
        return self._relay.pending > 0 or self._relay.link == "offline"

    def _show_hold(self) -> None:
        self.view.state = "behind" if self._is_behind else "held"

    def _wait_ms(self, size: int) -> int:
        """0 when ``size`` bytes may go now; else when to look again, or longer."""
        now = now_ms()
        if events := self._relay.bytes_sent - self._events_bytes:
            self._events_bytes = self._relay.bytes_sent
            self._budget = self._budget.spent(events, now)
        if self._is_behind:
            return self._times.poll_ms
        return self._budget.wait_ms(size, now)

    def _chunk_bytes(self) -> int:
        limit = self._budget.bytes_per_hour_max
        return min(self._pace.chunk_bytes, limit // BURST_PART) if limit else self._pace.chunk_bytes

    def _worth_sending(self, rows: list[Attachment]) -> int:
        """How many bytes shall be allowed before a session begins: with a small budget, a burst at a time."""
        if not rows:
            return 0
        left = rows[0].sealed_bytes - rows[0].acked_bytes
        return max(min(left, self._budget.bytes_per_hour_max // BURST_PART), min(left, CHUNK_BYTES_MIN))


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
