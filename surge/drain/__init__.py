"""Offices that come back all at once: a hub on PostgreSQL, a broker cluster, workers, and blows on the way."""
