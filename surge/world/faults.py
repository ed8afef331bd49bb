"""What may go wrong, as named options: each field of `Faults` is one, zero is "never".

A probability is per occasion (a message, a frame, an event, a step); a rate is how often a day, per office
unless it befalls the hub or the broker. `STANDARD` is a bad line and power that fails; `ALL` is everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from sepe.errors import InvalidInputError

# The longest nap of an office, an outage, a full disk; a fault is always over after so long.
OUTAGE_HOURS_MAX = 10


@dataclass(frozen=True, slots=True)
class Faults:
    """How much of each fault a world has.

    Attributes:
        loss: a message over NATS vanishes.
        duplicate: the broker delivers a message again, within minutes or up to three days later.
        delay: a message takes up to ten minutes.
        reorder: a message overtakes others at the broker.
        partition: an office's line is cut; half of the time without anybody noticing.
        cut_mid_frame: the line breaks while a frame travels; half of the frame may arrive.
        kill_office: the office's process dies at one of its steps (before and after each commit, between publish
            and ack, between ack and cursor, during prune, between intent and print).
        kill_hub: the hub dies at one of its steps (before its commit, between commit and ack).
        torn_write: whoever dies in a commit does not know whether it took; it may have.
        disk_full: an office's disk is full for hours.
        hub_disk_full: the hub's disk is full for hours.
        restore_office: an office's disk is replaced by an older backup of it; it may write on before it syncs.
        replace_office: an office's disk is replaced by an empty one.
        clone_office: an office's disk is copied to a second machine, and both write on.
        clock_jump: an office's clock jumps by minutes, years, or to 1970, and is set right some time later.
        hub_clock: the hub's clock is wrong by up to a year for hours.
        broker_purge: the stream is purged.
        broker_loses_acked: the broker loses the newest messages that it acknowledged (power loss, lazy fsync).
        broker_replace_empty: the broker is replaced by an empty one.
        broker_down: the broker is down for hours.
        hub_restore: the hub's disk is replaced by yesterday's backup.
        poison: an event that cannot be read, or of a kind nobody knows.
        corrupt: a frame's bits flip on the way.
        jam: a card is spoiled in the printer.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    partition: float = 0.0
    cut_mid_frame: float = 0.0
    kill_office: float = 0.0
    kill_hub: float = 0.0
    torn_write: float = 0.0
    disk_full: float = 0.0
    hub_disk_full: float = 0.0
    restore_office: float = 0.0
    replace_office: float = 0.0
    clone_office: float = 0.0
    clock_jump: float = 0.0
    hub_clock: float = 0.0
    broker_purge: float = 0.0
    broker_loses_acked: float = 0.0
    broker_replace_empty: float = 0.0
    broker_down: float = 0.0
    hub_restore: float = 0.0
    poison: float = 0.0
    corrupt: float = 0.0
    jam: float = 0.0

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the faults that this world has."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name))


# Strong enough that a week of five offices meets each several times.
STRENGTH = {
    "loss": 0.05,
    "duplicate": 0.05,
    "delay": 0.05,
    "reorder": 0.10,
    "partition": 1.0,
    "cut_mid_frame": 0.05,
    "kill_office": 0.004,
    "kill_hub": 0.01,
    "torn_write": 0.5,
    "disk_full": 0.3,
    "hub_disk_full": 0.3,
    "restore_office": 0.15,
    "replace_office": 0.03,
    "clone_office": 0.05,
    "clock_jump": 0.3,
    "hub_clock": 0.3,
    "broker_purge": 0.5,
    "broker_loses_acked": 0.5,
    "broker_replace_empty": 0.3,
    "broker_down": 0.5,
    "hub_restore": 0.3,
    "poison": 0.01,
    "corrupt": 0.02,
    "jam": 0.05,
}
NAMES = tuple(one.name for one in fields(Faults))
STANDARD_NAMES = (
    "loss", "duplicate", "delay", "reorder", "partition", "cut_mid_frame", "kill_office", "kill_hub", "torn_write",
    "jam",
)  # fmt: skip


def named(names: Iterable[str]) -> Faults:
    """These faults at their usual strength.

    Raises:
        InvalidInputError: no such fault.
    """
    chosen = {}
    for name in names:
        if name not in STRENGTH:
            raise InvalidInputError(
                "no such fault", field="--fault", value=name, hint=f"One of: {', '.join(NAMES)}."
            )
        chosen[name] = STRENGTH[name]
    return Faults(**chosen)


CALM = Faults()
STANDARD = named(STANDARD_NAMES)
ALL = named(NAMES)
