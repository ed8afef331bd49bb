"""Figures of a run as a person reads them."""

from __future__ import annotations


def seconds(value: float | None) -> str:
    """A duration a person can read."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def amount(value: float | None, unit: str) -> str:
    """A value with its unit."""
    if value is None:
        return "could not be found out"
    match unit:
        case "s":
            return seconds(value)
        case "bytes":
            return f"{value / 2**20:,.0f} MiB"
        case "share":
            return f"{value:.1%}"
    return f"{value:,.4g}".rstrip() if value % 1 else f"{value:,.0f}"
