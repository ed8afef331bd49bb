"""Frames that were not merged, kept with the reason until a person releases or discards them."""
