"""Who goes first at the printer: a policy that an office may edit, and the head starts it gives.

Each class of job has a *head start*: it is queued as if its request had been made that many hours earlier, and
the earliest goes first. Everybody ages at one speed, so the order of two waiting jobs never turns by waiting, and
a job is overtaken only by those that arrive within `Policy.overtaken_ms_max` after it. Whatever arrives later
stands behind it: nobody starves (`tests/property/test_dispatch_laws.py`).

When blanks are short, reprints are queued as if made later by ``reprints_wait_hours``: finite, so they too come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from sepe.errors import InvalidInputError
from sepe.products import SUBSTITUTES

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HEAD_START_HOURS_MAX = 24 * 90
# Officials speak of minutes to twenty days (DOMAIN §2).
CHECK_MIN_MAX = 30 * 24 * 60
# Who turned 17 in the year before the vote has never voted; older ones without a card come after them.
TURNS_17_DAYS = 365
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)\Z")


class JobClass(StrEnum):
    """Why somebody needs the card; the keys of ``[head_start_hours]``."""

    ROOM = "room"
    TURNS_17 = "turns_17"
    VOTER = "voter"
    FIRST = "first"
    LOST = "lost"
    DAMAGED = "damaged"
    DATA_CHANGE = "data_change"
    MOVE_IN = "move_in"
    BATCH = "batch"


REPRINTS = frozenset({JobClass.LOST, JobClass.DAMAGED, JobClass.DATA_CHANGE, JobClass.MOVE_IN})
_BY_REASON = {
    "lost": JobClass.LOST,
    "damaged": JobClass.DAMAGED,
    "data-change": JobClass.DATA_CHANGE,
    "move-in": JobClass.MOVE_IN,
}
HEAD_START_HOURS: dict[JobClass, int] = {
    JobClass.ROOM: 72,
    JobClass.TURNS_17: 48,
    JobClass.VOTER: 24,
    JobClass.FIRST: 12,
    JobClass.LOST: 6,
    JobClass.DAMAGED: 2,
    JobClass.DATA_CHANGE: 0,
    JobClass.MOVE_IN: 2,
    JobClass.BATCH: 0,
}


@dataclass(frozen=True, slots=True)
class Hours:
    """When an office prints, by its own clock. ``close_min`` 1440 is midnight.

    Attributes:
        offset_min: the office's time zone, minutes east of Greenwich.
        open_min, close_min: minutes after midnight between which its printers are attended.
        desk_open_min, desk_close_min: between which people are recorded.
    """

    offset_min: int = 480
    open_min: int = 8 * 60
    close_min: int = 21 * 60
    desk_open_min: int = 8 * 60
    desk_close_min: int = 16 * 60

    def midnight_ms(self, ms: int) -> int:
        """The midnight with which the day of ``ms`` began."""
        offset_ms = self.offset_min * 60_000
        return (ms + offset_ms) // DAY_MS * DAY_MS - offset_ms

    def close_ms(self, ms: int) -> int:
        """When the printers of that day are left alone."""
        return self.midnight_ms(ms) + self.close_min * 60_000

    def open_ms(self, ms: int) -> int:
        """When the printers of that day are attended first."""
        return self.midnight_ms(ms) + self.open_min * 60_000

    def desk_ms(self, ms: int) -> tuple[int, int]:
        """From when to when people are recorded on that day."""
        midnight = self.midnight_ms(ms)
        return midnight + self.desk_open_min * 60_000, midnight + self.desk_close_min * 60_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What an office decided about its queue.

    Attributes:
        vote_day: of the election that first voters need their card for; ``None``: no election.
        substitute: the paper that counts instead of a KTP-el at this election (`sepe.products.SUBSTITUTES`), the
            only one that is made then; ``""``: any is.
        blanks_short_below: fewer blanks at hand than this are short; so are fewer than cards waiting.
        first_issues_first: whether reprints stand back while blanks are short.
        recordings_a_day: as the office expects them today; 0: learn it from the days before.
        check_waits: whether a first issue waits until the centre has its recording and has looked whether the
            identity is another's.
        check_min: how long that look takes, minutes, once the recording is there.
        wants_complete: whether a card waits for what it lacks, and for a person where data are doubtful
            (`sepe.completeness`). A file that says nothing of it wants so.
    """

    vote_day: date | None = None
    substitute: str = ""
    head_start_hours: Mapping[JobClass, int] = field(default_factory=lambda: dict(HEAD_START_HOURS))
    first_issues_first: bool = True
    blanks_short_below: int = 50
    reprints_wait_hours: int = 48
    hours: Hours = Hours()
    recordings_a_day: int = 0
    check_waits: bool = False
    check_min: int = 0
    wants_complete: bool = True

    @property
    def overtaken_ms_max(self) -> int:
        """A job is overtaken only by those that arrive within this time after it, milliseconds."""
        starts = self.head_start_hours.values()
        return (max(starts) - min(starts) + self.reprints_wait_hours) * HOUR_MS

    def offsets_ms(self, *, is_short: bool) -> dict[JobClass, int]:
        """What is added to the time of the request, by class; negative goes before."""
        back = self.reprints_wait_hours if is_short and self.first_issues_first else 0
        return {
            kind: (back * (kind in REPRINTS) - hours) * HOUR_MS for kind, hours in self.head_start_hours.items()
        }


def class_of(  # noqa: PLR0917 - the facts of one job
    product: str, issue: int, reason: str, due: date, is_in_room: bool, today: date, vote_day: date | None,
    *, is_voter: bool | None = None,
) -> JobClass:  # fmt: skip
    """The class of one job.

    Args:
        reason: of the recording, as in a recording line.
        due: the first day on which the card may be printed: for a pupil the 17th birthday.
        is_in_room: somebody waits for it (`sepe node print NIK`).
        is_voter: as the roll says; ``None``: he is not on it, and the age alone tells.
    """
    if is_in_room:
        return JobClass.ROOM
    if issue > 1:
        return _BY_REASON.get(reason, JobClass.DATA_CHANGE)
    if product == "ktp-el" and vote_day is not None and today <= vote_day and is_voter is not False:
        if vote_day - timedelta(TURNS_17_DAYS) < due <= vote_day:
            return JobClass.TURNS_17
        if due <= vote_day:
            return JobClass.VOTER
    return JobClass.FIRST


def parse_policy(document: Mapping[str, object], *, offset_min: int) -> Policy:
    """The policy that a TOML file says; what it leaves out is as in the file that ships.

    Raises:
        InvalidInputError: a key that no policy has, or a value out of range.
    """
    tables = {"": document, **{key: value for key, value in document.items() if isinstance(value, Mapping)}}
    known = {
        "": {
            "vote_day",
            "substitute",
            "recordings_a_day",
            "head_start_hours",
            "blanks_short",
            "hours",
            "check",
            "complete",
        },
        "head_start_hours": {str(kind) for kind in JobClass},
        "blanks_short": {"first_issues_first", "below", "reprints_wait_hours"},
        "hours": {"printing", "desk"},
        "check": {"waits", "minutes"},
        "complete": {"waits"},
    }
    for name, table in tables.items():
        for key in table:
            if key not in known.get(name, set()):
                raise _wrong("kunci ini tidak dikenal", f"{name}.{key}".lstrip("."), None)
    starts, short, hours, check, complete = (
        tables.get(name, {}) for name in ("head_start_hours", "blanks_short", "hours", "check", "complete")
    )
    default = Policy()
    opens, closes = _span(hours.get("printing", "08:00-21:00"), "hours.printing")
    desk_opens, desk_closes = _span(hours.get("desk", "08:00-16:00"), "hours.desk")
    first_first = short.get("first_issues_first", True)
    if not isinstance(first_first, bool):
        raise _wrong("true atau false", "blanks_short.first_issues_first", first_first)
    waits = check.get("waits", default.check_waits)
    if not isinstance(waits, bool):
        raise _wrong("true atau false", "check.waits", waits)
    wants_complete = complete.get("waits", True)
    if not isinstance(wants_complete, bool):
        raise _wrong("true atau false", "complete.waits", wants_complete)
    return Policy(
        vote_day=_day(document.get("vote_day", "")),
        substitute=_substitute(document.get("substitute", "")),
        head_start_hours={
            kind: _number(starts.get(str(kind), hours_), f"head_start_hours.{kind}", HEAD_START_HOURS_MAX)
            for kind, hours_ in HEAD_START_HOURS.items()
        },
        first_issues_first=first_first,
        blanks_short_below=_number(short.get("below", default.blanks_short_below), "blanks_short.below", 10**6),
        reprints_wait_hours=_number(
            short.get("reprints_wait_hours", default.reprints_wait_hours),
            "blanks_short.reprints_wait_hours",
            HEAD_START_HOURS_MAX,
        ),
        hours=Hours(offset_min, opens, closes, desk_opens, desk_closes),
        recordings_a_day=_number(document.get("recordings_a_day", 0), "recordings_a_day", 10**6),
        check_waits=waits,
        check_min=_number(check.get("minutes", 0), "check.minutes", CHECK_MIN_MAX),
        wants_complete=wants_complete,
    )


def _number(value: object, name: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:  # TOML's true is no number.
        raise _wrong(f"bilangan bulat 0 sampai {most}", name, value)
    return value


def _day(value: object) -> date | None:
    if value == "":
        return None
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise _wrong('tanggal "TTTT-BB-HH", atau "" tanpa pemilu', "vote_day", value) from None


def _substitute(value: object) -> str:
    if value not in ("", *SUBSTITUTES):
        raise _wrong(f'salah satu dari {", ".join(SUBSTITUTES)}, atau ""', "substitute", value)
    return str(value)


def _span(value: object, name: str) -> tuple[int, int]:
    ends = [_CLOCK.match(part) for part in str(value).split("-")]
    minutes = [int(one[1]) * 60 + int(one[2]) for one in ends if one]
    if len(minutes) != 2 or len(ends) != 2 or not minutes[0] < minutes[1] <= 1440:
        raise _wrong('jam "08:00-21:00", tutup setelah buka', name, value)
    return minutes[0], minutes[1]


def _wrong(rule: str, name: str, value: object) -> InvalidInputError:
    return InvalidInputError(
        rule, field=name, value=value, hint="Perbaiki queue.toml; contoh: sepe node policy DIR"
    )
