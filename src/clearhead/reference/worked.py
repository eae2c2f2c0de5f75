"""Pen-and-paper problems solved line by line: each function takes the numbers and gives the lines of its solution.

Every number in a line is computed by the formula that stands elsewhere in this package; here they are only told.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clearhead.reference import dense, normalization, optimizers, search_walk
from clearhead.reference.attention import attention_weights
from clearhead.reference.costs import Architecture, attention_matrix_bytes, parameter_table
from clearhead.reference.dense import Network, mean_squared_error, mean_squared_error_vjp
from clearhead.reference.probability import bayes
from clearhead.reference.softmax import softmax

Vector = Sequence[float]
Matrix = Sequence[Sequence[float]]


class Line(NamedTuple):
    """A quantity, how it is found with the numbers put in, and its value."""

    name: str
    how: str
    value: float | list | str


def gradient_descent(w: float = 5.0, x: float = 2.0, y: float = 2.0, rate: float = 0.1, steps: int = 3) -> list[Line]:
    """One weight, ŷ = w x, squared error.

    >>> [line.value for line in gradient_descent() if line.name.startswith("w")]
    [1.8, 1.16, 1.032]
    """
    lines = []
    for step in range(1, steps + 1):
        y_hat = w * x
        (dy_hat,), _ = mean_squared_error_vjp(np.array([y_hat]), np.array([y]), np.array(1.0))
        loss = mean_squared_error(np.array([y_hat]), np.array([y]))
        new = float(optimizers.sgd(np.array(w), dy_hat * x, rate))
        lines += [
            _line(f"ŷ, step {step}", f"w x = {say(w)} · {say(x)}", y_hat),
            _line("L", f"(ŷ - y)² = ({say(y_hat)} - {say(y)})²", loss),
            _line("dL/dŷ", f"2 (ŷ - y) = 2 · ({say(y_hat)} - {say(y)})", dy_hat),
            _line("dL/dw", f"dL/dŷ · x = {say(dy_hat)} · {say(x)}", dy_hat * x),
            _line("w", f"w - α dL/dw = {say(w)} - {say(rate)} · {say(dy_hat * x)}", new),
        ]
        w = new
    return lines


W1, W2 = ((0.5, -0.5), (0.5, 0.5)), ((1.0, 1.0),)


def mlp_forward(
    x: Vector = (1.0, 2.0), w1: Matrix = W1, w2: Matrix = W2, b1: Vector = (0.0, 0.0), b2: Vector = (0.0,)
) -> list[Line]:
    """z = W₁ x + b₁, h = ReLU(z), ŷ = W₂ h + b₂, columns as on paper.

    >>> [line.value for line in mlp_forward()]
    [[-0.5, 1.5], [0.0, 1.5], [1.5]]
    """
    net = _network(x, w1, w2, b1, b2)
    z, h, y_hat = dense.two_layer(np.array([x], float), net)
    return [
        _line("z", f"W₁ x + b₁ = {say(w1)} {say(x)} + {say(b1)}", z[0]),
        _line("h", f"max(z, 0) = max({say(z[0])}, 0)", h[0]),
        _line("ŷ", f"W₂ h + b₂ = {say(w2)} {say(h[0])} + {say(b2)}", y_hat[0]),
    ]


def mlp_backward(
    x: Vector = (1.0, 2.0),
    y: Vector = (1.0,),
    w1: Matrix = W1,
    w2: Matrix = W2,
    b1: Vector = (0.0, 0.0),
    b2: Vector = (0.0,),
) -> list[Line]:
    """The forward pass, the squared error, and the way back.

    >>> {line.name: line.value for line in mlp_backward()}["dL/dW₁"]
    [[0.0, 0.0], [1.0, 2.0]]
    """
    _fit("y", len(y), "rows of w2", len(w2))
    net, at, target = _network(x, w1, w2, b1, b2), np.array([x], float), np.array([y], float)
    forward = dense.two_layer(at, net)
    dy_hat, _ = mean_squared_error_vjp(forward.y_hat, target, np.array(1.0))
    back = dense.two_layer_backward(at, net, dy_hat)
    return [
        *mlp_forward(x, w1, w2, b1, b2),
        _line("L", "mean (ŷ - y)²", mean_squared_error(forward.y_hat, target)),
        _line("dL/dŷ", f"2 (ŷ - y) / {len(y)} = 2 · ({say(forward.y_hat[0])} - {say(y)}) / {len(y)}", dy_hat[0]),
        _line("dL/dW₂", f"dL/dŷ hᵀ = {say(dy_hat[0])} {say(forward.h[0])}ᵀ", back.dw_2.T),
        _line("dL/dh", f"W₂ᵀ dL/dŷ = {say(w2)}ᵀ {say(dy_hat[0])}", back.dh[0]),
        _line("dL/dz", f"dL/dh where z > 0, with z = {say(forward.z[0])}", back.dz[0]),
        _line("dL/dW₁", f"dL/dz xᵀ = {say(back.dz[0])} {say(x)}ᵀ", back.dw_1.T),
    ]


def momentum(w: float = 0.5, g: float = 0.2, v: float = 0.1, rate: float = 0.1, beta: float = 0.9) -> list[Line]:
    """One step of gradient descent with momentum.

    >>> [line.value for line in momentum()]
    [0.29, 0.471]
    """
    new_w, new_v = optimizers.momentum(np.array(w), np.array(g), np.array(v), rate, beta)
    return [
        _line("v", f"β v + g = {say(beta)} · {say(v)} + {say(g)}", new_v),
        _line("w", f"w - α v = {say(w)} - {say(rate)} · {say(new_v)}", new_w),
    ]


def layer_norm(x: Vector = (1.0, 2.0, 3.0), weight: Vector = (), dy: Vector = (), eps: float = 0.0) -> list[Line]:
    """Forward, and backward for a gradient dy of the result: by default 1 at the first place. The weight is 1 as well.

    >>> {line.name: line.value for line in layer_norm()}["dx"]
    [0.204124, -0.408248, 0.204124]
    """
    at = np.array(x, float)
    weights = np.array(weight, float) if len(weight) else np.ones(len(at))
    back = np.array(dy, float) if len(dy) else np.eye(len(at))[0]
    _fit("weight", len(weights), "x", len(at))
    _fit("dy", len(back), "x", len(at))
    mean, var, x_hat = normalization.standardize(at, eps)
    found = normalization.layer_norm_backward(at, weights, eps, back)
    return [
        _line("μ", f"mean of {say(x)}", mean[0]),
        _line("σ²", f"mean of (x - {say(mean[0])})²", var[0]),
        _line("x̂", f"(x - μ) / √(σ² + ε) = (x - {say(mean[0])}) / √{say(var[0] + eps)}", x_hat),
        _line("y", f"γ x̂ with γ = {say(weights)}", weights * x_hat),
        _line("dx̂", f"γ dy with dy = {say(back)}", found[0]),
        _line("dσ²", "-½ Σ dx̂ (x - μ) (σ² + ε)^-1.5", found[1][0]),
        _line("dμ", "-Σ dx̂ / √(σ² + ε)", found[2][0]),
        _line("dx", "dx̂ / √(σ² + ε) + 2 dσ² (x - μ) / D + dμ / D", found[3]),
    ]


def attention(
    q: Matrix = ((1.0, 0.0), (0.0, 1.0)),
    k: Matrix = ((1.0, 0.0), (0.0, 1.0)),
    v: Matrix = ((1.0, 2.0), (3.0, 4.0)),
) -> list[Line]:
    """softmax(Q Kᵀ / √d) V.

    >>> attention()[-1].value
    [[1.660477, 2.660477], [2.339523, 3.339523]]
    """
    query, key, value = (np.array(m, float) for m in (q, k, v))
    _fit("columns of q", len(q[0]), "columns of k", len(k[0]))
    _fit("rows of k", len(k), "rows of v", len(v))
    scores = query @ key.T
    weights = attention_weights(query, key)
    return [
        _line("Q Kᵀ", f"{say(q)} {say(k)}ᵀ", scores),
        _line("scaled", f"Q Kᵀ / √{query.shape[1]}", scores / np.sqrt(query.shape[1])),
        _line("weights", "softmax of every row", weights),
        _line("output", f"weights V with V = {say(v)}", weights @ value),
    ]


def softmax_by_hand(z: Vector = (1.0, 2.0, 3.0), scale: float = 10.0) -> list[Line]:
    """softmax of the numbers, and of `scale` times the numbers.

    >>> [line.value for line in softmax_by_hand()][2::3]
    [[0.090031, 0.244728, 0.665241], [0.0, 4.5e-05, 0.999955]]
    """
    lines = []
    for name, numbers in (("z", np.array(z, float)), (f"{say(scale)} z", scale * np.array(z, float))):
        shifted = np.exp(numbers - numbers.max())
        lines += [
            _line(f"e^({name} - max)", f"of {say(numbers)} - {say(numbers.max())}", shifted),
            _line("sum", " + ".join(say(e) for e in shifted), shifted.sum()),
            _line(f"softmax({name})", "each over the sum: only differences count", softmax(numbers)),
        ]
    return lines


def bayes_by_hand(prior: float = 0.01, found: float = 0.9, false_alarm: float = 0.05) -> list[Line]:
    """The chance of being ill after a positive test.

    >>> [line.value for line in bayes_by_hand()]
    [0.009, 0.0495, 0.0585, 0.153846]
    """
    posterior = bayes(np.array([prior, 1 - prior]), np.array([found, false_alarm]))[0]
    return [
        _line("ill and positive", f"{say(found)} · {say(prior)}", found * prior),
        _line("well and positive", f"{say(false_alarm)} · {say(1 - prior)}", false_alarm * (1 - prior)),
        _line("positive", "their sum", found * prior + false_alarm * (1 - prior)),
        _line("ill, if positive", "the first over the sum", posterior),
    ]


def mcts(simulations: int = 5, c: float = 1.0) -> list[Line]:
    """What is 17 × 24? Tree search with UCB1, iteration by iteration.

    >>> [line.value for line in mcts()][-1]
    '= 408'
    """
    iterations, answer = search_walk.walk(simulations, c)
    lines = []
    for n, iteration in enumerate(iterations, 1):
        for fork in iteration.forks:
            scores = ", ".join(f"{k} {'closed' if s is None else say(s)}" for k, s in fork.scores.items())
            lines.append(Line(f"{n}. at {fork.state}", "UCB1 scores", scores))
        born = ", ".join(f"{k} ({search_walk.TEXT[k]}) {say(v)}" for k, v in iteration.born.items())
        lines.append(Line(f"{n}. expand {iteration.leaf}", "new steps and their values", born or "nothing"))
    path = "none found" if answer is None else " → ".join(search_walk.TEXT.get(step, step) for step in answer)
    last = "none" if answer is None else search_walk.TEXT[answer[-1]]
    return [*lines, Line("path", "to the finished solution with the highest value", path), Line("answer", "", last)]


def parameter_count(
    layers: int = 12, heads: int = 12, d_model: int = 768, d_ff: int = 3072, vocab: int = 50257, context: int = 1024
) -> list[Line]:
    """A decoder with biases and layer norms, learned positions and a head that is the embedding, as GPT-2.

    >>> parameter_count()[-1].value
    124439808.0
    """
    if heads < 1 or d_model % heads:
        raise ValueError(f"d_model = {d_model} must be a multiple of heads = {heads}")
    shape = Architecture(
        vocab, d_model, layers, heads, heads, d_model // heads, d_ff, context,
        mlp="gelu", norm="layer", positions="learned", biases="all", tied=True,
    )  # fmt: skip
    table = parameter_table(shape)
    how = {
        "embedding": f"V d = {vocab} · {d_model}",
        "positions": f"T d = {context} · {d_model}",
        "attention": f"L (4 d² + 4 d) = {layers} · (4 · {d_model}² + 4 · {d_model})",
        "mlp": f"L (2 d f + f + d) = {layers} · (2 · {d_model} · {d_ff} + {d_ff} + {d_model})",
        "norms": f"(2 L + 1) 2 d = {2 * layers + 1} · 2 · {d_model}",
    }
    return [*(_line(part, how[part], table[part]) for part in how), _line("total", "the sum", sum(table.values()))]


def attention_cost(tokens: int = 8192, head_dim: int = 128, bytes_each: int = 4) -> list[Line]:
    """One head over a sequence: its arithmetic, and the memory of its scores against that of what goes in.

    >>> [line.value for line in attention_cost()][1:]
    [268435456.0, 4194304.0, 64.0]
    """
    one = Architecture(1, head_dim, 1, 1, 1, head_dim, 1, tokens)
    scores = attention_matrix_bytes(one, 1, tokens, bytes_each)
    each = tokens * head_dim * bytes_each
    return [
        _line("FLOPs", f"2 products of 2 N² d = 4 · {tokens}² · {head_dim}", 4 * tokens**2 * head_dim),
        _line("scores, bytes", f"N² · {bytes_each}", scores),
        _line("Q, K or V, bytes", f"N d · {bytes_each}", each),
        _line("ratio", "N / d", scores / each),
    ]


def _network(x: Vector, w1: Matrix, w2: Matrix, b1: Vector, b2: Vector) -> Network:
    """Rows for samples: the transposes of the matrices on paper. ValueError: sizes that do not follow on."""
    _fit("x", len(x), "columns of w1", len(w1[0]))
    _fit("b1", len(b1), "rows of w1", len(w1))
    _fit("rows of w1", len(w1), "columns of w2", len(w2[0]))
    _fit("b2", len(b2), "rows of w2", len(w2))
    return Network(*(np.array(part, float) for part in (np.transpose(w1), b1, np.transpose(w2), b2)))


def _fit(name: str, size: int, other: str, wanted: int) -> None:
    if size != wanted:
        raise ValueError(f"{name}: {size}, but {other}: {wanted}; they must be as many")


def _line(name: str, how: str, value: object) -> Line:
    """The value to six decimals, as plain numbers."""
    return Line(name, how, (np.asarray(value, float).round(6) + 0.0).tolist())


def say(value: object) -> str:
    """
    >>> say(((0.5, -0.5), (1.0, 2.0))), say(0.1 + 0.2)
    ('[[0.5, -0.5], [1, 2]]', '0.3')
    """
    if isinstance(value, np.ndarray | list | tuple) and np.ndim(value):
        return "[" + ", ".join(say(part) for part in value) + "]"
    return f"{float(value):.6g}"  # type: ignore[arg-type]
