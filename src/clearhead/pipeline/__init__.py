"""Recipes and runs: the stages from nothing to a report, and the directory that holds what they made."""
