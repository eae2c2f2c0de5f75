"""A whole transformer block, as in GPT-2."""

from typing import Any

import numpy as np

from clearhead.reference.attention import causal_mask
from clearhead.reference.blocks import Block, Norm, pre_ln_block
from clearhead.reference.mlp import MLP
from clearhead.reference.multi_head import Heads
from clearhead.study.practice.exercise import Exercise


def _oracle(
    x: np.ndarray, w_qkv: np.ndarray, w_o: np.ndarray, w_up: np.ndarray, w_down: np.ndarray, heads: int
) -> np.ndarray:
    T, D = x.shape
    C = D // heads
    q, k, v = (w.reshape(D, heads, C) for w in np.split(w_qkv, 3, 1))
    norm = Norm(np.ones(D), np.zeros(D))
    mlp = MLP(w_up, np.zeros(w_up.shape[1]), w_down, np.zeros(D))
    return pre_ln_block(x, Block(Heads(q, k, v, w_o.reshape(heads, C, D)), norm, mlp, norm), causal_mask(T, T))


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    D = n.H * n.C
    return {
        "x": rng.normal(size=(n.T, D)), "w_qkv": rng.normal(size=(D, 3 * D)), "w_o": rng.normal(size=(D, D)),
        "w_up": rng.normal(size=(D, 2 * D)), "w_down": rng.normal(size=(2 * D, D)), "heads": n.H,
    }  # fmt: skip


exercise = Exercise(
    title="A GPT block",
    section="Transformer blocks",
    statement="""
A block with the norms in front, as in GPT-2: x = x + attention(norm(x)), then x = x + mlp(norm(x)). norm is layer norm
without weight and bias, eps 1e-5. attention is causal, with `heads` heads of C = D / heads channels: [q, k, v] =
x w_qkv side by side, each with its heads in order; scores / sqrt(C); the heads side by side go through w_o. The MLP is
gelu(x w_up) w_down with GPT-2's GELU, z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2. No other biases.
""",
    signature='def gpt_block(x: "float[T, D]", w_qkv, w_o, w_up, w_down, heads: int) -> "float[T, D]":',
    sizes={"T": (2, 4), "H": (2, 3), "C": (2, 3)},
    draw=_draw,
    oracle=_oracle,
    forbidden=("torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention", "torch.nn.TransformerEncoderLayer"),
    hints=(
        "Two sublayers, each of them norm, then work, then adding to what came in.",
        "q, k, v = split(norm(x) @ w_qkv, 3); each to [H, T, C], attention per head, back to [T, D], @ w_o.",
        "Write norm, attention and gelu as functions of their own; the block is then two lines. In torch gelu takes approximate='tanh'.",
    ),
    solution="""
import numpy as np

def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

def attention(x, w_qkv, w_o, heads):
    T, D = x.shape
    q, k, v = (y.reshape(T, heads, -1).swapaxes(0, 1) for y in np.split(x @ w_qkv, 3, -1))
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    z = np.where(np.tri(T, dtype=bool), z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(T, D) @ w_o

def gelu(z):
    return z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2

def gpt_block(x, w_qkv, w_o, w_up, w_down, heads):
    x = x + attention(norm(x), w_qkv, w_o, heads)
    return x + gelu(norm(x) @ w_up) @ w_down
""",
    torch="""
import torch
import torch.nn.functional as F

def gpt_block(x, w_qkv, w_o, w_up, w_down, heads):
    T, D = x.shape
    q, k, v = (F.layer_norm(x, (D,)) @ w_qkv).view(T, 3, heads, D // heads).permute(1, 2, 0, 3)
    z = q @ k.mT / (D // heads) ** 0.5
    z = z.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), float("-inf"))
    x = x + (z.softmax(-1) @ v).transpose(0, 1).reshape(T, D) @ w_o
    return x + F.gelu(F.layer_norm(x, (D,)) @ w_up, approximate="tanh") @ w_down
""",
    wrong={
        "the norms come after the sublayers, as in the original transformer": (
            "    x = x + attention(norm(x), w_qkv, w_o, heads)\n    return x + gelu(norm(x) @ w_up) @ w_down",
            "    x = norm(x + attention(x, w_qkv, w_o, heads))\n    return norm(x + gelu(x @ w_up) @ w_down)",
        ),
        "the first residual is missing": ("x = x + attention", "x = attention"),
        "the second residual is missing": ("return x + gelu", "return gelu"),
        "the residual adds the normalized input, not the input": ("    x = x + attention(norm(x)", "    x = norm(x)\n    x = x + attention(x"),
        "the second norm is missing": ("gelu(norm(x) @ w_up)", "gelu(x @ w_up)"),
        "attention and MLP both read the same input: the blocks are parallel": (
            "    x = x + attention(norm(x), w_qkv, w_o, heads)\n    return x + gelu", "    y = x + attention(norm(x), w_qkv, w_o, heads)\n    return y + gelu"
        ),
        "positions attend to the future: no causal mask": ("np.tri(T, dtype=bool)", "True"),
        "scores are divided by √D of the model, not by √C of a head": ("np.sqrt(q.shape[-1])", "np.sqrt(D)"),
        "the heads are interleaved: channel i goes to head i mod H": (
            "y.reshape(T, heads, -1).swapaxes(0, 1)", "y.reshape(T, -1, heads).transpose(2, 0, 1)", ".swapaxes(0, 1).reshape(T, D) @ w_o", ".transpose(1, 2, 0).reshape(T, D) @ w_o"
        ),
        "the heads are not brought back side by side before w_o": ("@ v).swapaxes(0, 1).reshape", "@ v).reshape"),
        "GELU is the exact one, z Phi(z), not GPT-2's": (
            "z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2", "z * (1 + np.vectorize(math.erf)(z / np.sqrt(2))) / 2", "import numpy as np\n", "import math\nimport numpy as np\n"
        ),
        "ReLU takes the place of GELU": ("z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2", "np.maximum(z, 0)"),
        "GELU lacks its factor 1/2": ("z**3))) / 2", "z**3)))"),
        "q, k and v are interleaved for each head, not side by side": (
            "(y.reshape(T, heads, -1).swapaxes(0, 1) for y in np.split(x @ w_qkv, 3, -1))", "(x @ w_qkv).reshape(T, heads, 3, -1).transpose(2, 1, 0, 3)"
        ),
    },
)  # fmt: skip
