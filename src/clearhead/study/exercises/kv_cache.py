"""A cache of keys and values that gives, token by token, what full attention gives."""

from typing import Any

import numpy as np

from clearhead.reference.attention import attention, causal_mask
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, w_q: np.ndarray, w_k: np.ndarray, w_v: np.ndarray, chunks: list[int]) -> tuple[Any, Any]:
    T = x.shape[0]
    y = attention(x @ w_q, x @ w_k, x @ w_v, causal_mask(T, T))
    return y, y


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
and values of old tokens are kept, not computed again: a test erases old tokens from whatever else the cache keeps.
""",
    signature='''
class KVCache:
    def __init__(self, w_q, w_k, w_v):
        """Matrices of shape [D, C]: the keys of x are x @ w_k."""
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
    outputs=("attention", "attention once the tokens of earlier calls are erased"),
    drive="""
def erase(state, old):
    # Overwrite the rows of old wherever they lie in what the solution keeps: who has keys and values needs them no more.
    left, seen = [state], set()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if hasattr(part, "untyped_storage"):
            part = part.detach().numpy()
        if isinstance(part, np.ndarray):
            if part.dtype.kind == "f" and part.flags.writeable:
                for view in (part, part.T):
                    if view.ndim > 0 and view.shape[-1] == old.shape[-1]:
                        view[np.isclose(view[..., None, :], old, rtol=1e-6, atol=0).all(-1).any(-1)] = np.nan
        elif isinstance(part, list) and any(len(part) == len(row) and part == row for row in old.tolist()):
            part[:] = [float("nan")] * len(part)
        elif isinstance(part, dict):
            left += part.values()
        elif isinstance(part, (list, tuple, set)) or type(part).__name__ == "deque":
            left += part
        elif "answer" in (type(part).__module__, getattr(part, "__module__", "")):  # of the solution's own making
            left += [value for name, value in getattr(part, "__dict__", {}).items() if not name.startswith("__")]
            left += [getattr(part, name, None) for name in getattr(type(part), "__slots__", ())]
            for cell in getattr(part, "__closure__", None) or ():
                try:
                    left.append(cell.cell_contents)
                except ValueError:
                    pass

def drive(learner, x, w_q, w_k, w_v, chunks):
    def rows(forgetful):
        cache, made, first = learner.KVCache(w_q, w_k, w_v), [], 0
        for size in chunks:
            part = x[first : first + size] + 0.0
            first += size
            made.extend(list(cache.step(part)))
            if forgetful:
                kept = [value for name, value in vars(learner).items() if not name.startswith("__")]
                erase([cache, *kept], np.asarray(x[:first]))
        return np.stack([np.asarray(row) for row in made])
    return rows(False), rows(True)
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
        "scores are divided by √D of the model, not by √C of the head": ("np.sqrt(q.shape[-1])", "np.sqrt(x.shape[-1])"),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[-1])", ""),
        "softmax runs over the queries, not over the keys": (
            "z.max(-1, keepdims=True)", "z.max()", "p.sum(-1, keepdims=True)", "p.sum(0, keepdims=True)"
        ),
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
