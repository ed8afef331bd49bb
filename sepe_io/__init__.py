"""Edges that node and hub share: SQLite, sealed frames, keys, logs, the region tables. No rule lives here."""
