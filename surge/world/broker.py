"""The broker: a pipe that mostly works. JetStream's habits, including losing what it acknowledged.

One stream, no deduplication, at most ``NODE_MESSAGES_MAX`` messages of one node with the oldest discarded. A
message that was delivered and not acknowledged by the hub is delivered again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from surge.world.faults import Faults
from surge.world.loop import DAY_MS, MINUTE_MS, Loop

# 64 in the product; small here so that worlds meet it.
NODE_MESSAGES_MAX = 12


@dataclass(frozen=True, slots=True)
class Message:
    """One frame in the stream."""

    node: str
    data: bytes


class Broker:
    """The stream between the offices and the hub. ``wake`` is called when something can be taken."""

    def __init__(self, loop: Loop, rng: Random, faults: Faults) -> None:
        self.is_up = True
        self.wake: Callable[[], None] = lambda: None
        self.queue: deque[Message] = deque()
        self.queue_max_seen = 0
        self._held: dict[str, int] = {}
        self._loop, self._rng, self.faults = loop, rng, faults

    def publish(self, node: str, data: bytes) -> bool:
        """Store a frame; ``False`` when the broker is down."""
        if not self.is_up:
            return False
        rng, faults = self._rng, self.faults
        self._store(Message(node, data))
        if faults.duplicate and rng.random() < faults.duplicate:
            # Most copies come at once; some long after any window of remembered ids.
            delay_ms = rng.randrange(3 * DAY_MS) if rng.random() < 0.3 else rng.randrange(MINUTE_MS)
            self._loop.after(delay_ms, self._again, Message(node, data))
        return True

    def take(self, count: int) -> list[Message]:
        """The next messages, oldest first; they must be given back if they are not merged."""
        if not self.is_up:
            return []
        taken = [self.queue.popleft() for _ in range(min(count, len(self.queue)))]
        for message in taken:
            self._held[message.node] -= 1
        return taken

    def give_back(self, messages: list[Message]) -> None:
        """The hub died with these in its hands: they are delivered again, first or, if so fated, last."""
        if self.faults.reorder and self._rng.random() < 0.5:
            for message in messages:
                self._store(message)
            return
        for message in reversed(messages):
            self.queue.appendleft(message)
            self._held[message.node] = self._held.get(message.node, 0) + 1

    def purge(self) -> int:
        """Drop everything; return how much."""
        count = len(self.queue)
        self.queue.clear()
        self._held.clear()
        return count

    def lose_newest(self, count: int) -> int:
        """A power cut before the lazy fsync: the newest messages are gone although they were acknowledged."""
        lost = min(count, len(self.queue))
        for _ in range(lost):
            self._held[self.queue.pop().node] -= 1
        return lost

    def _again(self, message: Message) -> None:
        if self.is_up:
            self._store(message)

    def _store(self, message: Message) -> None:
        queue, held = self.queue, self._held
        if self.faults.reorder and queue and self._rng.random() < self.faults.reorder:
            queue.insert(self._rng.randrange(len(queue)), message)
        else:
            queue.append(message)
        held[message.node] = held.get(message.node, 0) + 1
        if held[message.node] > NODE_MESSAGES_MAX:
            oldest = next(other for other in queue if other.node == message.node)
            queue.remove(oldest)
            held[message.node] -= 1
        self.queue_max_seen = max(self.queue_max_seen, len(queue))
        self.wake()
