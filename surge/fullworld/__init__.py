"""The second speed of the seeded world: the product's own code and databases on a virtual event loop."""

from surge.fullworld.run import run
from surge.fullworld.run import run as run_full
from surge.fullworld.verdict import Verdict

__all__ = ["Verdict", "run", "run_full"]
