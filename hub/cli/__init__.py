"""The hub's commands: ``sepe hub …``."""

from hub.cli.app import app

__all__ = ["app"]
