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
    decision = "decision"
    case = "case"
    key = "key"


class Fate(StrEnum):
    """What became of it.

    ``mended``: it is right again. ``asked``: its office is asked for it. ``person``: somebody must act. ``found``:
    nothing was changed, because we were only to look.
    """

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
