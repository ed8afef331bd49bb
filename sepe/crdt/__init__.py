"""State that joins: every order, grouping and repetition of the same events gives the same value.

A join is associative, commutative and idempotent (Shapiro et al., "Conflict-free Replicated Data Types",
2011). Those three laws also hold for an oldest-wins join, so the tests add a fourth: the join is an upper
bound of both sides.
"""

from sepe.crdt.counter import NodeCounter
from sepe.crdt.register import Register
from sepe.crdt.version import Version

__all__ = ["NodeCounter", "Register", "Version"]
