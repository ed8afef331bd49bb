"""The frame log and what is folded from it."""
