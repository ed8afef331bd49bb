"""The centre: takes the offices' frames, ends with one true record, and lets people look and repair."""
