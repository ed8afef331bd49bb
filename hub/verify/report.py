"""What reading everything back found, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.merge.proofs import Proof


class What(StrEnum):
    """The kind of thing that is not what was written."""

    frame = "frame"
    row = "frame_row"
    hole = "missing_frames"
    torn = "torn_history"
    watermark = "watermark"
    head = "head"
    parked = "parked"
    right = "right"
    case = "case"
    key = "key"


class Fate(StrEnum):
    """``mended``: put right. ``asked``: the office is asked for it. ``person``: somebody must act."""

    mended = "mended"
    asked = "asked"
    person = "person"
    found = "found"


@dataclass(frozen=True, slots=True)
class Finding:
    """One altered or missing row.

    Attributes:
        where: which, without a resident's number: frame and history, or kecamatan and masked NIK.
        kecamatan: six digits for a row that belongs to a resident, else ``""``.
    """

    what: What
    where: str
    fate: Fate
    detail: str = ""
    kecamatan: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """One node: what the hub holds of it.

    Attributes:
        events: read back and in order. ``missing``: acknowledged once and not readable now.
        told_events: what the node last said it has written in its current epoch beyond the hub's watermark.
        digest: of the current epoch at ``seq``, hexadecimal.
    """

    node: str
    events: int
    missing: int
    not_sent: int
    seq: int
    digest: str

    def line(self) -> str:
        """The proof as one line."""
        if self.missing:
            held = f"the hub holds {self.events:,} of your {self.events + self.missing:,} events"
            held += f", {self.missing:,} are damaged or missing and asked for again"
        else:
            held = f"the hub holds all {self.events:,} of your events"
        waiting = f"; {self.not_sent:,} more are on their way" if self.not_sent else ""
        return f"{self.node}: {held}, digest {self.digest[:16]} at {self.seq:,}{waiting}"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one reading.

    Attributes:
        frames: how many were read.
        events: how many of their events were sound.
    """

    frames: int
    events: int
    findings: tuple[Finding, ...]
    proofs: tuple[Proof, ...]
    at_ms: int

    @property
    def is_well(self) -> bool:
        """Whether all is as it should be now: nothing was found, or all of it is mended."""
        return all(one.fate is Fate.mended for one in self.findings)
