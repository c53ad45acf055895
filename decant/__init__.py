"""Decant distils large retrieval teachers into small students, with the proof beside it."""

__version__ = "0.1.0"
