"""A cache of keys and values that gives, token by token, what full attention gives."""

from typing import Any

import numpy as np

from clearhead.reference.attention import attention, causal_mask
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, w_q: np.ndarray, w_k: np.ndarray, w_v: np.ndarray, chunks: list[int]) -> tuple[Any, int]:
    T = x.shape[0]
    return attention(x @ w_q, x @ w_k, x @ w_v, causal_mask(T, T)), T


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    chunks: list[int] = []
    while sum(chunks) < n.T:
        chunks.append(int(rng.integers(1, n.T - sum(chunks), endpoint=True)) if rng.random() < 0.5 else 1)
    return {"chunks": chunks}


exercise = Exercise(
    title="A KV cache",
    section="Inference",
    statement="""
Attention for a text that grows. step(x) gets T new tokens (one, or several in a chunk) and returns for each of them its
attention over all tokens so far, itself among them but none after it: softmax(q k^T / sqrt(C)) v. The keys
and values of old tokens are kept, not computed again: a test counts how many rows are multiplied by w_k and w_v.
""",
    signature='''
class KVCache:
    def __init__(self, w_q, w_k, w_v):
        """Matrices of shape [D, C]. Project with self.k = x @ w_k and so on."""
        raise NotImplementedError

    def step(self, x: "float[T, D]") -> "float[T, C]":
        raise NotImplementedError
''',
    sizes={"T": (2, 8), "D": (2, 5), "C": (2, 5)},
    draw=lambda rng, n: {
        "x": rng.normal(size=(n.T, n.D)), **{name: rng.normal(size=(n.D, n.C)) for name in ("w_q", "w_k", "w_v")},
        **_draw(rng, n),
    },
    oracle=_oracle,
    outputs=("attention", "rows multiplied by w_k"),
    drive="""
class Counted:
    # Stands for a matrix: x @ Counted(w) is x @ w, with the rows of x counted.
    __array_ufunc__ = None
    def __init__(self, w):
        self.w, self.rows, self.shape = w, 0, w.shape
    def __rmatmul__(self, x):
        self.rows += x.shape[0] if x.ndim > 1 else 1
        return x @ self.w
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("matmul", "__matmul__", "__rmatmul__"):
            x, w = args if isinstance(args[1], cls) else args[::-1]
            return w.__rmatmul__(x)
        return NotImplemented

def drive(learner, x, w_q, w_k, w_v, chunks):
    k, v = Counted(w_k), Counted(w_v)
    cache, made, first = learner.KVCache(w_q, k, v), [], 0
    for size in chunks:
        part = cache.step(x[first : first + size])
        made.extend(list(part))
        first += size
    rows = np.stack([np.asarray(row) for row in made])
    return rows, max(k.rows, v.rows)
""",
    hints=(
        "Keys and values of earlier tokens do not depend on later ones. What has to be kept between calls?",
        "Project the new tokens alone, append to the kept keys and values, and attend with the new queries.",
        "With S tokens in all and T new ones, new token t may see the keys 0 to S - T + t: np.tri(T, S, S - T).",
    ),
    solution="""
import numpy as np

class KVCache:
    def __init__(self, w_q, w_k, w_v):
        self.w_q, self.w_k, self.w_v = w_q, w_k, w_v
        self.k = self.v = None

    def step(self, x):
        q, k, v = x @ self.w_q, x @ self.w_k, x @ self.w_v
        self.k = k if self.k is None else np.concatenate((self.k, k))
        self.v = v if self.v is None else np.concatenate((self.v, v))
        T, S = len(q), len(self.k)
        z = q @ self.k.T / np.sqrt(q.shape[-1])
        z = np.where(np.tri(T, S, S - T, dtype=bool), z, -np.inf)
        p = np.exp(z - z.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ self.v
""",
    torch="""
import torch

class KVCache:
    def __init__(self, w_q, w_k, w_v):
        self.w = w_q, w_k, w_v
        self.k = self.v = None

    def step(self, x):
        q, k, v = (x @ w for w in self.w)
        self.k = k if self.k is None else torch.cat((self.k, k))
        self.v = v if self.v is None else torch.cat((self.v, v))
        T, S = len(q), len(self.k)
        mask = torch.ones(T, S, dtype=torch.bool).tril(S - T)
        z = (q @ self.k.T / q.shape[-1] ** 0.5).masked_fill(~mask, float("-inf"))
        return z.softmax(-1) @ self.v
""",
    wrong={
        "nothing is attended to: each token gets its own value": (
            "p / p.sum(-1, keepdims=True) @ self.v", "v"
        ),
        "the cache is forgotten: only the tokens of the last call are seen": (
            "k if self.k is None else np.concatenate((self.k, k))", "k",
            "v if self.v is None else np.concatenate((self.v, v))", "v",
        ),
        "within a chunk, tokens attend to the future": ("np.tri(T, S, S - T, dtype=bool)", "np.ones((T, S), bool)"),
        "the mask is aligned to the first key, so a new token sees the oldest keys only": (
            "np.tri(T, S, S - T,", "np.tri(T, S, 0,"
        ),
        "values are appended in front, keys behind": ("np.concatenate((self.v, v))", "np.concatenate((v, self.v))"),
        "everything is computed again at every step: no cache": '''
import numpy as np

class KVCache:
    def __init__(self, w_q, w_k, w_v):
        self.w, self.x = (w_q, w_k, w_v), None

    def step(self, x):
        self.x = x if self.x is None else np.concatenate((self.x, x))
        T, S = len(x), len(self.x)
        q, k, v = (self.x @ w for w in self.w)
        z = np.where(np.tri(S, dtype=bool), q @ k.T / np.sqrt(q.shape[-1]), -np.inf)
        p = np.exp(z - z.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True) @ v)[S - T :]
''',
    },
)  # fmt: skip
