"""The seeded world: real state machines on memory instead of disks and lines."""
