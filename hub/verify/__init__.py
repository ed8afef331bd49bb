"""Reading everything back: is what the hub holds what was written, and what becomes of what is not."""
