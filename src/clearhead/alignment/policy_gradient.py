"""What a policy learns by from its own answers: PPO's clipped objective, the KL to a reference, a value head's error.

GRPO, its variants, RLOO and PPO differ in the advantages and weights that a batch holds (lessons.py, methods.py), not
in anything here. Formulas: reference.ppo, reference.grpo.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.kernels.attention import Attend, causal_attend
from clearhead.models.decoder import Decoder
from clearhead.text.packing import IGNORE_INDEX, Batch


class PolicyBatch(NamedTuple):
    """Packed answers (text.packing), and at each place that predicts a token of an answer what is known of that token.

    log_old and log_ref: log p under the policy that drew it and under the reference. `weight` is what the token counts
    in the loss; the weights of a step need not sum to 1 (methods.py). `returns`: what a value head is to predict.
    """

    tokens: Int[np.ndarray, "B T"]
    positions: Int[np.ndarray, "B T"]
    segments: Int[np.ndarray, "B T"]
    targets: Int[np.ndarray, "B T"]
    log_old: Float[np.ndarray, "B T"]
    log_ref: Float[np.ndarray, "B T"]
    advantage: Float[np.ndarray, "B T"]
    weight: Float[np.ndarray, "B T"]
    returns: Float[np.ndarray, "B T"]


class ActorCritic(nn.Module):
    """A policy, and beside it a model of its shape that says what a text is worth so far: PPO's value function.

    Of its own, since two losses in one small model pull at the same weights. It is 0 everywhere at the start.
    """

    def __init__(self, decoder: Decoder, critic: Decoder) -> None:
        super().__init__()
        self.decoder, self.critic = decoder, critic
        self.value = nn.Linear(critic.config.d_model, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def values(self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"], attend: Attend) -> Float[Tensor, "*B"]:
        hidden = self.critic(tokens, positions, attend)
        return self.value(hidden.to(self.value.weight.dtype)).squeeze(-1).float()


def policy_of(model: Any) -> Any:
    """The language model in what is trained."""
    return model.decoder if isinstance(model, ActorCritic) else model


class TokenLogprobs(NamedTuple):
    """Of M learned tokens, in the order of the rows: log p, and the entropy of the distribution it was drawn from."""

    log_p: Float[Tensor, "M"]
    entropy: Float[Tensor, "M"]


def read_tokens(model: Any, batch: Any, temperature: float = 1.0) -> TokenLogprobs:
    """What the model makes of each learned token of a batch of tensors; no other logit is computed."""
    loss_mask = batch.targets != IGNORE_INDEX
    hidden = model(batch.tokens, batch.positions, causal_attend(batch.segments))
    log_p = (model.logits(hidden[loss_mask]).float() / temperature).log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return TokenLogprobs(log_p.gather(-1, batch.targets[loss_mask][:, None]).squeeze(-1), entropy)


@torch.no_grad()
def read_rows(model: Any, batch: Batch, device: torch.device, temperature: float = 1.0) -> dict[str, np.ndarray]:
    """log p and entropy at the places of a batch of arrays, 0 where nothing is learned; nothing is dropped out."""
    training = model.training
    model.eval()
    tensors = Batch(*(torch.as_tensor(array, device=device) for array in batch[:4]))  # type: ignore[arg-type]
    read, loss_mask = read_tokens(model, tensors, temperature), batch.targets != IGNORE_INDEX
    model.train(training)
    return {name: _placed(value, loss_mask) for name, value in read._asdict().items()}


@torch.no_grad()
def read_values(model: ActorCritic, batch: Batch, device: torch.device) -> Float[np.ndarray, "B T"]:
    """What the value head says where an answer's next token is drawn, 0 elsewhere."""
    tokens, positions, segments = (torch.as_tensor(array, device=device) for array in batch[:3])
    values = model.values(tokens, positions, causal_attend(segments)).cpu().numpy()
    return np.where(batch.targets != IGNORE_INDEX, values, 0.0)


def _placed(values: Float[Tensor, "M"], where: np.ndarray) -> Float[np.ndarray, "B T"]:
    placed = np.zeros(where.shape, np.float32)
    placed[where] = values.cpu().numpy()
    return placed


def clipped(
    log_p: Float[Tensor, "M"], log_old: Float[Tensor, "M"], advantage: Float[Tensor, "M"], low: float, high: float
) -> Float[Tensor, "M"]:
    """-min(ρ Â, clip(ρ, 1 - low, 1 + high) Â), ρ = π / π_old. Schulman et al. 2017, equation 7."""
    ratio = (log_p - log_old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def k3(log_p: Float[Tensor, "M"], log_ref: Float[Tensor, "M"]) -> Float[Tensor, "M"]:
    """π_ref / π - 1 - log(π_ref / π): never negative, on average KL(π‖π_ref). Schulman 2020."""
    return torch.expm1(log_ref - log_p) - (log_ref - log_p)


@dataclass
class PolicyLoss:
    """Σ weight (clipped objective + β k3) over a batch's learned tokens, and the value head's squared error beside it.

    `told` collects numbers of each call with gradients, for whoever writes them down: how many ratios were cut off, how
    far they were from 1, and the share of the returns' variance that the values explain.
    """

    low: float
    high: float
    beta: float
    temperature: float = 1.0
    value: float = 0.5
    told: list[dict[str, float]] = field(default_factory=list)

    def __call__(self, model: Any, batch: Any) -> Tensor:
        loss_mask = batch.targets != IGNORE_INDEX
        log_p = read_tokens(policy_of(model), batch, self.temperature).log_p
        log_old, log_ref, advantage, weight = (
            array[loss_mask] for array in (batch.log_old, batch.log_ref, batch.advantage, batch.weight)
        )
        each = clipped(log_p, log_old, advantage, self.low, self.high)
        if self.beta:
            each = each + self.beta * k3(log_p, log_ref)
        loss = (weight * each).sum()
        numbers = _told(log_p.detach(), log_old, advantage, self.low, self.high)
        if isinstance(model, ActorCritic):
            values = model.values(batch.tokens, batch.positions, causal_attend(batch.segments))[loss_mask]
            returns = batch.returns[loss_mask]
            loss = loss + self.value * ((values - returns) ** 2).sum() / (2 * max(1, len(returns)))
            numbers["explained_variance"] = explained_variance(values.detach(), returns)
        if torch.is_grad_enabled():
            self.told.append(numbers)
        return loss

    def drain(self) -> dict[str, float]:
        """The means of what was told since the last call."""
        told, self.told = self.told, []
        return means(told)


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each number over the rows, which have the same; none of none."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in (rows[0] if rows else ())}


def _told(log_p: Tensor, log_old: Tensor, advantage: Tensor, low: float, high: float) -> dict[str, float]:
    if not len(log_p):
        return {"clipped": 0.0, "ratio": 1.0}
    ratio = (log_p - log_old).exp()
    cut = torch.where(advantage >= 0, ratio > 1 + high, ratio < 1 - low) & (advantage != 0)
    return {"clipped": cut.float().mean().item(), "ratio": ratio.mean().item()}


def explained_variance(values: Float[Tensor, "M"], returns: Float[Tensor, "M"]) -> float:
    """1 - Var(returns - values) / Var(returns): 1 is perfect, 0 a constant, below 0 worse than one; 0 of one token."""
    if len(returns) < 2 or returns.var() == 0:
        return 0.0
    return (1 - (returns - values).var() / returns.var()).item()
