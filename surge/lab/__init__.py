"""Servers of a laboratory on this machine, to be struck by tests and shows: a NATS cluster and a PostgreSQL."""
