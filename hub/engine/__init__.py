"""The databases a hub can store in: SQLite in its directory, or a PostgreSQL server."""
