"""Being told by the printer instead of asking it: an event subscription, fetched with Get-Notifications.

RFC 3995 lets a client subscribe to a printer's events, RFC 3996 (``ippget``) lets it fetch them, and
``notify-wait`` lets the printer keep the answer back until there is one. So the line is silent while a card is
made, and the news is here within milliseconds of it; a poll that is as quick asks hundreds of times for each.

An event is a reason to ask, never a proof: it carries the printer's job id, which repeats after a restart, and it
may be lost. What became of a job is always asked by our name for it, and now and then without an event. A printer
that knows no subscriptions, or answers at once although it should wait (CUPS does), is polled as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from node.printing.driver import PrinterBusyError, PrinterRefusedError, PrinterUnreachableError
from node.printing.ipp.codec import Attribute, Group, Message, Tag, attribute
from node.printing.ipp.registry import STATUS_OK_LAST, Operation, Status

WANTED = ("operations-supported", "notify-pull-method-supported")
NEEDED = frozenset({Operation.CREATE_PRINTER_SUBSCRIPTIONS, Operation.GET_NOTIFICATIONS})
PULL_METHOD = "ippget"
EVENTS = ("job-completed", "job-stopped", "printer-stopped", "printer-restarted")
LEASE_S = 86_400
SUBSCRIBE_S_MAX = 3.0
# An empty answer that came sooner was not kept back.
KEPT_BACK_S = 0.5
# After trouble with a subscription it is left alone for so long.
REST_S = 60.0

# Makes one exchange with the printer: operation, operation attributes, further groups, deadline in seconds.
Exchange = Callable[[Operation, tuple[Attribute, ...], tuple[Group, ...], float], Awaitable[Message]]


class Notices:
    """One printer's subscription of ours; no method raises for what the printer does.

    Attributes:
        is_offered: the printer says that it knows subscriptions that are fetched.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.is_offered = False
        self._waits = True
        self._subscription: int | None = None
        self._next_sequence = 1
        self._renew_s = 0.0
        self._rest_until_s = 0.0

    @property
    def is_telling(self) -> bool:
        """Whether `wait` is better than asking, as far as is known."""
        return self._subscription is not None and self._waits

    def learn(self, printer: Group) -> None:
        """Take in what the printer says it can do; see `WANTED`."""
        operations = printer.get("operations-supported")
        offered = {value.data for value in operations.values} if operations else set()
        self.is_offered = offered >= NEEDED and PULL_METHOD in printer.texts("notify-pull-method-supported")

    async def subscribe(self) -> None:
        """Subscribe unless it was done; call it before a job is handed over, so that no event of it is missed."""
        now_s = asyncio.get_running_loop().time()
        if not self.is_offered or not self._waits or now_s < self._rest_until_s:
            return
        if self._subscription is not None and now_s < self._renew_s:
            return
        wishes = (
            attribute(Tag.KEYWORD, "notify-pull-method", PULL_METHOD),
            attribute(Tag.KEYWORD, "notify-events", *EVENTS),
            attribute(Tag.INTEGER, "notify-lease-duration", LEASE_S),
        )
        answer = await self._try(
            Operation.CREATE_PRINTER_SUBSCRIPTIONS, (), (Group(Tag.SUBSCRIPTION, wishes),), SUBSCRIBE_S_MAX
        )
        granted = Group(Tag.SUBSCRIPTION) if answer is None else answer.group(Tag.SUBSCRIPTION)
        subscription = granted.integer("notify-subscription-id")
        if subscription is None:
            self._forget()
            return
        lease_s = granted.integer("notify-lease-duration") or LEASE_S
        # A fresh one well before the old ends; that one then ends by itself.
        self._subscription, self._next_sequence, self._renew_s = subscription, 1, now_s + lease_s / 2

    async def wait(self, job_id: int, seconds: float) -> bool:
        """Until the printer says that something happened to this job or to itself; False: nothing was heard."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while self._subscription is not None and (left_s := until_s - loop.time()) > 0:
            asked_s = loop.time()
            answer = await self._fetch(left_s)
            if answer is None:
                return False
            events = answer.all_groups(Tag.EVENT)
            for event in events:
                self._next_sequence = max(self._next_sequence, (event.integer("notify-sequence-number") or 0) + 1)
            if any(event.integer("notify-job-id") in (job_id, None) for event in events):
                return True
            if not events and loop.time() - asked_s < min(KEPT_BACK_S, left_s / 2):
                self._waits = False
                await self.cancel()
        return False

    async def cancel(self) -> None:
        """Tell the printer that nobody listens any more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            target = attribute(Tag.INTEGER, "notify-subscription-id", subscription)
            await self._try(Operation.CANCEL_SUBSCRIPTION, (target,), (), SUBSCRIBE_S_MAX)

    async def _fetch(self, seconds: float) -> Message | None:
        """The events that we have not seen, as soon as there are any; ``None``: nothing was heard."""
        assert self._subscription is not None
        asked = (
            attribute(Tag.INTEGER, "notify-subscription-ids", self._subscription),
            attribute(Tag.INTEGER, "notify-sequence-numbers", self._next_sequence),
            attribute(Tag.BOOLEAN, "notify-wait", True),
        )
        try:
            answer = await self._exchange(Operation.GET_NOTIFICATIONS, asked, (), seconds)
        except PrinterUnreachableError:
            return None  # Its patience or ours ended, or the line did; asking will tell.
        except (PrinterBusyError, PrinterRefusedError):
            self._forget()
            return None
        if answer.code > STATUS_OK_LAST:
            self._forget(rest_s=0.0 if answer.code == Status.NOT_FOUND else REST_S)
            return None
        if answer.code == Status.OK_EVENTS_COMPLETE:
            self._forget(rest_s=0.0)
        return answer

    async def _try(
        self, operation: Operation, attributes: tuple[Attribute, ...], groups: tuple[Group, ...], deadline_s: float
    ) -> Message | None:
        try:
            answer = await self._exchange(operation, attributes, groups, deadline_s)
        except (PrinterUnreachableError, PrinterBusyError, PrinterRefusedError):
            return None
        return answer if answer.code <= STATUS_OK_LAST else None

    def _forget(self, rest_s: float = REST_S) -> None:
        self._subscription = None
        self._rest_until_s = asyncio.get_running_loop().time() + rest_s
