"""The hub's word is its own disk's: it never names a watermark that its committed data has not reached."""

from __future__ import annotations

from surge.world.ending import Ending


def check(ending: Ending) -> list[str]:
    count = ending.world.oracle.hasty_acks
    return [f"{count} acks were sent before their commit"] if count else []
