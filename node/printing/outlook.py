"""How this machine's day at the printers will end, read from its database: an honest time for every card."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from node.desk.day import day_of
from node.printing.check import check_took_ms
from node.printing.condition import Condition, Conditions
from node.printing.ledger import Ledger
from node.printing.printers import Mode, Printer, Printers
from node.printing.queue import QueueStore, load_policy
from node.printing.spool import JobState
from node.storage.store import NodeStore
from sepe.dispatch.forecast import Machine, Situation, capacity
from sepe.dispatch.order import EXPECTED_FIRST, NOBODY, Ranked, Waiting, ranked
from sepe.dispatch.outlook import Limit, Outlook, outlook
from sepe.dispatch.pace import Pace, expected_arrivals, pace_of
from sepe.dispatch.policy import JobClass, Policy
from sepe.errors import InvalidInputError
from sepe.wire.v1 import sync_pb2

OFFLINE = "offline"
# A changed ribbon keeps a printer from its work for about this long.
RIBBON_CHANGE_MS = 300_000


@dataclass(frozen=True, slots=True)
class Station:
    """One printer with what is known of it."""

    printer: Printer
    condition: Condition
    pace: Pace
    in_hand: int
    free_ms: int

    def machine(self, *, is_stopped: bool) -> Machine:
        """It as the forecast sees it."""
        limits = self.condition.limits
        return Machine(
            self.printer.address,
            self.pace.ms_per_card,
            self.pace.cold_ms_per_card,
            self.printer.media,
            self.free_ms,
            limits.day_cards,
            self.condition.cards_today,
            self.condition.ribbon_left,
            None,
            limits.ribbon_cards,
            RIBBON_CHANGE_MS,
            self.printer.mode is Mode.ON and not is_stopped,
        )


@dataclass(frozen=True, slots=True)
class OfficeDay:
    """The queue of a machine with its outlook.

    Attributes:
        queue: everything that waits, first the next.
        in_printers: jobs that a printer has now.
        expected: people who are still expected today.
    """

    now_ms: int
    policy: Policy
    queue: Ranked
    stations: tuple[Station, ...]
    blanks: dict[str, int]
    in_printers: int
    in_doubt: int
    expected: int
    seen: Outlook


def office_day(store: NodeStore, now_ms: int, *, stopped: Collection[str] = ()) -> OfficeDay:
    """The outlook of this machine now. ``stopped``: addresses of printers that do not work.

    Raises:
        InvalidInputError: the policy file cannot be read.
    """
    with store.reading():
        policy = load_policy(store.folder, store.node)
        reader = QueueStore(store)
        queue = reader.everything(policy, now_ms, has_line=store.link(now_ms) != OFFLINE)
        stations = tuple(_stations(store, reader, now_ms))
        blanks = reader.blanks()
        asked_ms = reader.asked_ms(now_ms)
        counts = Ledger(store).counts()
        is_short = reader.is_short(policy)
        check_ms = check_took_ms(store) + policy.check_min * 60_000 if policy.check_waits else 0
    arrivals = _expected(asked_ms, policy, now_ms, is_short=is_short)
    machines = [one.machine(is_stopped=one.printer.address in stopped) for one in stations]
    seen = outlook(Situation(queue, machines, blanks, now_ms, policy.hours, arrivals, check_ms))
    in_printers = counts.get(JobState.RESERVED, 0) + counts.get(JobState.SUBMITTED, 0)
    return OfficeDay(
        now_ms, policy, queue, stations, blanks, in_printers, counts.get(JobState.IN_DOUBT, 0), len(arrivals), seen
    )


def print_room(store: NodeStore, now_ms: int) -> sync_pb2.PrintRoom | None:
    """What the centre is told of the printers here; ``None``: there are none, or nothing can be said."""
    try:
        if not Printers(store).used():
            return None
        return room_of(office_day(store, now_ms))
    except InvalidInputError:
        return None  # The policy file; the operator is told by every command that reads it.


def room_of(day: OfficeDay) -> sync_pb2.PrintRoom:
    """A day as the centre is told of it."""
    machines = [one.machine(is_stopped=False) for one in day.stations if "card" in one.printer.media]
    ready = [
        one
        for one in day.queue
        if one.blank and one.waits_for in ("", Limit.BLANKS) and one.ready_ms <= day.now_ms
    ]
    return sync_pb2.PrintRoom(
        waiting=len(ready),
        blanks=day.blanks,
        capacity=capacity(machines, day.now_ms, day.seen.close_ms),
        done_by_close=day.seen.done_by_close,
        left_at_close=day.seen.left_at_close,
        close_ms=day.seen.close_ms,
        binding="+".join(day.seen.binding),
    )


def words_of(limits: Collection[Limit]) -> tuple[str, str]:
    """What binds, in Indonesian and in English."""
    return tuple(" + ".join(WORDS[one][language] for one in limits) for language in (0, 1))  # type: ignore[return-value]


def _stations(store: NodeStore, reader: QueueStore, now_ms: int) -> list[Station]:
    conditions = Conditions(store)
    today = day_of(now_ms, store.node).isoformat()
    sent = Ledger(store).in_state(JobState.RESERVED, JobState.SUBMITTED)
    found = []
    for printer in Printers(store).used():
        mine = [job for job in sent if job.printer == printer.address]
        pace = pace_of(reader.took_ms(printer.address))
        free_ms = max((max(job.changed_ms + pace.ms_per_card, now_ms + 1) for job in mine), default=0)
        found.append(Station(printer, conditions.of(printer.address, today), pace, len(mine), free_ms))
    return found


def _expected(asked_ms: list[int], policy: Policy, now_ms: int, *, is_short: bool) -> Ranked:
    times = expected_arrivals(asked_ms, now_ms=now_ms, hours=policy.hours, a_day=policy.recordings_a_day)
    if not times:
        return NOBODY
    # Nobody knows for what they will come. At most a quarter are first issues (DOMAIN §1, of TTS).
    kinds = (JobClass.LOST, JobClass.DATA_CHANGE, JobClass.FIRST, JobClass.DAMAGED)
    people = [
        Waiting(EXPECTED_FIRST + number, kinds[number % len(kinds)], ms, ready_ms=ms)
        for number, ms in enumerate(times)
    ]
    return ranked(people, policy, is_short=is_short)


WORDS = {
    Limit.LINE: ("sambungan ke pusat", "the line to the centre"),
    Limit.CHECK: ("pemeriksaan ketunggalan di pusat", "the uniqueness check at the centre"),
    Limit.BLANKS: ("blangko", "blanks"),
    Limit.RIBBON: ("pita pencetak", "ribbon"),
    Limit.HEAT: ("panas pencetak", "heat of the printers"),
    Limit.PEOPLE: ("kedatangan pemohon", "people yet to come"),
    Limit.PRINTERS: ("jumlah dan kecepatan pencetak", "number and speed of printers"),
    Limit.DUE: ("belum genap 17 tahun", "not yet 17"),
    Limit.DECISION: ("keputusan petugas", "a person's decision"),
    Limit.BATCH: ("kelompoknya dilepas", "its batch to be released"),
}
