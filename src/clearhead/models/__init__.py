"""Whole models, each one flat configuration and one forward path."""
