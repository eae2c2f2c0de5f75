"""Recurrent layers: the plain cell and the LSTM by definition, step by step, and torch's fused layers that do the same.

A layer is torch's, with its names and its two biases, so that its weights are anybody's. A causal convolution is here
as well: it is a recurrence whose state is the last few inputs. Deliberately not here: GRU, whose plain definition is in
`reference`, and stacks (models.recurrent).
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Cell = Literal["lstm", "rnn", "conv"]
GATES: dict[Cell, int] = {"lstm": 4, "rnn": 1, "conv": 2}
RecurrentState = tuple[Tensor, ...]
"""All that a text leaves behind: (h "B F") of the plain cell, (h "B F", c "B F") of the LSTM, (the last inputs "B S D")
of a convolution whose taps are S apart."""


def rnn(
    x: Float[Tensor, "B T D"],
    h: Float[Tensor, "B F"],
    w: Float[Tensor, "F D"],
    u: Float[Tensor, "F F"],
    b: Float[Tensor, "F"],
) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B F"]]:
    """h_t = tanh(W x_t + U h_{t-1} + b): every state, and the last. O(T (D + F) F) a row. Elman 1990.

    >>> one = torch.ones(1, 1)
    >>> rnn(torch.zeros(1, 2, 1), one, one, one, torch.zeros(1))[0].flatten().tolist() == [
    ...     float(torch.ones(1).tanh()), float(torch.ones(1).tanh().tanh())]
    True
    """
    states = []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ w.mT + h @ u.mT + b)
        states.append(h)
    return torch.stack(states, 1), h


def lstm(
    x: Float[Tensor, "B T D"],
    h: Float[Tensor, "B F"],
    c: Float[Tensor, "B F"],
    w: Float[Tensor, "M D"],
    u: Float[Tensor, "M F"],
    b: Float[Tensor, "M"],
) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B F"], Float[Tensor, "B F"]]:
    """c_t = σ(f) c_{t-1} + σ(i) tanh(g), h_t = σ(o) tanh(c_t), with i, f, g, o one below the other in W x_t + U h + b.

    O(4 T (D + F) F) a row. Hochreiter and Schmidhuber 1997; the forget gate f of Gers, Schmidhuber and Cummins 2000.
    """
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ w.mT + h @ u.mT + b).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states, 1), h, c


def convolution(
    x: Float[Tensor, "B T D"],
    before: Float[Tensor, "B S D"],
    w: Float[Tensor, "twice_F D"],
    u: Float[Tensor, "twice_F D"],
    b: Float[Tensor, "twice_F"],
) -> Float[Tensor, "B T F"]:
    """y_t = a σ(g), with a and g one below the other in W x_t + U x_{t-S} + b; `before` are the inputs before the row.

    O(4 T D F) a row. Dauphin et al. 2017, equation 1; the taps apart of van den Oord et al. 2016, section 2.1.
    """
    earlier = torch.cat((before, x), 1)[:, : x.shape[1]]
    return F.glu(F.linear(x, w, b) + F.linear(earlier, u), -1)


class GatedConvolution(nn.Module):
    """The weights of a `convolution` whose input and output are equally wide."""

    def __init__(self, width: int, apart: int) -> None:
        super().__init__()
        self.apart = apart
        self.w = nn.Parameter(torch.empty(2 * width, width))
        self.u = nn.Parameter(torch.empty(2 * width, width))
        self.b = nn.Parameter(torch.zeros(2 * width))


Layer = nn.RNNBase | GatedConvolution


class Weights(NamedTuple):
    """Of a fused layer: from the input, from the last state, and a bias for each; M gates times F one below another."""

    w: Float[Tensor, "M D"]
    u: Float[Tensor, "M F"]
    b: Float[Tensor, "M"]
    c: Float[Tensor, "M"]


def weights_of(layer: nn.RNNBase) -> Weights:
    return Weights(*layer.all_weights[0])


def layer_of(cell: Cell, width: int, depth: int = 0) -> Layer:
    """One layer whose input and state are equally wide; at each depth a convolution sees twice as far."""
    if cell == "conv":
        return GatedConvolution(width, 2**depth)
    return {"lstm": nn.LSTM, "rnn": nn.RNN}[cell](width, width, batch_first=True)


def run(
    layer: Layer, x: Float[Tensor, "B T D"], state: RecurrentState | None
) -> tuple[Float[Tensor, "B T F"], RecurrentState]:
    """Every output of a layer, and the state that it would go on from; no state means zeros."""
    if isinstance(layer, GatedConvolution):
        before = state[0] if state else x.new_zeros(len(x), layer.apart, x.shape[-1])
        return convolution(x, before, layer.w, layer.u, layer.b), (torch.cat((before, x), 1)[:, -layer.apart :],)
    if isinstance(layer, nn.LSTM):
        y, (h, c) = layer(x, None if state is None else tuple(part[None] for part in state))
        return y, (h[0], c[0])
    y, h = layer(x, None if state is None else state[0][None])
    return y, (h[0],)


def run_by_definition(
    layer: nn.RNNBase, x: Float[Tensor, "B T D"], state: RecurrentState | None
) -> tuple[Float[Tensor, "B T F"], RecurrentState]:
    """What `run` computes, by the formulas above."""
    w, u, b, c = weights_of(layer)
    zero = x.new_zeros(len(x), layer.hidden_size)
    if isinstance(layer, nn.LSTM):
        h, cell = state or (zero, zero)
        y, h, cell = lstm(x, h, cell, w, u, b + c)
        return y, (h, cell)
    y, h = rnn(x, state[0] if state else zero, w, u, b + c)
    return y, (h,)
