"""Grade a solution: rules, then random cases against the oracle, then what a wrong result says about its cause."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clearhead.sandbox.codec import pack, unpack
from clearhead.study.practice.compare import difference
from clearhead.study.practice.exercise import Exercise, inputs, mutant, smallest
from clearhead.study.practice.rules import framework, violations
from clearhead.study.practice.runner import Outcome, run_here

CASES = 12
MAX_SENTENCE_CHARS = 2000  # characters of a sentence, or of one value that is shown
Runner = Callable[[dict[str, Any], float], Outcome]


@dataclass(frozen=True)
class Verdict:
    """Whether a solution is right, and if not, what is wrong where."""

    passed: bool
    said: tuple[str, ...] = ()  # one sentence a line, the most telling first
    shown: str = ""  # the smallest failing case: inputs, result, what was wanted
    printed: str = ""  # by the solution
    cases: int = 0
    missing: tuple[str, ...] = ()  # walls that this machine lacks and that it ran without


@dataclass(frozen=True)
class _Case:
    label: str
    inputs: dict[str, Any]
    want: Any
    gradient: dict[str, Any] | None = None  # of the oracle, per input
    dy: np.ndarray | None = None
    measure: bool = False


def grade(exercise: Exercise, source: str, run: Runner, seed: int | None = None) -> Verdict:
    """The verdict on a source text; `run` says where it is executed. Its text may go to any terminal."""
    with np.errstate(all="ignore"):  # a learner's numbers may be of any size
        verdict = _grade(exercise, source, run, seed)
    said = tuple(_cut(_printable(line), MAX_SENTENCE_CHARS) for line in verdict.said)
    return replace(verdict, said=said, shown=_printable(verdict.shown), printed=_printable(verdict.printed))


def _grade(exercise: Exercise, source: str, run: Runner, seed: int | None) -> Verdict:
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python about the source
            broken, kind = violations(source, exercise.forbidden), framework(source)
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        return Verdict(False, (f"{line}this is no Python: {error.args[0]}",))
    except (RecursionError, MemoryError):
        return Verdict(False, ("this is no Python that can be read: it is nested too deeply",))
    if broken:
        return Verdict(False, tuple(broken))
    rng = np.random.default_rng(seed)
    cases = _cases(exercise, rng, kind)
    outcome = run(_request(exercise, source, kind, cases, rng), exercise.seconds)
    return replace(_verdict(exercise, cases, _with_lines(outcome, source)), missing=tuple(outcome.missing))


def _cases(exercise: Exercise, rng: np.random.Generator, kind: str) -> list[_Case]:
    """The smallest sizes, random sizes, then the edges and the measured case; in the order in which they are shown."""
    drawn = [("", inputs(exercise, rng, smallest(exercise)))]
    drawn += [("", inputs(exercise, rng)) for _ in range(CASES - 1)]
    drawn += [("", given) for given in (exercise.edges(rng) if exercise.edges else [])]
    found = []
    for label, given in drawn:
        want = exercise.oracle(**_own(given))
        dy = gradient = None
        if exercise.vjp is not None and kind == "torch":
            dy = rng.normal(size=np.shape(want))
            gradient = exercise.vjp(dy, **_own(given))
        found.append(_Case(label, given, want, gradient, dy))
    if exercise.memory is not None:
        given = inputs(exercise, rng, exercise.memory[0])
        found.append(_Case("measured", given, exercise.oracle(**_own(given)), measure=True))
    return found


def _own(given: dict[str, Any]) -> dict[str, Any]:
    """A copy that an oracle may do with as it likes."""
    copy = unpack(pack(given))
    assert isinstance(copy, dict)
    return copy


def _request(
    exercise: Exercise, source: str, kind: str, cases: list[_Case], rng: np.random.Generator
) -> dict[str, Any]:
    sent = []
    for i in rng.permutation(len(cases)):  # so that no solution can tell a case by its turn
        case = cases[i]
        gradient = None if case.gradient is None else {"names": list(case.gradient), "dy": case.dy}
        sent.append((int(i), {"inputs": case.inputs, "measure": case.measure, "gradient": gradient}))
    return {
        "source": source, "name": exercise.name, "drive": exercise.drive, "framework": kind,
        "forbidden": list(exercise.forbidden), "measure": any(case.measure for case in cases), "cases": sent,
    }  # fmt: skip


def _verdict(exercise: Exercise, cases: list[_Case], outcome: Outcome) -> Verdict:
    def failed(*said: str, shown: str = "") -> Verdict:
        return Verdict(False, said, shown, outcome.printed, len(cases))

    if outcome.called:
        return failed(*(f"{name} may not be called, and was" for name in dict.fromkeys(outcome.called)))
    if outcome.broken is not None:
        return failed(_error(outcome.broken, "while the file is loaded"))
    if outcome.ended:
        where = "" if outcome.begun is None else f"; it was working on {_sizes(cases[outcome.begun].inputs)}"
        return failed(f"the solution {outcome.ended}{where}")
    wrong = [(i, said) for i, case in enumerate(cases) if (said := _wrong(exercise, case, outcome.cases[i]))]
    if not wrong:
        return Verdict(True, printed=outcome.printed, cases=len(cases))
    first, said = wrong[0]
    told = [] if "error" in outcome.cases[first] else _diagnoses(exercise, cases, outcome, [i for i, _ in wrong])
    got = outcome.cases[first].get("value")
    count = f"{len(wrong)} of {len(cases)} cases fail"
    case = cases[first]
    unwritten = outcome.cases[first].get("error", [""])[0] == "NotImplementedError"
    if unwritten:
        return failed(said)
    shown = "" if case.measure else _shown(case.inputs, got, case.want, "error" in outcome.cases[first])
    return failed(*told, said, count, shown=shown)


def _wrong(exercise: Exercise, case: _Case, found: dict[str, Any]) -> str:
    """What is wrong with one outcome; nothing if it is right."""
    if "error" in found:
        return _error(found["error"], f"for {_sizes(case.inputs)}")
    if case.measure:
        assert exercise.memory is not None
        if found["peak"] > exercise.memory[1]:
            sizes = ", ".join(f"{axis} = {size}" for axis, size in exercise.memory[0].items())
            return (
                f"{found['peak'] / 2**20:.2f} MiB were alive at once with {sizes}; "
                f"{exercise.memory[1] / 2**20:g} MiB are allowed"
            )
    said = difference(found["value"], case.want, exercise.tolerance, exercise.outputs)
    if said:
        return said
    if found["changed"]:
        return f"writes into its input {', '.join(found['changed'])}; work on a copy"
    for name, want in (case.gradient or {}).items():
        if name not in found.get("gradient", {}):
            return f"the right values, but no gradient flows back to {name}"
        if said := difference(found["gradient"][name], want, exercise.tolerance):
            return f"the right values, but the gradient of {name}: {said}"
    return ""


def _diagnoses(exercise: Exercise, cases: list[_Case], outcome: Outcome, wrong: list[int]) -> list[str]:
    """The sentences of those known wrong solutions that give the same wrong results."""
    small = [
        i for i in wrong
        if not cases[i].measure and "value" in outcome.cases[i]
        and difference(outcome.cases[i]["value"], cases[i].want, exercise.tolerance)
    ]  # fmt: skip
    if not small:
        return []
    first, *others = small
    return [
        sentence
        for sentence in exercise.wrong
        if _gives_the_same(exercise, sentence, [cases[first]], [outcome.cases[first]["value"]])
        and _gives_the_same(exercise, sentence, [cases[i] for i in others], [outcome.cases[i]["value"] for i in others])
    ]


def _gives_the_same(exercise: Exercise, sentence: str, cases: list[_Case], got: list[Any]) -> bool:
    """Whether a known wrong solution returns these results too."""
    source = mutant(exercise, sentence)
    if framework(source) == "torch" or violations(source, exercise.forbidden):
        return False
    theirs = run_here(_request(exercise, source, "numpy", cases, np.random.default_rng(0)), exercise.seconds)
    values = [theirs.cases.get(i, {}) for i in range(len(cases))]
    return not theirs.called and all(
        "value" in one and not difference(mine, one["value"], exercise.tolerance)
        for mine, one in zip(got, values, strict=True)
    )


def _with_lines(outcome: Outcome, source: str) -> Outcome:
    """The outcome with the text of the learner's line behind its number."""
    lines = source.splitlines()
    for error in [outcome.broken, *(found.get("error") for found in outcome.cases.values())]:
        number = error[2].removeprefix("line ") if error else ""
        if error and number.isdecimal() and len(number) < 7 and 0 < int(number) <= len(lines):
            error[2] = f"line {number}: {lines[int(number) - 1].strip()}"
    return outcome


def _printable(text: str) -> str:
    r"""Text with its control characters, and halves of surrogate pairs, spelled out.

    >>> _printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, most: int) -> str:
    """At most so many characters of it.

    >>> _cut("softmax", 5)
    'so...'
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _error(error: list[str], when: str) -> str:
    kind, message, place = error
    if kind == "NotImplementedError":
        return f"the solution is still to be written ({place})"
    if kind == "SystemExit":
        message = "the solution wants to end the program; return a value instead"
    if kind == "MemoryError":
        message = "more memory than the limit was asked for"
    return f"{kind} {when}: {message}".rstrip(": ") + (f" ({place})" if place else "")


def _sizes(given: dict[str, Any]) -> str:
    """The inputs in a few words.

    >>> _sizes({"x": np.zeros((2, 3)), "n": 4})
    'x of shape (2, 3), n = 4'
    """
    return ", ".join(
        f"{name} of shape {x.shape}" if isinstance(x, np.ndarray) and x.ndim else f"{name} = {_short(x)}"
        for name, x in given.items()
    )


def _short(value: Any) -> str:
    return _cut(repr(value), 60)


def _shown(given: dict[str, Any], got: Any, want: Any, without: bool) -> str:
    parts = [*given.items()] + ([] if without else [("returned", got)]) + [("wanted", want)]
    with np.printoptions(precision=4, suppress=True, threshold=60, edgeitems=2, linewidth=100):
        lines = [(name, _cut(str(_plain(x)), MAX_SENTENCE_CHARS).splitlines() or [""]) for name, x in parts]
    width = max(len(name) for name, _ in lines)
    return "\n".join(
        f"{name if i == 0 else '':<{width}}  {line}" for name, text in lines for i, line in enumerate(text)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list) and any(isinstance(x, np.ndarray) and x.ndim for x in value):
        return "\n".join(str(x) for x in value)
    return value
