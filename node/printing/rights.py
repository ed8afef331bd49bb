"""Who may print one issue: the home office at once, anyone else with a right that the hub moved to him."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# The fence of a right that the home office holds beforehand; every right that ever moved has a higher one.
HOME_FENCE = 0
HOME_MACHINE = "-1"


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """The hub's answer to a claim.

    Attributes:
        granted: this node may print; ``fence`` then goes into every step of the attempt.
        reason: why not: ``held``, ``already_printed``, ``nik_conflict`` …; ``""`` when granted.
        holder: the node that holds the right.
    """

    granted: bool
    fence: int = 0
    reason: str = ""
    holder: str = ""


class RightsClient(Protocol):
    """The way to the hub's rights, implemented in ``node.link``."""

    async def claim(self, nik: int, product: str, issue: int) -> RightAnswer:
        """Ask for the right to print one issue, within a short deadline of its own.

        Raises:
            TransientError: no line, or no answer in time; nothing is known, ask again later.
        """


def is_home(nik: int, node: str) -> bool:
    """Whether this node is the first machine of the office that the NIK begins with, and so needs nobody's leave.

    One machine and not one office: two machines of an office that is cut off would each print the same issue.
    The others ask the hub like everybody (`hub.dispatch.rights` is the other half of this rule).
    """
    return node == f"{nik:016d}"[:6] + HOME_MACHINE
