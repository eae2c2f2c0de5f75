"""Models that act: typed steps, tools, memory, plans, and the model as a model of the world."""
