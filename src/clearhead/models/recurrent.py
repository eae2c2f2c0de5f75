"""A language model whose memory is the state of recurrent or convolutional layers: what came before the decoder.

Embedding, residual stream, norms and head are the decoder's; only the layers differ. The state begins at zero with a
row and runs on through the documents of it. Deliberately not here: the cells (nn.recurrent).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.embedding import embedding
from clearhead.nn.functional import rms_norm
from clearhead.nn.recurrent import GATES, Cell, GatedConvolution, Layer, RecurrentState, layer_of, run, weights_of

MOST_LAYERS = {"lstm": 10_000, "rnn": 10_000, "conv": 20}  # 20 layers of convolutions see a million tokens


@dataclass(frozen=True)
class RecurrentConfig:
    """The shape of a recurrent language model. d_model is the width of the stream and of every state.

    Layer i of convolutions has taps 2^i tokens apart, so that n_layers of them see 2^n_layers tokens.
    """

    vocab: int
    cell: Cell = "lstm"
    d_model: int = 256
    n_layers: int = 2
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "n_layers"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.n_layers > MOST_LAYERS[self.cell]:
            raise UserError(f"n_layers = {self.n_layers} must be at most {MOST_LAYERS[self.cell]}")

    @property
    def state_numbers(self) -> int:
        """What a text leaves behind, in numbers."""
        each = {"lstm": 2 * self.n_layers, "rnn": self.n_layers, "conv": 2**self.n_layers - 1}[self.cell]
        return each * self.d_model

    @property
    def matrix_parameters(self) -> int:
        """Weights that every token is multiplied by."""
        return 2 * GATES[self.cell] * self.n_layers * self.d_model**2 + self.vocab * self.d_model

    def flops_per_token(self, keys: int) -> int:
        """A forward pass of a token, the same for any number of `keys` before it; training costs three."""
        return 2 * self.matrix_parameters

    @property
    def parameters(self) -> int:
        return self.matrix_parameters + (_biases(self.cell, self.n_layers) + self.vocab) * self.d_model


def _biases(cell: Cell, n_layers: int) -> int:
    """For each number of the width: torch's recurrent layers have two biases for each gate."""
    return (1 if cell == "conv" else 2) * GATES[cell] * n_layers


def matched(cell: Cell, vocab: int, parameters: int, n_layers: int = 2) -> RecurrentConfig:
    """The width at which the model has as many parameters as asked for: a D² + b D = parameters, D rounded.

    From a width of 100 on that is within 1 %.

    >>> matched("lstm", 2048, 2_500_000).parameters
    2498048
    """
    a = 2 * GATES[cell] * n_layers
    return RecurrentConfig(vocab, cell, width_for(a, 2 * vocab + _biases(cell, n_layers), parameters), n_layers)


def width_for(square: int, linear: int, parameters: int) -> int:
    """The whole D ≥ 1 at which a D² + b D is closest to so many parameters, a = `square` and b = `linear`."""
    return max(1, round((math.sqrt(linear**2 + 4 * square * parameters) - linear) / (2 * square)))


class Recurrent(nn.Module):
    """tokens -> hidden states -> logits. Equal configurations and seeds give equal weights."""

    def __init__(self, config: RecurrentConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.d_model)
        self.cells = nn.ModuleList(layer_of(config.cell, config.d_model, i) for i in range(config.n_layers))
        self.head = nn.Linear(config.d_model, config.vocab, bias=False)
        initialize(self, seed)

    @property
    def layers(self) -> list[Layer]:
        return [layer for layer in self.cells if isinstance(layer, Layer)]

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """The hidden states after the last norm."""
        return self.read(tokens, None)[0]

    def read(
        self, tokens: Int[Tensor, "B T"], states: Sequence[RecurrentState] | None
    ) -> tuple[Float[Tensor, "B T D"], list[RecurrentState]]:
        """The same for a text that goes on from the states that its beginning left, and the states after it."""
        x = embedding(tokens, self.embed.weight).to(next(self.cells.parameters()).dtype)
        after = []
        for i, layer in enumerate(self.layers):
            y, state = run(layer, rms_norm(x, None, self.config.norm_eps), states[i] if states else None)
            x = x + y
            after.append(state)
        return rms_norm(x, None, self.config.norm_eps), after

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        return nn.functional.linear(hidden, self.head.weight.to(hidden.dtype))


@torch.no_grad()
def initialize(model: Recurrent, seed: int) -> None:
    """Uniform ±1/√fan_in for what reads the stream, orthogonal for what turns a state into the next, zero for the head
    and the biases, one for the bias of the forget gate. Saxe et al. 2014; Jozefowicz et al. 2015, section 2.2.
    """
    generator = torch.Generator().manual_seed(seed)
    width = model.config.d_model
    model.embed.weight.normal_(std=0.5, generator=generator)
    model.head.weight.zero_()
    bound = width**-0.5
    for layer in model.layers:
        if isinstance(layer, GatedConvolution):
            layer.w.uniform_(-bound, bound, generator=generator)
            layer.u.uniform_(-bound, bound, generator=generator)
            continue
        w, u, b, c = weights_of(layer)
        w.uniform_(-bound, bound, generator=generator)
        for gate in u.split(width):
            nn.init.orthogonal_(gate, generator=generator)
        b.zero_()
        c.zero_()
        if model.config.cell == "lstm":
            b[width : 2 * width] = 1
