"""Multi-head latent attention (MLA)."""

from typing import Any

import numpy as np

from clearhead.reference.attention import causal_mask
from clearhead.reference.latent_attention import latent_attention
from clearhead.study.practice.exercise import Exercise


def _oracle(x: Any, w_q: Any, w_down: Any, w_uk: Any, w_uv: Any, w_o: Any, heads: int) -> np.ndarray:
    T, D = x.shape
    R, C = w_uk.shape[0], w_q.shape[1] // heads
    return latent_attention(
        x, w_q.reshape(D, heads, C), w_down, w_uk.reshape(R, heads, C), w_uv.reshape(R, heads, C), w_o.reshape(heads, C, D),
        causal_mask(T, T),
    )  # fmt: skip


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    F = n.H * n.C
    shapes = {
        "x": (n.T, n.D),
        "w_q": (n.D, F),
        "w_down": (n.D, n.R),
        "w_uk": (n.R, F),
        "w_uv": (n.R, F),
        "w_o": (F, n.D),
    }
    return {name: rng.normal(size=shape) for name, shape in shapes.items()} | {"heads": n.H}


exercise = Exercise(
    title="Multi-head latent attention",
    section="Attention",
    statement="""
DeepSeek's MLA, without its RoPE part: every token is brought down to a vector c = x w_down of R numbers, the only thing
that a cache would keep, and keys and values of all heads are read from it, k = c w_uk and v = c w_uv. Queries are q = x
w_q. Then causal multi-head attention as usual: heads of C channels in order, scores / sqrt(C), the heads side by side
through w_o.
""",
    signature="""
def latent_attention(
    x: "float[T, D]", w_q: "float[D, HC]", w_down: "float[D, R]", w_uk: "float[R, HC]", w_uv: "float[R, HC]",
    w_o: "float[HC, D]", heads: int,
) -> "float[T, D]":
""",
    sizes={"T": (2, 4), "D": (3, 5), "H": (2, 3), "C": (2, 3), "R": (2, 4), "HC": (1, 1)},
    draw=_draw,
    oracle=_oracle,
    forbidden=("torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention"),
    hints=(
        "It is multi-head attention whose key and value matrices are products: w_down w_uk and w_down w_uv.",
        "Keys and values come from c, queries from x. Everything after that is ordinary.",
        "c = x @ w_down; q, k, v = x @ w_q, c @ w_uk, c @ w_uv; split into heads; causal softmax(q k^T / sqrt(C)) v; @ w_o.",
    ),
    solution="""
import numpy as np

def latent_attention(x, w_q, w_down, w_uk, w_uv, w_o, heads):
    T = len(x)
    c = x @ w_down
    q, k, v = (y.reshape(T, heads, -1).swapaxes(0, 1) for y in (x @ w_q, c @ w_uk, c @ w_uv))
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    z = np.where(np.tri(T, dtype=bool), z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(T, -1) @ w_o
""",
    torch="""
import torch

def latent_attention(x, w_q, w_down, w_uk, w_uv, w_o, heads):  # absorbed: keys and values are never formed
    T, (R, F) = len(x), w_uk.shape
    c = x @ w_down
    uk, uv = (w.view(R, heads, F // heads) for w in (w_uk, w_uv))
    q = torch.einsum("thc,rhc->htr", (x @ w_q).view(T, heads, -1), uk)
    z = q @ c.T / (F // heads) ** 0.5
    p = z.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf")).softmax(-1)
    return torch.einsum("htr,rhc->thc", p @ c, uv).reshape(T, F) @ w_o
""",
    wrong={
        "scores are divided by √R of the latent, not by √C of a head": ("np.sqrt(q.shape[-1])", "np.sqrt(c.shape[-1])"),
        "scores are divided by √D of the model, not by √C of a head": ("np.sqrt(q.shape[-1])", "np.sqrt(x.shape[-1])"),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(q.shape[-1])", ""),
        "keys and values read the same projection": ("c @ w_uv", "c @ w_uk"),
        "keys and values have changed places": ("c @ w_uk, c @ w_uv", "c @ w_uv, c @ w_uk"),
        "positions attend to the future: no causal mask": ("np.tri(T, dtype=bool)", "True"),
        "the heads are interleaved: channel i goes to head i mod H": (
            "y.reshape(T, heads, -1).swapaxes(0, 1)", "y.reshape(T, -1, heads).transpose(2, 0, 1)", ".swapaxes(0, 1).reshape(T, -1) @ w_o", ".transpose(1, 2, 0).reshape(T, -1) @ w_o"
        ),
        "the heads are not brought back side by side before w_o": ("@ v).swapaxes(0, 1).reshape", "@ v).reshape"),
        "softmax runs over the queries, not over the keys": ("z.max(-1, keepdims=True)", "z.max()", "p.sum(-1, keepdims=True)", "p.sum(-2, keepdims=True)"),
        "the last projection is missing": (".reshape(T, -1) @ w_o", ".reshape(T, -1) @ np.ones_like(w_o)"),
    },
)  # fmt: skip
