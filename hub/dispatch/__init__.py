"""Who may print what."""
