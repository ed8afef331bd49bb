"""When what a machine told of its printers is no longer what it would tell now. Pure."""

from __future__ import annotations

from sepe.wire.v1 import sync_pb2

# A word on the printers is told anew after so long, so that the centre knows that it still holds.
TOLD_AGAIN_MS = 15 * 60_000
# Less than this is the day's own course: of any number, and of cards or blanks.
CHANGE_SHARE_MIN = 0.1
CHANGE_MIN = 3
LEFT_CARDS_MAX = 500


def is_material(before: sync_pb2.PrintRoom | None, after: sync_pb2.PrintRoom) -> bool:
    """Whether the centre would plan otherwise if it knew.

    It would when something else binds, when a queue, the printers' day or a stock began or ended, or when one of
    these numbers is off by a tenth and by more than a few.
    """
    if before is None or before.binding != after.binding:
        return True
    pairs = [
        (before.waiting, after.waiting),
        (before.capacity, after.capacity),
        (before.left_at_close, after.left_at_close),
        *((before.blanks[name], after.blanks[name]) for name in {*before.blanks, *after.blanks}),
    ]
    return any(_is_far(*pair) for pair in pairs)


def _is_far(before: int, after: int) -> bool:
    if bool(before) != bool(after):
        return True
    return abs(before - after) >= max(CHANGE_MIN, CHANGE_SHARE_MIN * before)
