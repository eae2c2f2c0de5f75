"""A model by its name: found, loaded, looked into, compared, and written in other forms."""
