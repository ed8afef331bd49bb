"""A whole election week: the seeded world, the load generator, the planner, and the program that joins all parts.

`surge` stands above `node` and `hub` and may use both; they never import each other.
"""
