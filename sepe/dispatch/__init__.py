"""Which card next, on which printer, and when it will be done: pure rules of an office's print queue."""
