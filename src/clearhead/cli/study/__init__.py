"""The verbs of study: guide, cards, exercises and problems."""
