"""Clearhead: a complete transformer system that one person can read."""

__version__ = "0.1.0"
