"""Colours that people with any colour vision can tell apart, and that keep their order when printed in grey.

Lines and bars: Okabe and Ito, "Color Universal Design", 2008. Amounts: viridis (van der Walt and Smith, CC0), from
light for little to dark for much, so that little ink says little.
"""

from __future__ import annotations

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, INK = "#E69F00", "#D55E00", "#CC79A7", "#1a1a1a"
SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
# Viridis at ten even steps, from much to little.
_VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")


def amount(share: float) -> str:
    """The colour of a share from 0 (little, light) to 1 (much, dark)."""
    place = (1 - min(1.0, max(0.0, share))) * (len(_VIRIDIS) - 1)
    index = min(int(place), len(_VIRIDIS) - 2)
    low, high = ([int(_VIRIDIS[one][at : at + 2], 16) for at in (0, 2, 4)] for one in (index, index + 1))
    rest = place - index
    return "#" + "".join(f"{round(a + (b - a) * rest):02x}" for a, b in zip(low, high, strict=True))
