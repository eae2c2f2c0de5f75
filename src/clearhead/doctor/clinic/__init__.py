"""Broken runs to learn from, and to measure the doctor on."""
