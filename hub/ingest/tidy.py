"""What a hub does once nobody waits: cases brought up to date, then hints looked for.

Both use the thread that writes, so a frame that comes meanwhile waits for the step that runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from hub.ingest.writer import Urgency, WriterThread, shown
from sepe.errors import TransientError
from sepe_io.logs import logger
from sepe_io.sqlite import DiskFailedError

# Cases are brought up to date once the hub has been idle so long, and under constant load this seldom.
IDLE_S = 0.2
PROJECT_EVERY_S = 30.0
# A step of hints takes some tenths of a second, on a busy machine some seconds. Steps are taken once no process of
# this hub logged a frame for so long: an idle worker's stood in the way of a quiet office's frames while another
# took in a flood. Under constant load one is taken this seldom.
CALM_S = 1.0
HINTS_EVERY_S = 300.0

_log = logger("hub.ingest")


class TidyStore(Protocol):
    """What tidying needs of the hub's storage."""

    def project(self) -> int:
        """Bring the cases up to date."""

    def frames_logged(self) -> int:
        """The number of the last frame that any process logged."""

    def step_hints(self) -> bool:
        """Bring the hints some way up to date, in a fraction of a second; whether more is to be done."""


class Tidy:
    """When what is done, and doing it."""

    def __init__(self, store: TidyStore, writer: WriterThread) -> None:
        self._store = store
        self._writer = writer
        # Hints of a log that this version never read may be waiting.
        self._is_pending = True
        self._idle_s = IDLE_S
        self._projected_at = self._hinted_at = time.monotonic()
        self._logged = -1

    @property
    def after_s(self) -> float | None:
        """After how much idle time to `run`; ``None``: there is nothing to do."""
        return self._idle_s if self._is_pending else None

    @property
    def is_due(self) -> bool:
        """Whether it has waited so long that it must not wait for an idle moment any more."""
        return self._is_pending and time.monotonic() - self._projected_at > PROJECT_EVERY_S

    def merged(self) -> None:
        """Something new is in the log."""
        self._is_pending, self._idle_s = True, IDLE_S

    async def run(self, has_work: Callable[[], bool]) -> None:
        """Do what may be done now; ``has_work``: whether somebody waits meanwhile.

        Raises:
            DiskFailedError: only a new start can use the database again.
        """
        self._projected_at, self._idle_s = time.monotonic(), CALM_S
        try:
            await self._writer.call_as(Urgency.TIDY, self._store.project)
            self._is_pending = await self._hint(has_work)
        except TransientError as exc:
            # The marks stay in the database; readers project too, and so does the next idle moment.
            _log.warning("projection.deferred", reason=str(exc))
        except DiskFailedError:
            raise
        except Exception as exc:
            self._is_pending = False
            _log.error("projection.failed", error=shown(exc))

    async def _hint(self, has_work: Callable[[], bool]) -> bool:
        """Look for hints while nobody sends, here or to another process; whether more is to be done."""
        before, self._logged = self._logged, await self._frames_logged()
        if self._logged != before and time.monotonic() - self._hinted_at < HINTS_EVERY_S:
            return True
        self._hinted_at = time.monotonic()
        while await self._writer.call_as(Urgency.TIDY, self._store.step_hints):
            if has_work() or await self._frames_logged() != self._logged:
                return True
        return False

    async def _frames_logged(self) -> int:
        return await self._writer.call_as(Urgency.TIDY, self._store.frames_logged)
