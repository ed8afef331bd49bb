"""How many bytes may still go over a line that somebody pays by the byte: a token bucket, as a value.

Of the ``bytes_per_hour_max`` a twelfth may go at once (the *burst*) and the rest flows in evenly over the hour.
So in any sixty minutes, wherever they begin, at most burst + refill = ``bytes_per_hour_max`` bytes pass. A bucket
that held the whole hour would let twice that much pass around the turn of one.

Events do not ask, they go first and are charged afterwards, if need be below zero; what may wait then waits until
the debt is paid. The debt ends at one hour's refill, because an hour later those bytes lie in another hour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

HOUR_MS = 3_600_000
BURST_PART = 12
# Below this the burst would be smaller than the smallest chunk (`sepe.attach.CHUNK_BYTES_MIN`): nothing could go.
BYTES_PER_HOUR_MIN = 200_000
UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Budget:
    """The state of one bucket. Attributes are internal but for the first; make one with `full` or `saved`.

    Attributes:
        bytes_per_hour_max: 0 for no limit.
        level: what may go, in bytes times `HOUR_MS`, so that a refill of one millisecond is a whole number.
        at_ms: when that was so.
    """

    bytes_per_hour_max: int
    level: int
    at_ms: int

    @classmethod
    def full(cls, bytes_per_hour_max: int, now_ms: int) -> Budget:
        """A bucket that nobody has used yet."""
        return cls(bytes_per_hour_max, _burst(bytes_per_hour_max) * HOUR_MS, now_ms)

    @classmethod
    def saved(cls, bytes_per_hour_max: int, level_bytes: int, at_ms: int, now_ms: int) -> Budget:
        """A bucket that was written down by its `level_bytes` at ``at_ms``; the limit may have changed since."""
        return cls(bytes_per_hour_max, level_bytes * HOUR_MS, at_ms).at(now_ms)

    @property
    def level_bytes(self) -> int:
        """What may go, in whole bytes, below zero after more events than the budget."""
        return self.level // HOUR_MS

    def at(self, now_ms: int) -> Budget:
        """The same bucket later. A clock that went back refills nothing, and counts from there."""
        burst, refill = _burst(self.bytes_per_hour_max), _refill(self.bytes_per_hour_max)
        level = self.level + max(now_ms - self.at_ms, 0) * refill
        return replace(self, level=max(min(level, burst * HOUR_MS), -refill * HOUR_MS), at_ms=now_ms)

    def spent(self, count: int, now_ms: int) -> Budget:
        """After ``count`` bytes went, whether or not they were available."""
        now = self.at(now_ms)
        floor = -_refill(self.bytes_per_hour_max) * HOUR_MS
        return replace(now, level=max(now.level - count * HOUR_MS, floor))

    def available(self, now_ms: int) -> int:
        """How many bytes may go now; 0 when none, `UNLIMITED` without a limit."""
        return max(self.at(now_ms).level_bytes, 0) if self.bytes_per_hour_max else UNLIMITED

    def wait_ms(self, count: int, now_ms: int) -> int:
        """How long until ``count`` bytes may go, 0 for now. No more than the burst is ever waited for."""
        if not self.bytes_per_hour_max:
            return 0
        missing = min(count, _burst(self.bytes_per_hour_max)) * HOUR_MS - self.at(now_ms).level
        return max(-(-missing // _refill(self.bytes_per_hour_max)), 0)


def _burst(bytes_per_hour_max: int) -> int:
    return bytes_per_hour_max // BURST_PART


def _refill(bytes_per_hour_max: int) -> int:
    """Bytes an hour, and so units of `Budget.level` a millisecond."""
    return bytes_per_hour_max - _burst(bytes_per_hour_max)
