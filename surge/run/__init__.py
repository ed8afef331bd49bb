"""A scenario played against a real hub by hundreds of virtual offices, and its verdict."""
