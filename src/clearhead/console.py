"""A console of rich that spells out, as `terminal` does, what its texts hold. Apart, because rich is slow to load."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from clearhead.terminal import spelled


class SafeConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments that rich made to steer are kept; in those of text nothing may."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=spelled(segment.text))
