"""The Internet Printing Protocol: its bytes (``codec``), its numbers (``registry``), our client."""
