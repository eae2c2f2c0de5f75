"""Where the answer stands in a solution: the whole last step, or what follows a marker such as "=" in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.errors import UserError
from clearhead.tasks.checkers import Checker
from clearhead.tasks.records import BadRow
from clearhead.tasks.rows import Row, UnusableError

MARKERS = ("", "=", "####", ":")  # tried in this order where answer_after is left out; "" is the whole last step

SLOW = 3  # answers on file that a checker may take too long for


@dataclass(frozen=True)
class Fitted:
    """Solutions that all end in their answer, by problem, and the rows of which none could be made."""

    solutions: dict[str, tuple[str, ...]]
    marker: str  # what stands before the answer in every last step
    added: int  # solutions that did not give the answer, and got it as a last step
    bad: tuple[BadRow, ...]


def after(marker: str, step: str) -> str | None:
    """The text after the last marker of a step, None where there is none; the whole step for the marker "".

    >>> after("=", "=340+68=408"), after("", "408 "), after("=", "408")
    ('408', '408', None)
    """
    _, found, rest = step.rpartition(marker) if marker else ("", True, step)
    return rest.strip() or None if found else None


def fit(rows: Sequence[Row], check: Checker, marker: str | None) -> Fitted:
    """Find the marker that gives the right answer in the last step of every row, if `marker` does not say it.

    A row without steps gets one, the answer behind the marker. Where fewer than half of the solutions give their answer
    by any marker, they are explanations: each gets the answer as a last step of its own.
    """
    reasons = why_wrong(check, rows)
    bad = [BadRow(row.line, reason) for row, reason in reasons.items() if reason]
    rows = [row for row in rows if not reasons[row]]
    stepped = [row for row in rows if row.steps]

    def gives(marker: str, row: Row) -> bool:
        found = after(marker, row.steps[-1])
        return found == row.answer or (found is not None and check.accepts(row.problem, found, row.answer))

    tried: dict[str, list[Row]] = {}
    for candidate in MARKERS if marker is None else (marker,):
        tried[candidate] = [row for row in stepped if not gives(candidate, row)]
        if not tried[candidate]:
            break
    best = min(tried, key=lambda candidate: len(tried[candidate]))
    misfits = {row.problem for row in tried[best]}
    if marker is None and 2 * len(misfits) > len(stepped):
        solutions = {row.problem: (*row.steps, row.answer) for row in rows}
        return Fitted(solutions, "", len(stepped), tuple(bad))
    if marker is None:
        fix = "end each solution with the answer, or set answer_after to the text before it"
    else:
        fix = f"nothing right stands after answer_after={marker!r}"
    bad += [
        BadRow(row.line, f"the last step {row.steps[-1][:60]!r} does not give the answer {row.answer[:60]!r}; {fix}")
        for row in tried[best]
    ]
    lead = _lead(best, stepped)
    solutions = {row.problem: row.steps or (lead + row.answer,) for row in rows if row.problem not in misfits}
    return Fitted(solutions, best, 0, tuple(bad))


def complete(row: Row, style: Fitted, check: Checker) -> tuple[str, ...]:
    """The solution of one more row, in the style of the others; UnusableError where it does not give its answer."""
    if style.added:
        return (*row.steps, row.answer)
    fitted = fit([row], check, style.marker)
    if fitted.bad:
        raise UnusableError(fitted.bad[0].why)
    return fitted.solutions[row.problem]


def why_wrong(check: Checker, rows: Sequence[Row]) -> dict[Row, str]:
    """Why the answer on file does not pass its own check, of every row; "" where it does.

    UserError where the checker fails on all of them, or is slow on some: then it is the checker that wants mending.
    """
    reasons, slow, failed = {}, 0, 0
    for row in rows:
        try:
            right = check.is_right(row.problem, row.answer, row.answer)
            reasons[row] = "" if right else f"the answer {row.answer[:60]!r} fails its own check, {check.name!r}"
        except TimeoutError:
            reasons[row] = f"the checker {check.name!r} takes longer than {check.seconds:g} s"
            slow += 1
        except UserError as error:
            reasons[row] = str(error)
            failed += 1
            if failed == len(rows):
                raise
        if slow == SLOW:
            raise UserError(
                f"the checker {check.name!r} takes longer than {check.seconds:g} s on {SLOW} of the answers on file, "
                f"the last {row.answer[:60]!r}; mend it, or set check_seconds"
            )
    return reasons


def _lead(marker: str, stepped: Sequence[Row]) -> str:
    """What is written before the answer of a row without steps: the marker, with a space where the others have one."""
    written = next((row.steps[-1] for row in stepped if marker in row.steps[-1]), f"{marker} ")
    return f"{marker} " if marker and f"{marker} " in written else marker
