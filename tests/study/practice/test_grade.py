"""The grader beyond values: gradients, inputs left alone, memory, calls inside libraries, what is shown."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from clearhead.sandbox import codec
from clearhead.study.practice.exercise import Exercise, load
from clearhead.study.practice.grade import grade
from clearhead.study.practice.runner import Outcome, run_here

SOFTMAX = load("softmax")
LIMITED = dataclasses.replace(SOFTMAX, memory=({"B": 64, "K": 256}, 400_000), vjp=None)  # 3 arrays of 131,072 bytes


def said(source: str, exercise: Exercise = SOFTMAX) -> str:
    verdict = grade(exercise, source, run_here, seed=0)
    return "" if verdict.passed else "; ".join(verdict.said)


def test_a_gradient_must_flow() -> None:
    cut = SOFTMAX.torch.replace("e = torch.exp(z", "e = torch.exp(z.detach()", 1).replace("z.amax", "z.detach().amax")
    assert "no gradient flows back to z" in said(cut)
    half = SOFTMAX.torch.replace("e.sum(-1, keepdim=True)", "e.sum(-1, keepdim=True).detach()")
    assert "the gradient of z" in said(half)


def test_inputs_are_left_alone() -> None:
    rude = SOFTMAX.solution.replace("    e =", "    z -= z.max(-1, keepdims=True)\n    e =")
    assert "writes into its input z" in said(rude)


def test_memory_is_measured() -> None:
    assert said(SOFTMAX.solution, LIMITED) == "" and said(SOFTMAX.torch, LIMITED) == ""
    for line in ("waste = [z + 1 for _ in range(4)]", "waste = [z * 2, z * 3, z * 4]"):
        for source in (SOFTMAX.solution, SOFTMAX.torch):
            assert "were alive at once" in said(source.replace("    e =", f"    {line}\n    e ="), LIMITED)


def test_a_forbidden_call_within_another_is_noticed() -> None:
    hidden = "import torch\ndef softmax(z):\n    return getattr(torch, 'soft' + 'max')(z, -1)\n"
    assert said(hidden) == "torch.softmax may not be called, and was"
    tried = "    try:\n        return z.softmax(-1)\n    except RuntimeError:\n        return z\n"
    caught = f"import torch\ndef softmax(z):\n{tried}"
    assert said(caught) == "torch.Tensor.softmax may not be called, and was"
    assert torch.softmax(torch.zeros(2), -1).tolist() == [0.5, 0.5]  # put back


def test_what_is_shown_is_the_smallest_case() -> None:
    verdict = grade(SOFTMAX, "import numpy as np\ndef softmax(z):\n    return z * 0 + 2\n", run_here, seed=0)
    assert verdict.shown.splitlines()[0].startswith("z         [[") and "wanted    [[1.]]" in verdict.shown
    assert verdict.said[-1] == "15 of 15 cases fail"


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def softmax(z:\n", "line 1: this is no Python"),
        ("import numpy as np\nx = 1\n", "softmax"),
        (
            "import numpy as np\ndef softmax(z):\n    return z / undefined\n",
            "name 'undefined' is not defined (line 3: return z / undefined)",
        ),
        ("import numpy as np\n1 / 0\n", "ZeroDivisionError while the file is loaded"),
        ("x = 1\0", "no Python"),
    ],
)
def test_a_file_that_does_not_run(source: str, part: str) -> None:
    assert part in said(source)


def test_the_same_seed_draws_the_same_cases() -> None:
    wrong = "import numpy as np\ndef softmax(z):\n    return z\n"
    assert grade(SOFTMAX, wrong, run_here, 3) == grade(SOFTMAX, wrong, run_here, 3)
    assert grade(SOFTMAX, wrong, run_here, 3) != grade(SOFTMAX, wrong, run_here, 4)
    assert np.isfinite(SOFTMAX.tolerance)


ODD: list[object] = [
    None, True, 1e308, math.nan, 10**2000, "\ud800\x1b[2J", "x" * 10**6, b"a", [], {}, [1, [2, 3]], {"a": [1]},
    {None: 1}, np.zeros((0, 3)), np.ones((2, 2), bool), np.full((2, 3), np.finfo(np.longdouble).max),
    np.zeros((1,) * 30), [None, "a"], np.full((4, 3), np.nan), np.full(3, 2**64 - 1, "u8"), [0] * 99_000,
    {i: i for i in range(900)}, [2**64, 1.5], (np.zeros((2, 3)), np.zeros((3, 2))),
]  # fmt: skip


@pytest.mark.parametrize("name", ["softmax", "layer-norm-backward", "train-bpe", "kv-cache", "tool-calls"])
def test_whatever_comes_back_gets_a_verdict_that_fits_a_screen(name: str) -> None:
    for value in ODD:
        exercise = load(name)
        outcome = {"value": codec.unpack(codec.pack(value)), "changed": [], "peak": 0}

        def answered(request: dict, seconds: float, outcome: dict = outcome) -> Outcome:
            return Outcome(cases={place: outcome for place, _ in request["cases"]})

        verdict = grade(exercise, exercise.solution, answered, seed=0)
        assert not verdict.passed and verdict.said
        text = "".join((*verdict.said, verdict.shown))
        assert len(text.encode()) < 30_000 and all(c.isprintable() or c in "\n\t" for c in text)
