"""Facts looked up in a table of one's own: a row by its first column, and what another column says of it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from clearhead.agents.tools import Tool, ToolError, tool
from clearhead.errors import UserError
from clearhead.tasks.records import read_records

SHOWN = 20  # names told to a model that asked for another

Rows = Mapping[str, Mapping[str, str]]


def table(path: Path) -> Tool:
    """The tool for a file of CSV, TSV, JSON, JSONL or Parquet, which is read now. UserError: it is no table."""
    return lookup_in(read_rows(path))


def lookup_in(rows: Rows) -> Tool:
    """The tool for rows by their names, both in lower case."""

    def lookup(
        item: Annotated[str, "a row, by what its first column says"],
        column: Annotated[str, "what is asked of it"],
    ) -> str:
        """Look a fact up in the table."""
        row = rows.get(item.strip().casefold())
        if row is None:
            raise ToolError(f"no item {item:.80}; there are {listed(rows)}")
        if (wanted := column.strip().casefold()) not in row:
            raise ToolError(f"no column {column:.80}; there are {listed(row)}")
        return row[wanted]

    return tool(lookup, seconds=math.inf)


def read_rows(path: Path) -> Rows:
    """Each row by its first column, its columns by their names, both without regard to case."""
    found: dict[str, Mapping[str, str]] = {}
    records = read_records(path)
    if records.bad:
        raise UserError(f"{path}, line {records.bad[0].line}: {records.bad[0].why}")
    for number, record in records.rows:
        where = f"{path}, {records.unit} {number}"
        names = [name.strip().casefold() for name in record]
        values = ["" if value is None else str(value).strip() for value in record.values()]
        if len(names) < 2 or len(set(names)) < len(names):
            raise UserError(f"{where}: a table needs two columns or more, each with a name of its own")
        if values[0].casefold() in found:
            raise UserError(f"{where}: {values[0]!r:.60} stands in the first column twice; it must name one row")
        found[values[0].casefold()] = dict(zip(names, values, strict=True))
    if not found:
        raise UserError(f"{path} has no rows")
    return found


def listed(names: Mapping[str, object]) -> str:
    """
    >>> listed({"pear": 1, "fig": 2})
    'pear, fig'
    """
    shown = list(names)[:SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
