"""What a printer says it can do, and the job template that fits it.

Asking for a size or for sides that a printer does not list makes strict ones (CUPS' ``ippeveprinter`` among them)
refuse the whole job, whatever ``ipp-attribute-fidelity`` says. So a size is asked for as the printer spells it
when it has one within half a millimetre, and what it does not offer at all is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.printing.driver import Document, Media
from node.printing.ipp.codec import Attribute, Group, Tag, attribute, collection

WANTED = ("sides-supported", "media-size-supported", "print-scaling-supported")
# Hundredths of a millimetre, short edge first, as ``media-size`` wants it.
SIZES = {Media.CARD: (5398, 8560), Media.A4: (21000, 29700)}
SIZE_TOLERANCE = 50
SIDES = {Media.CARD: "two-sided-short-edge", Media.A4: "one-sided"}


@dataclass(frozen=True, slots=True)
class Abilities:
    """``None`` where the printer does not say.

    Attributes:
        sizes: width and length of the media that it takes, hundredths of a millimetre.
    """

    sides: frozenset[str] | None = None
    scaling: frozenset[str] | None = None
    sizes: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, printer: Group) -> Abilities:
        """From the answer to Get-Printer-Attributes."""
        return cls(
            _keywords(printer, "sides-supported"), _keywords(printer, "print-scaling-supported"), _sizes(printer)
        )

    def template(self, document: Document) -> tuple[Attribute, ...]:
        """The job template attributes of a document, as this printer takes them."""
        across, along = self._size(*SIZES[document.media])
        size = collection(
            "media-size",
            (attribute(Tag.INTEGER, "x-dimension", across), attribute(Tag.INTEGER, "y-dimension", along)),
        )
        # ID-1 has no registered name, and a size is understood by every printer; A4's name is understood by more.
        media = (
            collection("media-col", (size,))
            if document.media is Media.CARD
            else attribute(Tag.KEYWORD, "media", document.media.value)
        )
        # Two pages are one card's two sides, turned as a hand turns it: about the short edge.
        sides = SIDES[document.media]
        return (
            attribute(Tag.INTEGER, "copies", document.copies),
            media,
            *((attribute(Tag.KEYWORD, "sides", sides),) if self.sides is None or sides in self.sides else ()),
            *((attribute(Tag.KEYWORD, "print-scaling", "none"),) if "none" in (self.scaling or {"none"}) else ()),
        )

    def _size(self, across: int, along: int) -> tuple[int, int]:
        """The printer's own spelling of this size, lying or standing."""
        for width, length in self.sizes:
            for one, other in ((width, length), (length, width)):
                if abs(one - across) <= SIZE_TOLERANCE and abs(other - along) <= SIZE_TOLERANCE:
                    return width, length
        return across, along


def _keywords(printer: Group, name: str) -> frozenset[str] | None:
    return frozenset(printer.texts(name)) or None


def _sizes(printer: Group) -> tuple[tuple[int, int], ...]:
    found = printer.get("media-size-supported")
    sizes = []
    for value in found.values if found else ():
        if isinstance(value.data, tuple):
            size = Group(Tag.PRINTER, value.data)
            across, along = size.integer("x-dimension"), size.integer("y-dimension")
            # A range (custom sizes) has no one spelling; ours is as good as any within it.
            if across is not None and along is not None:
                sizes.append((across, along))
    return tuple(sizes)
