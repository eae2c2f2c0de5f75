"""Layers: pure functions in `functional`, modules that only hold their weights in `layers`."""
