"""What was tried and passed, in practice and in an interview alike: one record, under the same names."""

from clearhead.study.practice.progress import record, tried

__all__ = ["of_problem", "record", "tried"]


def of_problem(name: str) -> str:
    """What a pen-and-paper problem is called in the record, where exercises have their own names."""
    return f"problem:{name}"
