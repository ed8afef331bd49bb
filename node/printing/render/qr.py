"""The QR code, with its modules on whole printer dots."""

from __future__ import annotations

import segno

from node.printing.render.pdf import WHITE, Pen

DOT_MM = 25.4 / 300
QUIET_MODULES = 4
# Choosing the best of the eight masks takes four times as long as the code itself. A fixed one keeps every
# promise of the standard; the codes read by zxing in the tests carry it.
MASK = 3


def draw_qr(pen: Pen, x: float, y: float, width_mm: float, text: str) -> None:
    """The code with its quiet zone on white, centred in a square of that width.

    A module is a whole number of 300 dpi dots and starts on one, so that no edge is blurred.
    """
    matrix = segno.make(text, error="m", mask=MASK, micro=False, boost_error=False).matrix
    side = len(matrix) + 2 * QUIET_MODULES
    module = max(1, int(width_mm / DOT_MM / side)) * DOT_MM
    slack = (width_mm - side * module) / 2
    left, top = _on_dot(x + slack), _on_dot(y + slack)
    pen.rect(left, top, side * module, side * module, fill=WHITE)
    pen.modules(left + QUIET_MODULES * module, top + QUIET_MODULES * module, module, matrix)


def _on_dot(mm: float) -> float:
    return round(mm / DOT_MM) * DOT_MM
