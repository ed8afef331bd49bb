"""The two ways in which a step of an office ends early."""

from __future__ import annotations


class PowerCutError(Exception):
    """The machine died at this step; the step says whether its commit took."""


class DiskFullError(Exception):
    """The disk took nothing."""
