"""The command line: one small file per verb, and nothing imports it."""
