"""Reward models: automatic step labels, training on them, scoring, and how good they are against the truth."""
