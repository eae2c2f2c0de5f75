"""Every problem: its own answer is right, and every slip is called what it is."""

import json

import numpy as np
import pytest

from clearhead.study.practice.answers import equal
from clearhead.study.practice.problem_set import PROBLEMS
from clearhead.study.practice.problems import check, question

FORMULAS = {
    "squared-error-slope": "2 (w x - y) x", "sigmoid-slope": "exp(-z) / (1 + exp(-z))^2",
    "kv-cache-size": "2 L G C S b",
    "lora-size": "r n + r d", "softmax-jacobian": "-a b",
}  # fmt: skip


def typed(value: object) -> str:
    return json.dumps(np.asarray(value, float).tolist())


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_right_answer_is_right(name: str) -> None:
    problem = PROBLEMS[name]
    seen = set()
    for seed in range(20):
        numbers = problem.draw(np.random.default_rng(seed))
        text = question(problem, numbers)
        assert "{" not in text
        seen.add(text)
        lines = problem.solve(**numbers)
        want = [line.value for line in lines if line.name == problem.asked][-1]
        answer = FORMULAS[name] if problem.variables else typed(want)
        reply = check(problem, numbers, answer)
        assert reply.right, (numbers, reply)
        names = {line.name for line in lines}
        assert all(slip.line in names for slip in problem.slips)
    assert len(seen) >= 4 or problem.variables


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if not problem.variables])
def test_a_slip_is_found_and_never_taken_for_right(name: str) -> None:
    problem = PROBLEMS[name]
    for i, slip in enumerate(problem.slips):
        named = 0
        for seed in range(20):
            numbers = problem.draw(np.random.default_rng(seed))
            want = [line.value for line in problem.solve(**numbers) if line.name == problem.asked][-1]
            value = np.asarray(slip.value(**numbers), float)
            if equal(value, np.asarray(want, float), 1e-6):
                continue  # with these numbers the mistake does not show
            reply = check(problem, numbers, typed(value))
            assert not reply.right
            named += reply.said == slip.said and reply.wrong_line == slip.line
        assert named >= 1, (i, slip.said)


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("squared-error-slope", "2 (w x - y)", "inner derivative"),
        ("squared-error-slope", "(w x - y) x", "factor 2"),
        ("sigmoid-slope", "exp(-z)/(1+exp(-z))", "1 - σ"),
        ("kv-cache-size", "L G C S b", "keys and values"),
        ("lora-size", "n d", "whole matrix"),
        ("softmax-jacobian", "a (1 - a)", "own logit"),
        ("softmax-jacobian", "a + b", "not it"),
    ],
)
def test_wrong_formulas(name: str, answer: str, said: str) -> None:
    problem = PROBLEMS[name]
    reply = check(problem, problem.draw(np.random.default_rng(0)), answer)
    assert not reply.right and said in reply.said


def test_a_formula_right_at_one_point_only_is_wrong() -> None:
    problem = PROBLEMS["squared-error-slope"]
    assert not check(problem, {"w": 2.0, "x": 2.0, "y": 2.0}, "8").right


def test_a_step_too_early_is_named() -> None:
    problem = PROBLEMS["bayes"]
    numbers = {"prior": 0.01, "found": 0.9, "false_alarm": 0.05}
    assert "that is positive, on the way" in check(problem, numbers, "0.0585").said
    assert check(problem, numbers, "2/13").right and check(problem, numbers, "0.154").right
    assert not check(problem, numbers, "0.16").right
    assert "shape" in check(problem, numbers, "0.1, 0.9").said
    assert (
        "sign" in check(PROBLEMS["momentum"], {"w": 0.5, "g": 0.2, "v": 0.1, "rate": 0.1, "beta": 0.9}, "-0.471").said
    )


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("bayes", "15.4%"), ("bayes", "0,154"), ("bayes", r"\frac{2}{13}"), ("bayes", "P = 0.154"),
        ("bayes", "2/13 ≈ 0.154"),
        ("sigmoid-slope", "σ(z)(1-σ(z))"), ("sigmoid-slope", "σ(1 - σ)"),
        ("sigmoid-slope", "sigmoid(z) - sigmoid(z)^2"),
        ("sigmoid-slope", r"\frac{e^{-z}}{(1+e^{-z})^2}"), ("sigmoid-slope", "1/(2 + e^z + e^-z)"),
        ("squared-error-slope", "2x²w − 2xy"), ("squared-error-slope", "dL/dw = 2x(wx-y)"),
        ("squared-error-slope", "-2x(y - w x)"),
        ("kv-cache-size", "2LGCSb"), ("kv-cache-size", "2 · L · G · C · S · b"), ("softmax-jacobian", "−ab"),
        ("lora-size", "r(n+d)"),
    ],
)  # fmt: skip
def test_right_answers_in_many_ways_of_writing(name: str, answer: str) -> None:
    numbers = {"prior": 0.01, "found": 0.9, "false_alarm": 0.05}
    problem = PROBLEMS[name]
    assert check(problem, numbers if name == "bayes" else problem.draw(np.random.default_rng(0)), answer).right


@pytest.mark.parametrize("write", ["{:,.0f}", "{:.0f}", "{:,.0f} parameters", "N = {:,.0f}"])
def test_a_count_may_be_grouped_or_rounded_but_not_short_of_a_part(write: str) -> None:
    problem = PROBLEMS["parameter-count"]
    numbers = {"layers": 12, "heads": 4, "d_model": 512, "d_ff": 2048, "vocab": 8000, "context": 512}
    total = problem.solve(**numbers)[-1].value
    assert isinstance(total, float)
    assert check(problem, numbers, write.format(total)).right and check(problem, numbers, f"{total / 1e6:.2f}M").right
    without_norms = total - 25 * 2 * 512  # 0.06% of it
    assert check(problem, numbers, write.format(without_norms)).said == "the norms are missing"
    assert not check(problem, numbers, f"{1.02 * total / 1e6:.2f}M").right


def test_memory_may_be_in_bytes_or_their_multiples() -> None:
    problem, numbers = PROBLEMS["attention-cost"], {"tokens": 2048, "head_dim": 64, "bytes_each": 4}
    assert all(
        check(problem, numbers, text).right
        for text in ("16777216", "16,777,216", "16 MiB", "16.8 MB", "2^24", "2**24 bytes")
    )
    assert not any(check(problem, numbers, text).right for text in ("4 MiB", "16", "16 GiB", "8 MiB"))
