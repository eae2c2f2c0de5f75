"""The guide's figures, each computed by the reference when a page is written.

An answer has one where it says `![what it shows](figure:name)`; in a terminal the words stand alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from jaxtyping import Float

from clearhead.charts.heat import signed_map
from clearhead.charts.lines import Series, line_chart
from clearhead.charts.svg import Axis
from clearhead.reference import schedules
from clearhead.reference.activations import gelu, relu, sigmoid, silu, tanh
from clearhead.reference.attention import measure_scaling
from clearhead.reference.attention_traffic import flash_2_traffic, plain_traffic
from clearhead.reference.costs import PRESETS, kv_cache_bytes
from clearhead.reference.descent import gradient_descent
from clearhead.reference.initialization import through_depth
from clearhead.reference.linear_algebra import norm
from clearhead.reference.optimizers import momentum
from clearhead.reference.positions import sinusoidal
from clearhead.reference.regularizers import shrink, soft_threshold
from clearhead.reference.residual import plain_stack, residual_stack
from clearhead.reference.softmax import apply_temperature
from clearhead.reference.voting import majority_probability
from clearhead.study import diagrams

WIDTH, HEIGHT = 640.0, 300.0
CURVATURE = np.array([1.0, 20.0])  # of a narrow valley, w₁² / 2 + 10 w₂²


def line(label: str, x: Sequence[float], y: Sequence[float], marks: bool = False) -> Series:
    return Series(label, x, y, marks=marks)


def path(label: str, points: Float[np.ndarray, "N 2"], **more: Any) -> Series:
    """Points of a plane, joined in their order."""
    return Series(label, points[:, 0].tolist(), points[:, 1].tolist(), along_x=False, **more)


def chart(lines: Sequence[Series], x: Axis, y: Axis, name: str, square: bool = False) -> str:
    """The lines, each that is not quiet in a color of its own."""
    color = count()
    colored = [one if one.quiet else replace(one, color=next(color)) for one in lines]
    drawn = line_chart(colored, x, y, WIDTH, HEIGHT, name, square)
    assert drawn is not None, name
    return drawn


def norms(name: str) -> str:
    turn = np.linspace(np.pi / 4, 2.25 * np.pi, 241)  # from the diagonal, where a label is, around to it
    way = np.stack((np.cos(turn), np.sin(turn)), -1)
    orders = {"p = 1": 1.0, "p = 2": 2.0, "p = 4": 4.0, "p = ∞": np.inf}
    lines = [path(label, way / norm(way, p)[:, None], marks=False) for label, p in orders.items()]
    return chart(lines, Axis("v₁", low=-1.25, high=1.25), Axis("v₂", low=-1.25, high=1.25), name, square=True)


def valley(name: str) -> str:
    start = np.array([-10.0, 1.5])
    plain = gradient_descent(lambda w: CURVATURE * w, start, 0.09, 40)
    w, v, course = start, np.zeros(2), [start]
    for _ in range(40):
        w, v = momentum(w, CURVATURE * w, v, 0.03, 0.7)
        course.append(w)
    turn = np.linspace(0, 2 * np.pi, 121)
    level = np.sqrt(2 / CURVATURE) * np.stack((np.cos(turn), np.sin(turn)), -1)
    levels = [path("", np.sqrt(f) * level, marks=False, quiet=True) for f in (2.0, 10.0, 25.0, 50.0)]
    paths = [path("plain", plain), path("momentum", np.stack(course))]
    return chart([*levels, *paths], Axis("w₁", low=-11, high=3), Axis("w₂", low=-2.2, high=2.2), name)


def rates(name: str) -> str:
    lines = []
    for rate in (0.01, 0.05, 2 / 21, 0.102):
        path = gradient_descent(lambda w: CURVATURE * w, np.array([10.0, 1.0]), rate, 60)
        loss = (CURVATURE * path**2).sum(-1) / 2
        lines.append(line(f"rate {rate:.3g}", list(range(61)), loss.tolist()))
    return chart(lines, Axis("step"), Axis("loss", log=True, low=1e-4, high=1e3), name)


def nonlinear(name: str) -> str:
    z = np.linspace(-4, 4, 161)
    functions = {"ReLU": relu, "GELU": gelu, "SiLU": silu, "sigmoid": sigmoid, "tanh": tanh}
    lines = [line(label, z.tolist(), f(z).tolist()) for label, f in functions.items()]
    return chart(lines, Axis("z"), Axis("output", low=-1.2, high=4), name)


def depth(name: str) -> str:
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 32, 100))
    stacks = {
        "He × 0.8": plain_stack(100, 50, 0.8, rng),
        "He": plain_stack(100, 50, 1.0, rng),
        "He × 1.2": plain_stack(100, 50, 1.2, rng),
        "residual": residual_stack(100, 50, 0.14, rng),
    }
    sizes = {label: through_depth(x, stack, dy).gradients[::-1].tolist() for label, stack in stacks.items()}
    lines = [line(label, list(range(51)), values) for label, values in sizes.items()]
    y = Axis("its size", log=True, low=1e-6, high=1e5)
    return chart(lines, Axis("blocks that the gradient has passed"), y, name)


def warm_up(name: str) -> str:
    t = np.linspace(0, 1000, 201).tolist()
    shapes = {
        "cosine": [schedules.cosine(s, 100, 1000) for s in t],
        "linear": [schedules.linear(s, 100, 1000) for s in t],
        "1/√t": [schedules.inverse_square_root(s, 100) for s in t],
        "trapezoid": [schedules.trapezoid(s, 100, 1000, 200) for s in t],
    }
    lines = [line(label, t, values) for label, values in shapes.items()]
    return chart(lines, Axis("step"), Axis("share of the peak learning rate", low=0, high=1.05), name)


def penalties(name: str) -> str:
    w = np.linspace(-3, 3, 121)
    lines = [
        line("L2: w/(1 + 2λ)", w.tolist(), shrink(w, 0.5).tolist()),
        line("L1: towards 0", w.tolist(), soft_threshold(w, 1.0).tolist()),
        Series("", w.tolist(), w.tolist(), marks=False, quiet=True),
    ]
    return chart(lines, Axis("weight without a penalty"), Axis("weight with it", low=-3, high=3), name)


def temperature(name: str) -> str:
    z = np.array([4.0, 3.0, 2.5, 1.0, 0.5, 0.0, -1.0, -2.0])
    rank = list(range(1, 9))
    lines = [line(f"T = {t:g}", rank, apply_temperature(z, t).tolist(), marks=True) for t in (0.5, 1.0, 2.0, 10.0)]
    return chart(lines, Axis("token, from the most likely on"), Axis("probability", low=0, high=1), name)


def positions(name: str) -> str:
    values = sinusoidal(np.arange(64), 64).tolist()
    return signed_map(values, Axis("channel"), Axis("position"), WIDTH, HEIGHT, name)


def scaling(name: str) -> str:
    rng = np.random.default_rng(0)
    widths = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    found = [measure_scaling(width, 16, 300, rng) for width in widths]
    lines = [
        line("divided by √C", widths, [one.slope_scaled for one in found], marks=True),
        line("not divided", widths, [one.slope for one in found], marks=True),
    ]
    return chart(lines, Axis("width C of a head", log=True), Axis("sum of p(1 - p)", low=0, high=1), name)


def cache(name: str) -> str:
    a = PRESETS["llama-2-70b"]
    tokens = [2**n for n in range(10, 18)]
    lines = []
    for heads in (64, 8, 1):
        grouped = replace(a, n_kv_heads=heads)
        sizes = [kv_cache_bytes(grouped, 1, n) / 2**30 for n in tokens]
        lines.append(line(f"{heads} KV head{'s' if heads > 1 else ''}", tokens, sizes, marks=True))
    return chart(lines, Axis("tokens", log=True), Axis("GiB for one sequence", log=True, low=0.01, high=1000), name)


def traffic(name: str) -> str:
    lengths = [2**n for n in range(8, 16)]
    lines = [
        line("plain", lengths, [plain_traffic(t, t, 64).total * 2 / 2**20 for t in lengths], marks=True),
        line("by tiles", lengths, [flash_2_traffic(t, t, 64, 128, 128).total * 2 / 2**20 for t in lengths], marks=True),
    ]
    return chart(lines, Axis("length of the sequence", log=True), Axis("MiB moved for a head", log=True), name)


def votes(name: str) -> str:
    n = list(range(1, 62, 2))
    chances = (0.7, 0.55, 0.5, 0.45, 0.3)
    lines = [line(f"p = {p:g}", n, [float(majority_probability(np.array(p), k)) for k in n]) for p in chances]
    return chart(lines, Axis("votes"), Axis("right majority", low=0, high=1), name)


FIGURES: dict[str, Callable[[str], str]] = {
    "projection": diagrams.projection,
    "block": diagrams.block,
    "attention": diagrams.attention,
    "lstm-cell": diagrams.lstm_cell,
    "encoder-decoder": diagrams.encoder_decoder,
    "tiling": diagrams.tiling,
    "kv-groups": diagrams.kv_groups,
    "beam": diagrams.beam,
    "search-tree": diagrams.search_tree,
    "norms": norms,
    "valley": valley,
    "rates": rates,
    "nonlinear": nonlinear,
    "depth": depth,
    "warm-up": warm_up,
    "penalties": penalties,
    "temperature": temperature,
    "positions": positions,
    "scaling": scaling,
    "cache": cache,
    "traffic": traffic,
    "votes": votes,
}
