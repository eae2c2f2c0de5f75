"""Detectors: pure functions of a record, each with its formula, its source and its threshold beside it."""
