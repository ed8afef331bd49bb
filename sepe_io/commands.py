"""A group of commands that takes its directory first, as the contract writes it: ``blanks DIR receive …``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class DirFirst(TyperGroup):
    """``GROUP DIR COMMAND …`` as well as ``GROUP COMMAND DIR …``; ``GROUP DIR`` alone is its ``show``."""

    # Typer's own context class is private.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            named = len(args) > 1 and args[1] in self.commands
            args = [args[1], args[0], *args[2:]] if named else ["show", *args]
        return list(super().parse_args(ctx, args))
