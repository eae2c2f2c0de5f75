"""Search in one's own documents: `search_docs` finds chunks of them, `read_docs` gives one whole."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from clearhead.agents.toolbox.bm25 import Index, terms
from clearhead.agents.toolbox.chunks import Chunk, chunks_of
from clearhead.agents.tools import Tool, ToolError, tool

EXCERPT = 300  # characters
RESULTS = 5
LONGEST_QUERY = 1000


def documents(folder: Path) -> list[Tool]:
    """The tools for the texts of a folder, which are read now. UserError: there is no text, or too much."""
    found = chunks_of(folder)
    index = Index([f"{Path(chunk.file).stem}\n{chunk.heading}\n{chunk.text}" for chunk in found])
    places = places_of(found)
    by_place = dict(zip(places, found, strict=True))

    def search_docs(query: Annotated[str, "words to look for"]) -> list[dict[str, str]]:
        """Search the documents; every result has its place, for read_docs, its heading and an excerpt."""
        if len(query) > LONGEST_QUERY:
            raise ToolError(f"a query of {len(query):,} characters; at most {LONGEST_QUERY:,} are taken")
        best = [i for i, _ in index.search(query, RESULTS)]
        if not best:
            raise ToolError(f"nothing in the documents has a word of {query!r:.80}; try other words")
        return [
            {"place": places[i], "heading": found[i].heading, "excerpt": excerpt(found[i].text, query)} for i in best
        ]

    def read_docs(place: Annotated[str, "as search_docs gives it, such as notes.md:12"]) -> str:
        """Read the piece of the documents that begins at a place."""
        if place not in by_place:
            raise ToolError(f"no piece of the documents begins at {place:.200}; take a place from search_docs")
        return by_place[place].text

    return [tool(search_docs, seconds=math.inf), tool(read_docs, seconds=math.inf)]


def places_of(chunks: Sequence[Chunk]) -> list[str]:
    """File and line; a line that was divided has several, which are numbered.

    >>> places_of([Chunk("a", 1, "", ""), Chunk("a", 1, "", ""), Chunk("a", 2, "", "")])
    ['a:1', 'a:1.2', 'a:2']
    """
    seen = Counter[str]()
    found = list[str]()
    for chunk in chunks:
        name = f"{chunk.file}:{chunk.line}"
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return found


def excerpt(text: str, query: str, most: int = EXCERPT) -> str:
    """The part of a text with the most of the query's terms.

    >>> excerpt("one two three four five six", "fifth five", 14)
    '... four five six'
    """
    wanted, words = set(terms(query)), [(word.start(), word.end()) for word in re.finditer(r"\S+", text)]
    hits = [bool(wanted.intersection(terms(text[a:b]))) for a, b in words]
    best = start = held = 0
    score = -1
    for end, hit in enumerate(hits):
        held += hit
        while words[end][1] - words[start][0] > most and start < end:
            held -= hits[start]
            start += 1
        if held > score:
            best, score = start, held
    if not words:
        return ""
    begin = words[best][0]
    part = text[begin : begin + most]
    cut = begin + most < len(text)
    part = part.rpartition(" ")[0] or part if cut and not text[begin + most].isspace() else part
    return f"{'... ' if begin else ''}{' '.join(part.split())}{' ...' if cut else ''}"
