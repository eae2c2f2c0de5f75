"""The step of online softmax: one more block of logits."""

import numpy as np

from clearhead.reference.softmax import log_sum_exp
from clearhead.study.practice.exercise import Exercise


def _oracle(z: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    m = z.max(-1)
    return m, np.exp(log_sum_exp(z) - np.where(np.isneginf(m), 0.0, m))


exercise = Exercise(
    title="Online softmax",
    section="Long sequences",
    statement="""
A row of logits comes in blocks, and only two numbers per row are kept between them: m, the largest so far, and l,
the sum of exp(z - m) so far. They start at m = -inf and l = 0. Take in one more block and return the new (m, l). A
block may hold -inf (masked logits), even throughout: then no NaN may arise.
""",
    signature='def online_softmax(m: "float[B]", l: "float[B]", block: "float[B, K]") -> "m, l":',
    draw=lambda rng, n: {"z": 3 * rng.normal(size=(n.B, n.S)), "block": int(rng.integers(1, 4))},
    sizes={"B": (1, 3), "S": (2, 9)},
    edges=lambda rng: [
        {"z": np.array([[-np.inf, -np.inf, 1.0, 2.0], [0.5, 1.0, -np.inf, -np.inf]]), "block": 2},
        {"z": np.array([[1e4, -1e4, 1e4 + 1], [-1e4, -1e4 - 1, -1e4 - 2]]), "block": 1},
        {"z": np.full((1, 4), -np.inf), "block": 2},
    ],
    oracle=_oracle,
    outputs=("m", "l"),
    drive="""
def drive(learner, z, block):
    m, l = z[:, 0] * 0, z[:, 0] * 0
    m, l = m * 0, l * 0
    m[:], l[:] = float("-inf"), 0.0
    for start in range(0, z.shape[1], block):
        m, l = learner.online_softmax(m, l, z[:, start : start + block])
    return m, l
""",
    hints=(
        "When the maximum grows from m to m', every term summed so far must shrink by exp(m - m').",
        "new_m = max(m, block.max(-1)); l = l exp(m - new_m) + sum exp(block - new_m).",
        "exp(-inf - -inf) is NaN: where new_m is -inf, subtract 0 in its place.",
    ),
    solution="""
import numpy as np

def online_softmax(m, l, block):
    new = np.maximum(m, block.max(-1))
    safe = np.where(np.isneginf(new), 0.0, new)
    return new, l * np.exp(m - safe) + np.exp(block - safe[:, None]).sum(-1)
""",
    torch="""
import torch

def online_softmax(m, l, block):
    new = torch.maximum(m, block.amax(-1))
    safe = new.masked_fill(new == float("-inf"), 0.0)
    return new, l * (m - safe).exp() + (block - safe[:, None]).exp().sum(-1)
""",
    wrong={
        "the old sum is not rescaled when the maximum grows": ("l * np.exp(m - safe)", "l"),
        "the old sum is rescaled the wrong way round": ("l * np.exp(m - safe)", "np.where(l > 0, l * np.exp(np.where(l > 0, safe - m, 0)), 0)"),
        "a block of -inf gives NaN: -inf - -inf": ("np.where(np.isneginf(new), 0.0, new)", "new"),
        "the maximum of the last block replaces that of all": ("np.maximum(m, block.max(-1))", "block.max(-1)"),
        "the old sum is dropped": ("l * np.exp(m - safe) + ", ""),
        "no maximum is taken off, so large logits overflow": (
            "np.where(np.isneginf(new), 0.0, new)", "0 * np.where(np.isneginf(new), 0.0, new)", "l * np.exp(m - safe)", "l"
        ),
    },
)  # fmt: skip
