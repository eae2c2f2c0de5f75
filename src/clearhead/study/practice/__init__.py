"""Practice: exercises handed out, run in a process of their own, and graded against the reference."""
