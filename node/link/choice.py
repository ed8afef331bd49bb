"""Which line to use: the preferred kind unless it has just let us down.

A line that broke or gave no ack in time is a *suspect*: it is tried last until its pause is over. The pause of one
that swallowed frames doubles each time until it carries something through to the hub's disk again; otherwise a
broker that takes every frame and delivers none would be chosen again and again, twenty seconds each time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.link.link import Link, LinkDownError, LinkKind
from sepe.wire.v1 import sync_pb2

# Acks are cumulative, so the oldest may be dropped when a hub sends more than anybody asked for.
ACKS_MAX = 256
PROBE_MS = 15_000
PAUSE_DOUBLINGS_MAX = 4


@dataclass(slots=True, eq=False)
class Line:
    """An open link with what it has said and nobody has read yet."""

    kind: LinkKind
    wake: asyncio.Event
    acks: deque[sync_pb2.Ack] = field(default_factory=lambda: deque(maxlen=ACKS_MAX))
    lost: str = ""
    # Set at the first ack, or when the line is gone.
    spoke: asyncio.Event = field(default_factory=asyncio.Event)
    link: Link = field(init=False)

    def __post_init__(self) -> None:
        self.link = self.kind.make(self._on_ack, self._on_down)

    @property
    def name(self) -> str:
        return self.kind.name

    def _on_ack(self, ack: sync_pb2.Ack) -> None:
        self.acks.append(ack)
        self.spoke.set()
        self.wake.set()

    def _on_down(self, reason: str) -> None:
        self.lost = self.lost or reason
        self.spoke.set()
        self.wake.set()


@dataclass(slots=True)
class _Suspect:
    until_ms: int
    swallowed: int


def newest(acks: deque[sync_pb2.Ack]) -> list[sync_pb2.Ack]:
    """Empty ``acks``; return what is still news: a durable watermark that a later one covers is not."""
    heard: list[sync_pb2.Ack] = []
    while acks:
        ack = acks.popleft()
        last = heard[-1] if heard else None
        if (
            last is not None
            and last.verdict == ack.verdict == sync_pb2.VERDICT_DURABLE
            and last.epoch == ack.epoch
            and last.durable_seq <= ack.durable_seq
        ):
            heard.pop()
        heard.append(ack)
    return heard


class Lines:
    """The kinds of line there are, best first."""

    def __init__(self, kinds: Sequence[LinkKind], *, probe_ms: int = PROBE_MS) -> None:
        assert kinds, "a node needs at least one way to the hub"
        self._kinds = list(kinds)
        self._probe_ms = probe_ms
        self._suspects: dict[str, _Suspect] = {}

    @property
    def best(self) -> str:
        """The name of the preferred kind."""
        return self._kinds[0].name

    def prefer(self, kind: LinkKind) -> None:
        """Put a kind first; one of that name is replaced."""
        self._kinds = [kind, *(one for one in self._kinds if one.name != kind.name)]

    def order(self, now_ms: int) -> list[LinkKind]:
        """All kinds, suspects last."""
        return sorted(self._kinds, key=lambda kind: self._is_suspect(kind.name, now_ms))

    def better_than(self, name: str, now_ms: int) -> LinkKind | None:
        """The best kind above ``name`` that is worth a probe now."""
        for kind in self._kinds:
            if kind.name == name:
                return None
            if not self._is_suspect(kind.name, now_ms):
                return kind
        return None

    def failed(self, name: str, now_ms: int, *, swallowed: bool = False) -> None:
        """The line broke or could not be had; or it ``swallowed`` frames without a word."""
        before = self._suspects[name].swallowed if name in self._suspects else 0
        count = before + swallowed
        pause_ms = self._probe_ms << min(max(count - 1, 0), PAUSE_DOUBLINGS_MAX)
        self._suspects[name] = _Suspect(now_ms + pause_ms, count)

    def carried(self, name: str) -> None:
        """The hub committed something that came by this line."""
        self._suspects.pop(name, None)

    async def open_line(self, kind: LinkKind, wake: asyncio.Event) -> Line:
        """A fresh, open line. Raises `LinkDownError`; nothing is left open then."""
        line = Line(kind, wake)
        try:
            await line.link.open()
        except BaseException:
            await line.link.close()
            raise
        if line.lost:
            await line.link.close()
            raise LinkDownError(line.lost)
        return line

    def _is_suspect(self, name: str, now_ms: int) -> bool:
        suspect = self._suspects.get(name)
        return suspect is not None and now_ms < suspect.until_ms
