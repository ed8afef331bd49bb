"""Open files: each office of a laboratory has a database with two log files, and connections."""

from __future__ import annotations

import resource


def use_all_handles() -> None:
    """Let this process, and those it starts, have as many open files as the system allows it. POSIX."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
