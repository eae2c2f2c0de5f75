"""Reasoning as search: trees of steps, votes over answers, and the statistics that compare them at equal cost."""
