"""Printing at one office: drivers for printers, documents for them, and the ledger of what came out."""
