"""The one database of an office machine."""
