"""Open files and connections: what the system allows this process, and how many strangers may have of it."""

from __future__ import annotations

# Databases with their logs, provers, the broker's child, the page, and room for what an operator's command opens.
RESERVED = 256


def use_all() -> None:
    """Let this process, and those it starts, have as many open files as the system allows it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_max() -> int | None:
    """How many connections may be let in so that `RESERVED` files are left for us; ``None``: any number."""
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(soft - RESERVED, soft // 2, 1)
