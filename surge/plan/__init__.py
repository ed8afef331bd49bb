"""What a scenario's offices will get done, and what keeps them from more: a discrete-event model."""
