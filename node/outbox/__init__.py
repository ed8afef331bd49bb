"""The outbox: what this machine wrote and the hub may not hold yet."""
