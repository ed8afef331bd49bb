"""One office machine of a world: a disk that can betray it, a clock that can be wrong, power that can fail.

The desk (`desk`), the print ledger (`press`) and the relay (`relay`) change the disk through `Office.commit`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from sepe.hlc import next_stamp, stamp_of
from surge.world.bugs import Bug
from surge.world.disk import OfficeDisk
from surge.world.law import LawClock
from surge.world.network import Line
from surge.world.power import DiskFullError, PowerCutError
from surge.world.press import Press
from surge.world.relay import Relay
from surge.world.talk import Talk

if TYPE_CHECKING:
    from surge.world.world import World


class Office:
    """One machine.

    Attributes:
        name: unique in the world; a clone shares ``node`` with its original, not its name.
        life: how often the power came; calls of an earlier life are void.
    """

    def __init__(self, world: World, rng: Random, name: str, *, disk: OfficeDisk, line: Line) -> None:
        self.world, self.name, self.node, self.disk, self.line = world, name, disk.node, disk, line
        self.is_up = True
        self.disk_is_full = False
        self.clock_offset_ms = 0
        self.life = 0
        self.backups: list[OfficeDisk] = []
        self.law = LawClock()
        self.talk = Talk(self)
        self.press = Press(self, rng)
        self.relay = Relay(self, rng)

    # Disk

    def now_ms(self) -> int:
        """The office's own clock, which may be wrong."""
        wall_ms = self.world.loop.now_ms + self.clock_offset_ms
        return wall_ms - wall_ms % self.world.clock_tick_ms

    def law_ms(self) -> int:
        """The time by which somebody's day comes (`LawClock`)."""
        return self.law.now_ms(self.world.loop.now_ms)

    def commit(self, write: Callable[[OfficeDisk], None]) -> None:
        """Make a change durable; power may fail just before or just after.

        Raises:
            PowerCutError: the machine died. With torn writes the change may have taken all the same.
            DiskFullError: nothing was written.
        """
        world, faults = self.world, self.world.faults
        if self.disk_is_full:
            raise DiskFullError
        dies = world.strikes(faults.kill_office)
        if not dies or (faults.torn_write and world.strikes(faults.torn_write)):
            write(self.disk)
        if dies or world.strikes(faults.kill_office):
            raise PowerCutError

    def append(self, disk: OfficeDisk, kind: int, nik: int, body: bytes, fact: int) -> None:
        """Add an event to the outbox; part of a commit."""
        seen_hub = stamp_of(disk.hub_ms)
        if self.world.bug is Bug.WALL_CLOCK:
            stamp = stamp_of(self.now_ms())
        else:
            stamp = next_stamp(disk.last_stamp, self.now_ms(), seen_hub=seen_hub)
        disk.last_stamp = max(stamp, disk.last_stamp)
        disk.current.append(nik, stamp, kind, body)
        self.world.oracle.wrote(body, fact, self.name, seen_hub)

    def guarded(self, call: Callable[[], None]) -> bool:
        """Run something that may lose power or find the disk full; whether it went through."""
        try:
            call()
        except PowerCutError:
            self.world.office_dies(self)
            return False
        except DiskFullError:
            return False
        return True

    def step(self, name: str) -> None:
        """A place between two effects where power may fail."""
        if self.world.strikes(self.world.faults.kill_office):
            self.world.tell(f"{self.name} loses power {name}")
            raise PowerCutError

    # Power

    def die(self) -> None:
        """The power is gone, and all that was not on the disk."""
        self.is_up = False
        self.life += 1
        self.relay.hang_up()

    def start(self) -> None:
        """The power is back."""
        self.is_up = True
        self.law.heard(self.disk.hub_said_ms, self.world.loop.now_ms)
        self.press.look_after_start()
        self.relay.woken()
