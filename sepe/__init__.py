"""The pure core of Sepe: rules, merge and sync protocol. No I/O, no clock, no randomness."""
