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
    assert verdict.said[-1] == "17 of 17 cases fail"


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


LAYER_NORM = load("layer-norm-backward")


def test_an_epsilon_that_does_not_belong_there_is_told_as_such() -> None:
    source = SOFTMAX.solution.replace("e.sum(-1, keepdims=True)", "(e.sum(-1, keepdims=True) + 1e-8)")
    for seed in range(5):
        verdict = grade(SOFTMAX, source, run_here, seed)
        assert not verdict.passed and "an epsilon that the formula lacks" in verdict.said[0]
    assert grade(SOFTMAX, source.replace("1e-8", "1e-13"), run_here, 0).passed


def test_half_precision_is_told_as_rounding() -> None:
    source = SOFTMAX.solution.replace("np.exp(z -", "np.exp(z.astype(np.float16) -", 1).replace(
        "- z.max", "- z.astype(np.float16).max"
    )
    assert "float16 rounds too coarsely" in said(source)
    source = SOFTMAX.torch.replace("def softmax(z):", "def softmax(z):\n    z = z.bfloat16()")
    assert "bfloat16 rounds too coarsely" in said(source)


@pytest.mark.parametrize(
    "source",
    [
        "def softmax(*args):\n    return inner(*args)", "def softmax(**given):\n    return inner(given['z'])",
        "def softmax(logits, axis=-1):\n    return inner(logits)", "def softmax(scores, /):\n    return inner(scores)",
        "def softmax(*, z):\n    return inner(z)", "softmax = lambda x: inner(x)", "import functools\nsoftmax = functools.partial(inner)",
        "class Softmax:\n    def __call__(self, x):\n        return inner(x)\nsoftmax = Softmax()",
        "def softmax(z):\n    return inner(z).tolist()", "def softmax(z):\n    return tuple(map(tuple, inner(z).tolist()))",
        "def softmax(z):\n    return list(inner(z))", "def softmax(z):\n    return inner(np.asfortranarray(z))",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    z: 'np.ndarray'\ndef softmax(z):\n    return inner(A(z).z)",
    ],
)  # fmt: skip
def test_any_style_of_function_is_called_as_it_wants(source: str) -> None:
    text = f"from __future__ import annotations\n{SOFTMAX.solution.replace('def softmax', 'def inner')}\n{source}\n"
    assert said(text) == ""


def test_arguments_may_have_other_names_or_another_order() -> None:
    body = LAYER_NORM.solution
    renamed = (
        "def layer_norm_backward(inputs, weight, epsilon, grad):\n    return inner(inputs, weight, epsilon, grad)\n"
    )
    moved = "def layer_norm_backward(dy, x, gain, eps):\n    return inner(x, gain, eps, dy)\n"
    partly = "def layer_norm_backward(dy, inputs, weight, eps):\n    return inner(inputs, weight, eps, dy)\n"
    for source in (renamed, moved, partly):
        text = body.replace("def layer_norm_backward", "def inner") + source
        assert said(text, LAYER_NORM) == "", source


def test_results_may_be_named() -> None:
    body = LAYER_NORM.solution.replace("def layer_norm_backward", "def inner")
    call = "dx, dgain, dbias = inner(x, gain, eps, dy)\n    return "
    for result, top in (
        ("dict(dbias=dbias, dx=dx, dgain=dgain)", ""), ("[dx, dgain.tolist(), dbias]", ""),
        ("G(dx, dgain, dbias)", "from collections import namedtuple\nG = namedtuple('G', 'dx dgain dbias')\n"),
        ("G(dx, dgain, dbias)", "from dataclasses import dataclass\n@dataclass\nclass G:\n    dx: object\n    dgain: object\n    dbias: object\n"),
    ):  # fmt: skip
        assert (
            said(f"{body}\n{top}def layer_norm_backward(x, gain, eps, dy):\n    {call}{result}\n", LAYER_NORM) == ""
        ), result


def test_a_torch_solution_makes_tensors_without_naming_a_type() -> None:
    preallocated = """
import torch
def softmax(z):
    out = torch.zeros(z.shape[0], z.shape[1])
    for i, row in enumerate(z):
        e = torch.exp(row - row.max())
        out[i] = (torch.eye(len(row)) @ e) / e.sum()
    return out
"""
    assert said(preallocated) == ""
    single = preallocated.replace("out = ", "z = z.float()\n    out = ")
    assert said(single) == ""
    assert torch.get_default_dtype() == torch.float32  # put back


def test_a_file_may_import_both_libraries() -> None:
    assert said(f"import torch\n{SOFTMAX.solution}") == "" and said(f"import numpy as np\n{SOFTMAX.torch}") == ""


def test_values_without_gradients_are_right_unless_cut_by_hand() -> None:
    assert said(SOFTMAX.torch.replace("def softmax", "@torch.no_grad()\ndef softmax")) == ""
    listed = "import torch\nimport math\ndef softmax(z):\n    rows = [[math.exp(v - max(r)) for v in r] for r in z.tolist()]\n"
    assert said(f"{listed}    return torch.tensor([[v / sum(r) for v in r] for r in rows])\n") == ""
