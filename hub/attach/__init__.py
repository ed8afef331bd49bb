"""What is too large for an event: received in chunks, kept sealed, opened for an officer."""
