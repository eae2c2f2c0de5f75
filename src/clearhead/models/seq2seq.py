"""From one sequence to another through LSTMs: the encoder's last state alone, or attention on all of its states.

`read` is the one forward path: of a whole target while training, of one token at a time while decoding. A source that
is shorter than its row is masked. Deliberately not here: the loss, and searching for a translation (generation).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from clearhead.errors import UserError
from clearhead.kernels.embedding import embedding
from clearhead.models.recurrent import width_for
from clearhead.nn.recurrent import run, weights_of

Score = Literal["none", "bahdanau", "luong-dot", "luong-general", "luong-concat"]
ADDITIVE = ("bahdanau", "luong-concat")


class Reading(NamedTuple):
    """What a decoder makes of target tokens, the state after them, and how it looked at the source.

    Every tensor of a state has the rows first, those of a memory then the places of the source.
    """

    hidden: Float[Tensor, "B T D"]
    state: tuple[Tensor, ...]
    weights: Float[Tensor, "B T S"] | None


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The shape of a recurrent encoder-decoder. d_model is the width of embeddings and states; `start` is the token
    that a target begins with, before its first word.
    """

    vocab: int
    attention: Score = "bahdanau"
    d_model: int = 128
    dropout: float = 0.0
    start: int = 1

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")
        if not 0 <= self.start < self.vocab:
            raise UserError(f"start = {self.start} must be a token: 0 to {self.vocab - 1}")

    @property
    def parameters(self) -> int:
        square, linear = _coefficients(self.vocab, self.attention)
        return square * self.d_model**2 + linear * self.d_model


def _coefficients(vocab: int, attention: Score) -> tuple[int, int]:
    """a and b of a D² + b D, the parameters at width D."""
    square = 16 + {"none": 1, "bahdanau": 8, "luong-dot": 2, "luong-general": 3, "luong-concat": 4}[attention]
    return square, 2 * vocab + 16 + (attention in ADDITIVE)


def matched(attention: Score, vocab: int, parameters: int, dropout: float = 0.0, start: int = 1) -> Seq2SeqConfig:
    """The width at which the model has as many parameters as asked for, rounded.

    >>> [matched(kind, 512, 1_000_000).parameters for kind in ("none", "bahdanau")]
    [1001092, 1004088]
    """
    width = width_for(*_coefficients(vocab, attention), parameters)
    return Seq2SeqConfig(vocab, attention, width, dropout, start)


class Seq2Seq(nn.Module):
    """Source and target share a table of embeddings. Equal configurations and seeds give equal weights."""

    def __init__(self, config: Seq2SeqConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        D, kind = config.d_model, config.attention
        self.embed = nn.Embedding(config.vocab, D)
        self.encoder = nn.LSTM(D, D, batch_first=True)
        self.decoder = nn.LSTM(2 * D if kind == "bahdanau" else D, D, batch_first=True)
        self.query = nn.Linear(D, D, bias=False) if kind in (*ADDITIVE, "luong-general") else None
        self.key = nn.Linear(D, D, bias=False) if kind in ADDITIVE else None
        self.v = nn.Parameter(torch.empty(D)) if kind in ADDITIVE else None
        self.combine = nn.Linear(D if kind == "none" else 2 * D, D, bias=False)
        self.head = nn.Linear(D, config.vocab, bias=False)
        initialize(self, seed)

    def encode(
        self, source: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The memory that attention looks at, and the decoder's first state: the encoder's last (h, c)."""
        x = pack_padded_sequence(self._embedded(source), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        y, (h, c) = self.encoder(x)
        state = (h[0], c[0])
        if self.config.attention == "none":
            return (), state
        states, _ = pad_packed_sequence(y, batch_first=True, total_length=source.shape[1])
        return (states,) if self.key is None else (states, self.key(states)), state

    def read(
        self,
        tokens: Int[Tensor, "B T"],
        state: tuple[Tensor, ...],
        memory: tuple[Tensor, ...],
        mask: Bool[Tensor, "B S"],
    ) -> Reading:
        """T more target tokens, each of which predicts the next one.

        Bahdanau: the context of a step comes from the state before it and goes into the cell. Luong: the cell runs
        first, and its state then looks at the source. Bahdanau et al. 2015, appendix A.1.2; Luong et al. 2015,
        equations 5 and 6.
        """
        x = self._embedded(tokens)
        if self.config.attention == "bahdanau":
            y, context, weights, state = self._ask_first(x, state, memory, mask)
        else:
            y, state = run(self.decoder, x, state)
            if not memory:
                return Reading(self._dropout(torch.tanh(self.combine(y))), state, None)
            context, weights = self.attend(y, memory, mask)
        return Reading(self._dropout(torch.tanh(self.combine(torch.cat([context, y], -1)))), state, weights)

    def _ask_first(
        self, x: Tensor, state: tuple[Tensor, ...], memory: tuple[Tensor, ...], mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        w, u, b, c = weights_of(self.decoder)
        states, contexts, weights = [], [], []
        for t in range(x.shape[1]):
            context, weight = self.attend(state[0][:, None], memory, mask)
            state = torch.lstm_cell(torch.cat([x[:, t], context[:, 0]], -1), state, w, u, b, c)
            states.append(state[0])
            contexts.append(context)
            weights.append(weight)
        return torch.stack(states, 1), torch.cat(contexts, 1), torch.cat(weights, 1), state

    def attend(
        self, q: Float[Tensor, "B T D"], memory: tuple[Tensor, ...], mask: Bool[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T S"]]:
        """The contexts c_t = Σ_s α_ts h_s, and α. Luong et al. 2015, equations 7 and 8."""
        states = memory[0]
        if self.query is not None:
            q = self.query(q)
        scores = q @ states.mT if self.v is None else torch.tanh(q[:, :, None] + memory[1][:, None]) @ self.v
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)
        return weights @ states, weights

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        return self.head(hidden)

    def _embedded(self, tokens: Tensor) -> Tensor:
        return self._dropout(embedding(tokens, self.embed.weight).to(self.head.weight.dtype))

    def _dropout(self, x: Tensor) -> Tensor:
        """Of what goes up, never of what goes on in time. Zaremba et al. 2014, section 3.1."""
        return nn.functional.dropout(x, self.config.dropout, self.training)


@torch.no_grad()
def initialize(model: Seq2Seq, seed: int) -> None:
    """Uniform ±1/√fan_in for what reads, orthogonal from state to state, zero for the biases, one for the bias of the
    forget gate. The head is normal with a standard deviation of 1/√fan_in, and not zero as those above a norm are:
    Adam's first steps would make all its columns alike, and from there such a network never learned more than how often
    each token occurs.
    """
    generator = torch.Generator().manual_seed(seed)
    width = model.config.d_model
    model.embed.weight.normal_(std=0.5, generator=generator)
    for layer in (model.encoder, model.decoder):
        w, u, b, c = weights_of(layer)
        w.uniform_(-(w.shape[1] ** -0.5), w.shape[1] ** -0.5, generator=generator)
        for gate in u.split(width):
            nn.init.orthogonal_(gate, generator=generator)
        b.zero_()
        c.zero_()
        b[width : 2 * width] = 1
    for linear in (model.query, model.key, model.combine):
        if linear is not None:
            bound = linear.in_features**-0.5
            linear.weight.uniform_(-bound, bound, generator=generator)
    model.head.weight.normal_(std=width**-0.5, generator=generator)
    if model.v is not None:
        model.v.uniform_(-(width**-0.5), width**-0.5, generator=generator)
