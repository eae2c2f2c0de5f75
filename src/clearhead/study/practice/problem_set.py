"""The problems that there are, each with its numbers, its worked solution and the usual slips."""

from collections.abc import Callable
from typing import Any

import numpy as np

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.reference import worked
from clearhead.reference.search import ucb1
from clearhead.reference.worked import Line, say
from clearhead.study.practice.problems import Numbers, Problem, Slip


def find(name: str) -> Problem:
    """The problem of that name. UserError: there is none."""
    if name not in PROBLEMS:
        raise UserError(f"no problem {name!r}{nearest(name, PROBLEMS)}")
    return PROBLEMS[name]


def _pick(rng: np.random.Generator, *choices: float) -> float:
    return float(rng.choice(choices))


def _some(rng: np.random.Generator, *shape: int, low: int = -3, high: int = 3) -> Any:
    """Small whole numbers as nested tuples."""
    values = rng.integers(low, high, shape, endpoint=True).astype(float)
    return tuple(map(tuple, values.tolist())) if len(shape) == 2 else tuple(values.tolist())


def _descend(w: float, x: float, y: float, rate: float, steps: int, factor: float = 2.0) -> float:
    for _ in range(steps):
        w -= rate * factor * (w * x - y) * x
    return w


def _draw_network(rng: np.random.Generator) -> Numbers:
    while True:
        found = {"x": _some(rng, 2, low=1), "y": _some(rng, 1), "w1": _some(rng, 2, 2), "w2": _some(rng, 1, 2, low=1)}
        z = np.array(found["w1"]) @ np.array(found["x"])
        if (z > 0).sum() == 1 and (z < 0).sum() == 1 and np.array(found["w2"]) @ np.maximum(z, 0) != found["y"][0]:
            return found


def _network(x: Any, y: Any, w1: Any, w2: Any, gate: bool = True, factor: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """(dL/dW₁, dL/dW₂), with the slips that are usual on the way."""
    z = np.array(w1) @ np.array(x)
    d = factor * (np.array(w2) @ np.maximum(z, 0) - np.array(y))
    dz = (np.array(w2).T @ d) * ((z > 0) if gate else 1)
    return np.outer(dz, x), np.outer(d, np.maximum(z, 0))


def _softmax(z: Any) -> np.ndarray:
    e = np.exp(np.asarray(z) - np.max(z, -1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _ucb_lines(q: tuple[float, ...], n: tuple[float, ...], c: float) -> list[Line]:
    visits = np.array(n, int)
    N = int(visits.sum())
    scores = ucb1(np.array(q), visits, np.array(N), c)
    root = np.sqrt(np.log(N) / visits)
    return [
        Line("ln N", f"ln {N}, N being the sum of the visits", float(np.log(N))),
        Line("√(ln N / n)", f"with n = {say(n)}", root.tolist()),
        Line("scores", f"q + c √(ln N / n) = {say(q)} + {say(c)} · {say(root)}", scores.tolist()),
    ]


def _formula(name: str, how: str, value: Callable[..., float]) -> Callable[..., list[Line]]:
    return lambda **numbers: [Line(name, how, float(value(**numbers)))]


def _letters(*names: str) -> Callable[[np.random.Generator], Numbers]:
    return lambda rng: dict.fromkeys(names, 2.0)


PROBLEMS: dict[str, Problem] = {
    "gradient-descent": Problem(
        "Gradient descent on one weight",
        "ŷ = w x with w = {w}, x = {x}; the target is y = {y}, the loss (ŷ - y)², the learning rate {rate}.\n"
        "What is w after step {steps} of gradient descent?",
        lambda rng: {
            "w": _pick(rng, 3, 4, 5, -2), "x": _pick(rng, 1, 3, -2), "y": _pick(rng, 0, 2, -1),
            "rate": _pick(rng, 0.1, 0.05, 0.02), "steps": int(rng.integers(1, 4)),
        },
        worked.gradient_descent, "w",
        (
            Slip("the factor 2 of the square is missing", "dL/dŷ", lambda **n: _descend(**n, factor=1.0)),
            Slip("the step went up the gradient: it must be subtracted", "w", lambda **n: _descend(**n, factor=-2.0)),
            Slip("dL/dw lacks the factor x: dL/dw = dL/dŷ · x", "dL/dw", lambda w, x, y, rate, steps: _without_x(w, x, y, rate, steps)),
            Slip("one step too few", "w", lambda w, x, y, rate, steps: _descend(w, x, y, rate, steps - 1)),
            Slip("one step too many", "w", lambda w, x, y, rate, steps: _descend(w, x, y, rate, steps + 1)),
        ),
    ),
    "mlp-forward": Problem(
        "Two layers, forward", "z = W₁ x, h = ReLU(z), ŷ = W₂ h with x = {x}, W₁ = {w1}, W₂ = {w2}. What is ŷ?",
        lambda rng: {key: x for key, x in _draw_network(rng).items() if key != "y"}, worked.mlp_forward, "ŷ",
        (
            Slip("the ReLU was left out", "h", lambda x, w1, w2: np.array(w2) @ np.array(w1) @ np.array(x)),
            Slip("W₁ was used with rows and columns exchanged", "z", lambda x, w1, w2: np.array(w2) @ np.maximum(np.array(w1).T @ np.array(x), 0)),
        ),
    ),
    "mlp-backward": Problem(
        "Two layers, back to W₁",
        "z = W₁ x, h = ReLU(z), ŷ = W₂ h, L = (ŷ - y)², with x = {x}, y = {y}, W₁ = {w1}, W₂ = {w2}.\n"
        "What is dL/dW₁? (a matrix: 1,2; 3,4)",
        _draw_network, worked.mlp_backward, "dL/dW₁",
        (
            Slip("the ReLU lets nothing back where z is negative", "dL/dz", lambda **n: _network(**n, gate=False)[0]),
            Slip("the factor 2 of the square is missing", "dL/dŷ", lambda **n: _network(**n, factor=1.0)[0]),
            Slip("the matrix is transposed: dL/dW₁ has the shape of W₁", "dL/dW₁", lambda **n: _network(**n)[0].T),
            Slip("the sign of dL/dŷ is reversed: it is ŷ - y", "dL/dŷ", lambda **n: -_network(**n)[0]),
        ),
    ),
    "mlp-last-layer": Problem(
        "Two layers, back to W₂",
        "z = W₁ x, h = ReLU(z), ŷ = W₂ h, L = (ŷ - y)², with x = {x}, y = {y}, W₁ = {w1}, W₂ = {w2}. What is dL/dW₂?",
        _draw_network, worked.mlp_backward, "dL/dW₂",
        (
            Slip("the factor 2 of the square is missing", "dL/dŷ", lambda **n: _network(**n, factor=1.0)[1]),
            Slip("it takes h, from after the ReLU, not z", "h", lambda x, y, w1, w2: _last_with_z(x, y, w1, w2)),
            Slip("the sign of dL/dŷ is reversed: it is ŷ - y", "dL/dŷ", lambda **n: -_network(**n)[1]),
        ),
    ),
    "momentum": Problem(
        "A step with momentum",
        "w = {w}, its gradient is g = {g}, the velocity was v = {v}. With v ← β v + g and w ← w - α v, β = {beta}, "
        "α = {rate}: what is the new w?",
        lambda rng: {
            "w": _pick(rng, 0.5, 1, -1), "g": _pick(rng, 0.2, 0.4, -0.6), "v": _pick(rng, 0.1, 0.3, 1),
            "rate": _pick(rng, 0.1, 0.5), "beta": _pick(rng, 0.9, 0.5, 0.8),
        },
        worked.momentum, "w",
        (
            Slip("g was weighed with 1 - β, which this rule does not do", "v", lambda w, g, v, rate, beta: w - rate * (beta * v + (1 - beta) * g)),
            Slip("the step took g alone: the velocity was forgotten", "w", lambda w, g, v, rate, beta: w - rate * g),
            Slip("the step took the old velocity", "v", lambda w, g, v, rate, beta: w - rate * v),
            Slip("the velocity must be subtracted", "w", lambda w, g, v, rate, beta: w + rate * (beta * v + g)),
        ),
    ),
    "layer-norm": Problem(
        "Layer norm by hand", "Layer norm of x = {x} without weight, bias and ε: what is the result?",
        lambda rng: {"x": tuple((rng.permutation(7)[:3] + 1.0).tolist())}, worked.layer_norm, "y",
        (
            Slip("the variance was divided by D - 1; layer norm divides by D", "σ²", lambda x: (np.array(x) - np.mean(x)) / np.std(x, ddof=1)),
            Slip("it was divided by the variance, not by its root", "x̂", lambda x: (np.array(x) - np.mean(x)) / np.var(x)),
            Slip("the mean was not subtracted", "x̂", lambda x: np.array(x) / np.std(x)),
            Slip("it was not divided by the deviation", "x̂", lambda x: np.array(x) - np.mean(x)),
        ),
    ),
    "layer-norm-backward": Problem(
        "Layer norm, backwards", "y is the layer norm of x = {x} (weight 1, no ε), and dL/dy = {dy}. What is dL/dx?",
        lambda rng: {"x": tuple((rng.permutation(6)[:3] + 1.0).tolist()), "dy": (*_some(rng, 2, low=0, high=2), 3.0)},
        worked.layer_norm, "dx",
        (
            Slip("mean and variance depend on x too: their share is missing", "dx", lambda x, dy: np.array(dy) / np.std(x)),
            Slip("the share of the variance is missing", "dσ²", lambda x, dy: (np.array(dy) - np.mean(dy)) / np.std(x)),
        ),
    ),
    "attention": Problem(
        "Attention by hand", "softmax(Q Kᵀ / √d) V with Q = {q}, K = {k}, V = {v}. What is the output?",
        lambda rng: {"q": _some(rng, 1, 2, low=0, high=2), "k": ((1.0, 0.0), (0.0, _pick(rng, 1, 2))), "v": _some(rng, 2, 2, low=0, high=4)},
        worked.attention, "output",
        (
            Slip("the scores were not divided by √d", "scaled", lambda q, k, v: _softmax(np.array(q) @ np.array(k).T) @ np.array(v)),
            Slip("the scores were divided by d, not by its root", "scaled", lambda q, k, v: _softmax(np.array(q) @ np.array(k).T / 2) @ np.array(v)),
            Slip("there was no softmax", "weights", lambda q, k, v: np.array(q) @ np.array(k).T / np.sqrt(2) @ np.array(v)),
            Slip("the values were averaged evenly", "weights", lambda q, k, v: np.mean(v, 0, keepdims=True)),
        ),
    ),
    "softmax": Problem(
        "Softmax by hand", "What is softmax({z})?",
        lambda rng: {"z": tuple(rng.choice([0.0, 1, 2, 3], 3, replace=False).tolist())},
        worked.softmax_by_hand, "softmax(z)",
        (
            Slip("the exponentials were not divided by their sum", "sum", lambda z: np.exp(z)),
            Slip("the numbers themselves were divided by their sum: exp is missing", "e^(z - max)", lambda z: np.array(z) / np.sum(z)),
            Slip("the powers are of 2, not of e", "e^(z - max)", lambda z: 2.0 ** np.array(z) / (2.0 ** np.array(z)).sum()),
        ),
    ),
    "bayes": Problem(
        "A positive test",
        "A share of {prior} is ill. The test finds {found} of the ill, and raises a false alarm for {false_alarm} of the "
        "well. What is the probability of being ill after a positive test?",
        lambda rng: {"prior": _pick(rng, 0.01, 0.02, 0.1), "found": _pick(rng, 0.9, 0.8, 0.95), "false_alarm": _pick(rng, 0.05, 0.1)},
        worked.bayes_by_hand, "ill, if positive",
        (
            Slip("that is the probability of a positive test if ill: the prior was left out", "ill, if positive", lambda prior, found, false_alarm: found),
            Slip("false alarms were counted for everybody, not for the well", "well and positive", lambda prior, found, false_alarm: found * prior / (found * prior + false_alarm)),
            Slip("the prior was left out of both terms", "ill and positive", lambda prior, found, false_alarm: found / (found + false_alarm)),
        ),
    ),
    "ucb1": Problem(
        "UCB1 by hand", "Children with the mean values q = {q} and visits n = {n}; c = {c}. What are their UCB1 scores?",
        lambda rng: {"q": tuple((rng.integers(1, 9, 2) / 10).tolist()), "n": _some(rng, 2, low=1, high=6), "c": _pick(rng, 1, 1.4, 2)},
        _ucb_lines, "scores",
        (
            Slip("c was put inside the root", "scores", lambda q, n, c: np.array(q) + np.sqrt(c * np.log(np.sum(n)) / np.array(n))),
            Slip("the logarithm is natural, not to base 10", "ln N", lambda q, n, c: np.array(q) + c * np.sqrt(np.log10(np.sum(n)) / np.array(n))),
            Slip("the logarithm is missing", "ln N", lambda q, n, c: np.array(q) + c * np.sqrt(np.sum(n) / np.array(n))),
            Slip("the root is missing", "√(ln N / n)", lambda q, n, c: np.array(q) + c * np.log(np.sum(n)) / np.array(n)),
        ),
    ),
    "parameter-count": Problem(
        "Counting parameters",
        "A decoder like GPT-2 (learned positions, biases everywhere, layer norms, the head tied to the embedding) has "
        "{layers} layers of width {d_model}, {heads} heads, an MLP of width {d_ff}, a vocabulary of {vocab} and a context of "
        "{context}. How many parameters has it?",
        lambda rng: (lambda d: {
            "layers": int(rng.choice([2, 4, 12])), "heads": 4, "d_model": d, "d_ff": 4 * d,
            "vocab": int(rng.choice([1000, 8000])), "context": int(rng.choice([128, 512])),
        })(int(rng.choice([64, 256, 512]))),
        worked.parameter_count, "total",
        (
            Slip("the positions are missing", "positions", lambda layers, heads, d_model, d_ff, vocab, context: _count(layers, heads, d_model, d_ff, vocab, context) - context * d_model),
            Slip("the biases are missing", "attention", lambda layers, heads, d_model, d_ff, vocab, context: _count(layers, heads, d_model, d_ff, vocab, context) - layers * (5 * d_model + d_ff)),
            Slip("the norms are missing", "norms", lambda layers, heads, d_model, d_ff, vocab, context: _count(layers, heads, d_model, d_ff, vocab, context) - (2 * layers + 1) * 2 * d_model),
            Slip("the head was counted again: it is tied to the embedding", "embedding", lambda layers, heads, d_model, d_ff, vocab, context: _count(layers, heads, d_model, d_ff, vocab, context) + vocab * d_model),
        ),
    ),
    "attention-cost": Problem(
        "The size of the scores",
        "One attention head over {tokens} tokens with {head_dim} channels, {bytes_each} bytes a number: how many bytes does "
        "the whole matrix of scores take?",
        lambda rng: {"tokens": int(rng.choice([1024, 2048, 8192])), "head_dim": int(rng.choice([64, 128])), "bytes_each": int(rng.choice([2, 4]))},
        worked.attention_cost, "scores, bytes",
        (
            Slip("that is their number: each takes several bytes", "scores, bytes", lambda tokens, head_dim, bytes_each: tokens**2),
            Slip("the scores have no channels: they are N by N", "scores, bytes", lambda tokens, head_dim, bytes_each: tokens**2 * head_dim * bytes_each),
        ),
    ),
    "squared-error-slope": Problem(
        "The slope of a squared error", "L = (w x - y)². What is dL/dw? (a formula in w, x, y)", _letters("w", "x", "y"),
        _formula("dL/dw", "2 (w x - y) x, by the chain rule", lambda w, x, y: 2 * (w * x - y) * x), "dL/dw",
        (
            Slip("the inner derivative x is missing", "dL/dw", lambda w, x, y: 2 * (w * x - y)),
            Slip("the factor 2 of the square is missing", "dL/dw", lambda w, x, y: (w * x - y) * x),
        ),
        variables=("w", "x", "y"),
    ),
    "sigmoid-slope": Problem(
        "The slope of a sigmoid", "σ(z) = 1 / (1 + exp(-z)). What is dσ/dz? (a formula in z)", _letters("z"),
        _formula("dσ/dz", "σ(z) (1 - σ(z)) = exp(-z) / (1 + exp(-z))²", lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2), "dσ/dz",
        (
            Slip("the sign is wrong: the inner derivative of -z and that of 1/u cancel their signs", "dσ/dz", lambda z: -np.exp(-z) / (1 + np.exp(-z)) ** 2),
            Slip("that is 1 - σ: the factor σ is missing", "dσ/dz", lambda z: np.exp(-z) / (1 + np.exp(-z))),
        ),
        variables=("z",),
    ),
    "kv-cache-size": Problem(
        "The size of a KV cache",
        "L layers, G key/value heads of C channels, S tokens, b bytes a number. How many bytes does the cache of one text "
        "take? (a formula in L, G, C, S, b)", _letters("L", "G", "C", "S", "b"),
        _formula("bytes", "2 L G C S b: keys and values", lambda L, G, C, S, b: 2 * L * G * C * S * b), "bytes",
        (
            Slip("keys and values are both kept: twice that", "bytes", lambda L, G, C, S, b: L * G * C * S * b),
            Slip("the cache grows with S, not with its square", "bytes", lambda L, G, C, S, b: 2 * L * G * C * S**2 * b),
        ),
        variables=("L", "G", "C", "S", "b"),
    ),
    "lora-size": Problem(
        "The size of an adapter",
        "A LoRA adapter of rank r for a matrix with n rows and d columns: how many numbers are trained? (a formula in r, n, d)",
        _letters("r", "n", "d"),
        _formula("parameters", "A has n r, B has r d: r (n + d)", lambda r, n, d: r * (n + d)),
        "parameters",
        (Slip("that is the whole matrix", "parameters", lambda r, n, d: n * d), Slip("A and B are added, not multiplied", "parameters", lambda r, n, d: n * r * d)),
        variables=("r", "n", "d"),
    ),
    "softmax-jacobian": Problem(
        "The Jacobian of softmax",
        "p = softmax(z). What is ∂p_i/∂z_j for i ≠ j? (a formula in a = p_i and b = p_j)", _letters("a", "b"),
        _formula("∂p_i/∂z_j", "p_i (δ_ij - p_j) = -a b", lambda a, b: -a * b), "∂p_i/∂z_j",
        (
            Slip("the sign is wrong: more of one is less of the others", "∂p_i/∂z_j", lambda a, b: a * b),
            Slip("that is the derivative by its own logit, i = j", "∂p_i/∂z_j", lambda a, b: a * (1 - a)),
        ),
        variables=("a", "b"),
    ),
}  # fmt: skip


def _without_x(w: float, x: float, y: float, rate: float, steps: int) -> float:
    for _ in range(steps):
        w -= rate * 2 * (w * x - y)
    return w


def _last_with_z(x: Any, y: Any, w1: Any, w2: Any) -> np.ndarray:
    z = np.array(w1) @ np.array(x)
    return np.outer(2 * (np.array(w2) @ np.maximum(z, 0) - np.array(y)), z)


def _count(layers: int, heads: int, d_model: int, d_ff: int, vocab: int, context: int) -> float:
    total = worked.parameter_count(layers, heads, d_model, d_ff, vocab, context)[-1].value
    assert isinstance(total, float)
    return total
