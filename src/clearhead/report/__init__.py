"""One self-contained HTML page that tells a person what a run did.

Reading order: `data` (what goes in), `summary` and `findings` (what it means, in words), `page` (the sections in
order), then the sections; charts lie in `clearhead.charts`. Everything is a pure function from plain data to text. Not
here: measuring anything, reading run directories, choosing what to evaluate.
"""

from clearhead.report.data import Report, read
from clearhead.report.page import render, write

__all__ = ["Report", "read", "render", "write"]
