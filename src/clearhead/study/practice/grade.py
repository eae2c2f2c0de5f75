"""Grade a solution: rules, then random cases against the oracle, then what a wrong result says about its cause."""

import ast
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clearhead.sandbox.codec import pack, unpack
from clearhead.study.practice.child import FILE, compiled, plain, runner
from clearhead.study.practice.compare import TINY, difference, numbers, size
from clearhead.study.practice.exercise import Exercise, inputs, mutant, parameters, smallest
from clearhead.study.practice.rounding import (
    BRAIN,
    DOUBLE,
    HALF,
    LIMIT,
    MOST,
    SINGLE,
    TOLD,
    Growth,
    allowed,
    declared,
    factor,
    growth,
    of_gradient,
    precision,
)  # fmt: skip
from clearhead.study.practice.rules import frameworks, imported, parsed, violations
from clearhead.study.practice.runner import Outcome, run_here

CASES = 12
DRAWS = 8  # of a case, until rounding does little to it
MORE = 20  # draws, to find a case that tells a known wrong solution from a right one
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
    inputs: dict[str, Any]
    want: Any
    growth: Growth  # of a rounding error
    gradient: dict[str, Any] | None = None  # of the oracle, per input
    steepness: dict[str, float] | None = None  # growth of a rounding error in each gradient
    dy: np.ndarray | None = None
    measure: bool = False


def grade(exercise: Exercise, source: str, run: Runner, seed: int | None = None) -> Verdict:
    """The verdict on a source text; `run` says where it is executed. Its text may go to any terminal."""
    with np.errstate(all="ignore"):  # a learner's numbers may be of any size
        verdict = _grade(exercise, source.removeprefix("\ufeff"), run, seed)  # as Windows begins its files
    said = tuple(_cut(_printable(line), MAX_SENTENCE_CHARS) for line in verdict.said)
    return replace(verdict, said=said, shown=_printable(verdict.shown), printed=_printable(verdict.printed))


def _grade(exercise: Exercise, source: str, run: Runner, seed: int | None) -> Verdict:
    try:
        broken, kinds = violations(source, exercise.forbidden), frameworks(source)
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        return Verdict(False, (f"{line}this is no Python: {error.args[0]}",))
    except (RecursionError, MemoryError):
        return Verdict(False, ("this is no Python that can be read: it is nested too deeply",))
    if broken:
        return Verdict(False, tuple(broken))
    entropy = np.random.SeedSequence(seed).entropy
    verdicts = []
    for kind in kinds:  # a file that imports both NumPy and torch may want either
        verdicts.append(_attempt(exercise, source, run, kind, np.random.default_rng(entropy)))
        if verdicts[-1].passed:
            return verdicts[-1]
    return verdicts[0]


def _attempt(exercise: Exercise, source: str, run: Runner, kind: str, rng: np.random.Generator) -> Verdict:
    """The verdict where the arrays are of this kind."""
    cases = _cases(exercise, rng, kind)
    outcome = run(_request(exercise, source, kind, cases, rng), exercise.seconds)
    return replace(_verdict(exercise, source, cases, _with_lines(outcome, source)), missing=tuple(outcome.missing))


def _cases(exercise: Exercise, rng: np.random.Generator, kind: str) -> list[_Case]:
    """The smallest sizes, random sizes, then the edges and the measured case; in the order in which they are shown."""
    own = _function(exercise, exercise.solution)
    found = [_drawn(exercise, rng, own, smallest(exercise))]
    found += [_drawn(exercise, rng, own) for _ in range(CASES - 1)]
    found += [_case(exercise, given, own, rng) for given in (exercise.edges(rng) if exercise.edges else [])]
    for sentence in exercise.wrong:
        found += _telling(exercise, sentence, found, rng, own)
    if exercise.vjp is not None and kind == "torch":
        for i, case in enumerate(found):
            dy = rng.normal(size=np.shape(case.want))
            vjp = functools.partial(exercise.vjp, dy)
            gradient = vjp(**_own(case.inputs))
            found[i] = replace(case, gradient=gradient, dy=dy, steepness=of_gradient(vjp, case.inputs, gradient, rng))
    if exercise.memory is not None:
        given = inputs(exercise, rng, exercise.memory[0])
        want = exercise.oracle(**_own(given))
        found.append(_Case(given, want, Growth([LIMIT * size(x) for x in numbers(want)], 1.0), measure=True))
    return found


def _drawn(
    exercise: Exercise, rng: np.random.Generator, own: Callable[..., Any], sizes: dict[str, int] | None = None
) -> _Case:
    """A case in which rounding does little, as far as one is found soon: a verdict is not to hang on it."""
    tried = []
    for _ in range(DRAWS):
        tried.append(_case(exercise, inputs(exercise, rng, sizes), own, rng))
        if tried[-1].growth.worst <= LIMIT:
            break
    return min(tried, key=lambda case: case.growth.worst)


def _telling(
    exercise: Exercise, sentence: str, cases: list[_Case], rng: np.random.Generator, own: Callable[..., Any]
) -> list[_Case]:
    """A case more, if none of these tells a known wrong solution from a right one: luck is not to pass it."""
    source = mutant(exercise, sentence)
    if "torch" in frameworks(source) or violations(source, exercise.forbidden):
        return []
    theirs = _function(exercise, source)

    def tells(case: _Case) -> bool:
        got = theirs(case.inputs)
        return got is None or bool(difference(got, case.want, _tolerance(exercise, case, SINGLE), exercise.outputs))

    if any(tells(case) for case in reversed(cases)):
        return []
    return next(([case] for case in (_drawn(exercise, rng, own) for _ in range(MORE)) if tells(case)), [])


def _case(exercise: Exercise, given: dict[str, Any], own: Callable[..., Any], rng: np.random.Generator) -> _Case:
    want = exercise.oracle(**_own(given))
    return _Case(given, want, growth(exercise.oracle, given, want, own, rng))


def _function(exercise: Exercise, source: str) -> Callable[[dict[str, Any]], Any]:
    """A solution of our own as a function of the inputs: its value, None where it has none."""
    request = _request(exercise, source, "numpy", [], np.random.default_rng(0))
    module = compiled(source, FILE)

    def run(given: dict[str, Any]) -> Any:
        try:
            return plain(runner(module, request, _own(given))())
        except Exception:  # a wrong solution may raise anything, and a right one at inputs that were moved too far
            return None

    return run


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
        "modules": imported(source), "arguments": parameters(exercise),
    }  # fmt: skip


def _verdict(exercise: Exercise, source: str, cases: list[_Case], outcome: Outcome) -> Verdict:
    def failed(*said: str, shown: str = "") -> Verdict:
        return Verdict(False, said, shown, outcome.printed, len(cases))

    if outcome.called:
        return failed(*(f"{name} may not be called, and was" for name in dict.fromkeys(outcome.called)))
    if outcome.broken is not None:
        return failed(_error(outcome.broken, "while the file is loaded"))
    if outcome.ended:
        where = "" if outcome.begun is None else f"; it was working on {_sizes(cases[outcome.begun].inputs)}"
        return failed(f"the solution {outcome.ended}{where}")
    eps = max(precision([found.get("value") for found in outcome.cases.values()]), SINGLE if declared(source) else 0.0)
    detached = _detached(source)
    wrong = [
        (i, said) for i, case in enumerate(cases) if (said := _wrong(exercise, case, outcome.cases[i], eps, detached))
    ]
    if not wrong:
        return Verdict(True, printed=outcome.printed, cases=len(cases))
    first, said = wrong[0]
    told = []
    if "error" not in outcome.cases[first]:
        if all(_is_rounding(exercise, cases[i], outcome.cases[i], eps) for i, _ in wrong):
            told = [ROUNDED[eps]]
        else:
            told = _diagnoses(exercise, cases, outcome, [i for i, _ in wrong], eps)
    got = outcome.cases[first].get("value")
    count = f"{len(wrong)} of {len(cases)} cases fail"
    case = cases[first]
    unwritten = outcome.cases[first].get("error", [""])[0] == "NotImplementedError"
    if unwritten:
        return failed(said)
    shown = "" if case.measure else _shown(case.inputs, got, case.want, "error" in outcome.cases[first])
    return failed(*told, said, count, shown=shown)


def _wrong(exercise: Exercise, case: _Case, found: dict[str, Any], eps: float, detached: bool) -> str:
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
    said = difference(found["value"], case.want, _tolerance(exercise, case, min(eps, SINGLE)), exercise.outputs)
    if said:
        return said
    if found["changed"]:
        return f"writes into its input {', '.join(found['changed'])}; work on a copy"
    if case.gradient is None:
        return ""
    gradients = found.get("gradient", {})
    if "" in gradients:  # a result without gradients is right, unless they were cut off by hand
        return f"the right values, but no gradient flows back to {', '.join(case.gradient)}" if detached else ""
    for name, want in case.gradient.items():
        if name not in gradients:
            return f"the right values, but no gradient flows back to {name}"
        if said := difference(gradients[name], want, [_of_gradient(case, name, min(eps, SINGLE))]):
            return f"the right values, but the gradient of {name}: {said}"
    return ""


def _tolerance(exercise: Exercise, case: _Case, eps: float) -> float | list[float]:
    return exercise.tolerance or allowed(case.growth, case.want, case.inputs, eps)


def _of_gradient(case: _Case, name: str, eps: float) -> float:
    """What rounding may do to a gradient: as much as to the values, at the gradient's size or at the usual one."""
    assert case.gradient is not None and case.dy is not None and case.steepness is not None
    values = sum(size(x) for x in numbers(case.want))
    usual = size(case.dy) * values / (size(np.asarray(case.inputs[name])) or 1.0)
    scale = max(size(case.gradient[name]), usual)
    share = min(max(case.growth.worst, 1.0), LIMIT)
    return min(factor(case.inputs) * eps * (share * scale + case.steepness[name]), 0.01 * scale) + TINY


def _is_rounding(exercise: Exercise, case: _Case, found: dict[str, Any], eps: float) -> bool:
    """Whether a wrong value would be right in the next coarser type, or in the half precision that it has."""
    coarser = {DOUBLE: SINGLE}.get(eps, eps)
    if "error" in found or eps not in ROUNDED:
        return False

    def apart(tolerance: float | list[float]) -> str:
        return difference(found["value"], case.want, tolerance, exercise.outputs)

    most = TOLD if coarser > SINGLE else MOST
    loose = exercise.tolerance or allowed(case.growth, case.want, case.inputs, coarser, most)
    return bool(apart(_tolerance(exercise, case, min(eps, SINGLE)))) and not apart(loose)


ROUNDED = {
    DOUBLE: "off by more than float64 rounds and less than float32 does: an epsilon that the formula lacks, a series "
    "that is cut short, or a value that is rounded on the way",
    HALF: "float16 rounds too coarsely to be told from a mistake; compute in float32 or float64",
    BRAIN: "bfloat16 rounds too coarsely to be told from a mistake; compute in float32 or float64",
}


@functools.lru_cache(512)
def _detached(source: str) -> bool:
    """Whether the source cuts gradients off by hand."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("detach", "detach_") for node in ast.walk(parsed(source))
    )


def _diagnoses(exercise: Exercise, cases: list[_Case], outcome: Outcome, wrong: list[int], eps: float) -> list[str]:
    """The sentences of those known wrong solutions that give the same wrong results."""
    small = [
        i for i in wrong
        if not cases[i].measure and "value" in outcome.cases[i]
        and difference(outcome.cases[i]["value"], cases[i].want, _tolerance(exercise, cases[i], min(eps, SINGLE)))
    ]  # fmt: skip
    if not small:
        return []
    near = 1e-6 if eps == DOUBLE else 1e-3
    first, *others = small
    return [
        sentence
        for sentence in exercise.wrong
        if _gives_the_same(exercise, sentence, [cases[first]], [outcome.cases[first]["value"]], near)
        and _gives_the_same(
            exercise, sentence, [cases[i] for i in others], [outcome.cases[i]["value"] for i in others], near
        )
    ]


def _gives_the_same(exercise: Exercise, sentence: str, cases: list[_Case], got: list[Any], near: float) -> bool:
    """Whether a known wrong solution returns these results too."""
    source = mutant(exercise, sentence)
    if "torch" in frameworks(source) or violations(source, exercise.forbidden):
        return False
    theirs = run_here(_request(exercise, source, "numpy", cases, np.random.default_rng(0)), exercise.seconds)
    values = [theirs.cases.get(i, {}) for i in range(len(cases))]
    return not theirs.called and all(
        "value" in one and not difference(mine, one["value"], near, exercise.outputs)
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
