"""What travels and what the hub keeps, generated from proto/ by run.py generate."""
