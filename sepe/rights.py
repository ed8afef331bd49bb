"""The right to print one issue: one holder at a time, whatever is lost, doubled, late or crossed on the way.

Two books are kept of each right. The hub's `Entry` names the holder and a *fence* that rises with every move. A
machine's `Grip` says under which fence it may print, and up to which fence it has promised never to print again.

Beforehand the *home machine* holds every right of its roll at fence 0, so that it prints with the line cut and
asks nobody. That is why the hub alone can never move a right: its holder may be printing at this moment, far from
any line. A right moves in three steps, each of which may be repeated and none of which may be skipped:

1. somebody claims it, and the hub asks the holder to let go (`LetGo`, by the feed);
2. the holder looks into its ledger. No card of that issue was begun here, and none is about to be: it *promises*,
   on its own disk first, never to print under that fence or a lower one, and then tells the hub. Otherwise it
   keeps it;
3. the hub, and only now, writes that nobody holds it, one fence higher. The next claim gets it, one higher again.

Why this is safe. At any time let F be the fence of the hub's entry. A machine may print under f only while its
grip holds f and it has not promised f. Grips are given by the hub alone (and fence 0 beforehand), each fence to
one machine, so two machines that may both print have two different fences f < g. The hub gave g after its entry
stood at g - 1 or higher with no holder, and it came there from f by a promise of f's holder. That promise stands
on disk from before it was sent, so f's holder may not print any more: a contradiction. Nothing in this speaks of
the order or the number of deliveries: a promise that comes twice finds another fence in the entry, a grant that
comes late finds a promise above it (`Grip.fence`), a question that comes late names a fence that is promised
already.

What is outside: a supervisor's override, a disk that was put back or cloned (it forgets promises), a hub that was
put back, and an officer's decision that an office is gone for good. The fence then says which card is valid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

HOME_FENCE = 0
HOME_MACHINE = "-1"
FENCE_MAX = 1 << 62
NO_FENCE = -1


class Entry(NamedTuple):
    """The hub's book of one right; the holder is ``""`` when nobody holds it."""

    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Grip:
    """A machine's own book of one right.

    Attributes:
        held: the highest fence it was given, `NO_FENCE` for none.
        let_go: it promised never to print under this fence or a lower one.
    """

    held: int = NO_FENCE
    let_go: int = NO_FENCE

    @property
    def fence(self) -> int | None:
        """Under which fence it may print now; ``None``: it may not."""
        return self.held if self.held > self.let_go else None

    @property
    def above(self) -> int:
        """The least fence of which it could make use."""
        return self.let_go + 1

    def granted(self, fence: int) -> Grip:
        """The hub says that it holds ``fence``, perhaps long ago."""
        return replace(self, held=max(self.held, fence))

    def promised(self, fence: int) -> Grip:
        """It will never print under ``fence`` or a lower one."""
        return replace(self, let_go=max(self.let_go, fence))


class Reply(StrEnum):
    """What a machine does about a question to let go."""

    GIVE_BACK = "give_back"  # Its grip promises the fence; tell the hub, again if need be.
    KEEP = "keep"  # A card is being made; the hub may know.
    IGNORE = "ignore"  # An old question: it has held a higher fence since.


def claimed(entry: Entry, node: str, *, above: int = 0, used: int = NO_FENCE) -> Entry | None:
    """The entry after a claim that is granted; ``None``: another machine holds the right.

    Args:
        above: the least fence that the machine can use (`Grip.above`).
        used: the highest fence that a card of this issue is known to carry, whatever the book says: a hub that was
            put back from a backup must not give a fence twice.
    """
    if entry.holder == node:
        return entry if entry.fence >= above else Entry(node, above)
    if entry.holder:
        return None
    return Entry(node, max(entry.fence + 1, above, used + 1))


def given_back(entry: Entry, node: str, fence: int) -> Entry | None:
    """The entry after ``node`` promised ``fence``; ``None``: that changes nothing any more."""
    return Entry("", entry.fence + 1) if entry == (node, fence) else None


def taken_away(entry: Entry, to: str = "", *, used: int = NO_FENCE) -> Entry:
    """The entry after an officer decided that the holder is gone for good."""
    return Entry(to, max(entry.fence, used) + 1)


def asked(grip: Grip, fence: int, *, is_bound: bool) -> tuple[Grip, Reply]:
    """A question to let go of ``fence``: the grip afterwards, to be on disk before the answer, and the
    answer.

    Args:
        is_bound: a card of this issue was begun under the right and not given up, or is about to be.
    """
    if fence <= grip.let_go:
        return grip, Reply.GIVE_BACK
    if grip.fence is not None:
        if grip.fence > fence:
            return grip, Reply.IGNORE
        if is_bound:
            return grip, Reply.KEEP
    # Also when it never heard that it was given this fence: the answer that gave it must come too late from now
    # on.
    return grip.promised(fence), Reply.GIVE_BACK


def kecamatan_of(nik: int) -> str:
    """The six digits with which a NIK begins, for life."""
    return f"{nik // 10**10:06}"


def is_home(nik: int, node: str) -> bool:
    """Whether this node is the first machine of the office that the NIK begins with.

    One machine and not one office: two machines of an office that is cut off would each print the same issue. The
    others ask the hub like everybody, unless an officer gave one of them the roll (``RollMoved``).
    """
    return node == kecamatan_of(nik) + HOME_MACHINE
