"""A virtual IPP card printer with faults, for the simulator, the demo and the tests."""

from surge.printer.engine import Mechanics, Sheet
from surge.printer.notices import Tells
from surge.printer.virtual import LineFault, VirtualPrinter

__all__ = ["LineFault", "Mechanics", "Sheet", "Tells", "VirtualPrinter"]
