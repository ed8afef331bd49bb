"""Numbered card stock of one machine."""

from node.stock.stock import Count, Stock, Story, check_product, opening_range, spoil_reason
from sepe.serials import SerialRange, serials_between

__all__ = [
    "Count", "SerialRange", "Stock", "Story", "check_product", "opening_range", "serials_between", "spoil_reason",
]  # fmt: skip
