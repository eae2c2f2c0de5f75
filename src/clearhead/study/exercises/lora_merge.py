"""A LoRA adapter merged into its weight."""

from clearhead.reference.low_rank import merge, merge_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Merging a LoRA adapter",
    section="Fine-tuning",
    statement="""
The layer x w + (alpha / r) (x a) b, a being of rank r, becomes one matrix: return it. Rows of x are examples, as in
x w.
""",
    signature='def lora_merge(w: "float[D, F]", a: "float[D, R]", b: "float[R, F]", alpha: float) -> "float[D, F]":',
    sizes={"R": (2, 3), "D": (3, 5), "F": (3, 5)},
    draw=lambda rng, n: {"alpha": float(rng.choice([1.0, 4.0, 8.0, 16.0]))},
    oracle=merge,
    vjp=lambda dy, w, a, b, alpha: dict(zip(("w", "a", "b"), merge_vjp(w, a, b, alpha, dy), strict=True)),
    hints=(
        "Which matrix W' gives x W' equal to the layer for every x?",
        "x a b is x (a b): a has D rows and b has F columns. The rank r is a.shape[1].",
        "w + alpha / a.shape[1] * (a @ b)",
    ),
    solution="""
import numpy as np

def lora_merge(w, a, b, alpha):
    return w + alpha / a.shape[1] * (a @ b)
""",
    torch="""
import torch

def lora_merge(w, a, b, alpha):
    return torch.addmm(w, a, b, alpha=alpha / b.shape[0])
""",
    wrong={
        "alpha is not divided by the rank": ("alpha / a.shape[1]", "alpha"),
        "alpha is divided by the width, not by the rank": ("a.shape[1]", "a.shape[0]"),
        "alpha is divided by the root of the rank (that is rsLoRA)": (
            "alpha / a.shape[1]",
            "alpha / np.sqrt(a.shape[1])",
        ),
        "the adapter is not merged at all": ("w + alpha / a.shape[1] * (a @ b)", "w * 1.0"),
        "the weight is replaced by the adapter": ("w + alpha", "alpha"),
        "the weight is scaled too": ("w + alpha / a.shape[1] * (a @ b)", "alpha / a.shape[1] * (w + a @ b)"),
    },
)
