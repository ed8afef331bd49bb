"""What travels and what the hub keeps, generated from proto/; see `python3 run.py generate`."""
