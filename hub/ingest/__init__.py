"""Receive, verify, acknowledge after the commit."""
