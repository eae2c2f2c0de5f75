"""The methods by which a policy learns from answers of its own, a row of a table each, and their settings."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from clearhead.alignment.advantages import centered, group_relative, leave_one_out
from clearhead.errors import UserError
from clearhead.models.decoder import DecoderConfig

STEP_LOGITS, STEP_HIDDEN = 1 << 27, 1 << 26  # numbers of a part of a step: logits, and hidden states of all layers
Learns = Literal["policy", "pairs", "finds"]
Weighs = Literal["answer", "token", "limit", "sum"]


@dataclass(frozen=True)
class Method:
    """`learns`: by the clipped objective, from pairs of a better and a worse answer, or from the right answers alone.

    `advantages` of a group's rewards; None where a value head gives each token's. `weighs`: what counts alike in the
    loss; answers, all tokens of a step, tokens by the longest possible answer, or answers by the sum of their tokens.
    `clip_high` and `beta` where the settings leave them open, `kl`: where β counts. `resamples`: groups whose answers
    are all worth the same are replaced by others.
    """

    label: str
    learns: Learns
    advantages: Callable[[Float[np.ndarray, "N"]], Float[np.ndarray, "N"]] | None = None
    weighs: Weighs = "answer"
    clip_high: float = 0.2
    beta: float = 0.0
    kl: Literal["loss", "reward"] = "loss"
    resamples: bool = False
    source: str = ""


METHODS = {
    "expert-iteration": Method("expert iteration", "finds", source="Anthony et al. 2017; Zelikman et al. 2022"),
    "dpo": Method("DPO", "pairs", beta=0.1, source="Rafailov et al. 2023"),
    "ppo": Method("PPO", "policy", weighs="token", beta=0.05, kl="reward", source="Schulman et al. 2017"),
    "grpo": Method("GRPO", "policy", group_relative, beta=0.04, source="Shao et al. 2024"),
    "dr-grpo": Method("Dr. GRPO", "policy", centered, "limit", source="Liu et al. 2025"),
    "dapo": Method("DAPO", "policy", group_relative, "token", 0.28, resamples=True, source="Yu et al. 2025"),
    "rloo": Method(
        "RLOO", "policy", leave_one_out, "sum", beta=0.05, kl="reward", source="Ahmadian et al. 2024"
    ),
}  # fmt: skip
NAMES = Literal["none", "expert-iteration", "dpo", "ppo", "grpo", "dr-grpo", "dapo", "rloo"]


@dataclass(frozen=True)
class AlignConfig:
    """How a policy goes on learning from what it writes, `method` "none": not at all.

    In each of `rounds` it answers `problems` prompts `samples` times each, and learns from these answers in `epochs`
    passes of `minibatches` steps: so many steps old is the policy that wrote them at most. `reward` is "checker" (the
    task's), "outcome" or "process" (the reward model's heads), or a Python file with a function `reward`.

    `beta` weighs the KL to the policy as it was at first, `kl` says where: in the loss, or in the reward; left out,
    both are the method's. `target_kl`, in nats an answer, lets β adapt to it; 0: β is fixed. `search`: a strategy that
    expert iteration and DPO try, with `budget` tokens, at problems that no answer solves. `keep`: different right
    answers that expert iteration learns from, of one problem. `accumulate`: parts that a step is computed in; 0: as
    many as keep its memory small. `lr` is AdamW's; 0: as the model's size asks for.

    `shaping`: PPO is paid at the end of every step already, by so many times the change in what the reward model's
    process head thinks of the steps so far. The methods that look at an answer's whole reward have no use for it: the
    sum of these changes is the same for every answer to a prompt.

    `betas`: the same is done with each of these instead of `beta`, from the same start, to see how far a reward model
    can be pushed before it is fooled; the policy that is really right most often on held-out problems is kept.
    """

    method: NAMES = "none"
    rounds: int = 60
    problems: int = 64
    samples: int = 8
    epochs: int = 1
    minibatches: int = 1
    accumulate: int = 0
    reward: str = "checker"
    temperature: float = 1.0
    beta: float | None = None
    kl: Literal["method", "loss", "reward"] = "method"
    target_kl: float = 0.0
    clip_low: float = 0.2
    clip_high: float | None = None
    gamma: float = 1.0
    lam: float = 0.95
    value: float = 0.5
    shaping: float = 0.0
    search: str = "mcts-puct"
    budget: int = 0
    keep: int = 4
    lr: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    warmup: int = 5
    eval_every: int = 10
    save_every: int = 10
    betas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rounds", "problems", "epochs", "minibatches", "keep", "eval_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.samples < 2:
            raise UserError(f"samples = {self.samples} leaves nothing to compare an answer with; at least 2 are needed")
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"temperature = {self.temperature} must be above 0: answers that are all the same teach nothing"
            )
        for name in (
            "target_kl",
            "clip_low",
            "value",
            "shaping",
            "budget",
            "accumulate",
            "lr",
            "weight_decay",
            "clip",
            "warmup",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 or a positive number")
        for name in ("beta", "clip_high"):
            given = getattr(self, name)
            if given is not None and not 0 <= given < math.inf:
                raise UserError(f"{name} = {given} must be 0 or a positive number")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 to 1")
        if unread := next((name for name in self._unread() if self.changes(name)), None):
            told = "set method as well, such as 'grpo'" if self.method == "none" else f"{self.method} has no use for it"
            raise UserError(f"{unread} = {getattr(self, unread)!r} would change nothing: {told}")
        if self.method == "none":
            return
        if any(not 0 <= beta < math.inf for beta in self.betas) or len(set(self.betas)) < len(self.betas):
            raise UserError(f"betas = {list(self.betas)} must be different numbers, 0 or positive")
        if self.betas and self.beta is not None:
            raise UserError(f"betas = {list(self.betas)} and beta = {self.beta}: leave one of them out")
        if self.method == "dpo" and self.beta == 0:
            raise UserError("beta = 0 tells DPO nothing apart; it must be above 0, such as 0.1")
        if self.target_kl and not self.starting_beta:
            raise UserError(
                f"target_kl = {self.target_kl} adapts beta, which is 0; set beta to start from, such as 0.05"
            )
        if self.target_kl and self.kl_in == "loss":
            raise UserError(f"target_kl = {self.target_kl} is for a KL in the reward; set kl = 'reward'")

    def changes(self, name: str) -> bool:
        """Is a setting another than the usual one?"""
        return bool(getattr(self, name) != next(field.default for field in fields(self) if field.name == name))

    def _unread(self) -> list[str]:
        """The settings that the method does not look at."""
        if self.method == "none":
            return [field.name for field in fields(self) if field.name != "method"]
        unread = [] if self.critic else ["gamma", "lam", "value", "shaping"]
        unread += {
            "policy": ["search", "budget", "keep"],
            "pairs": ["keep", "clip_low", "clip_high", "kl", "target_kl", "betas"],
            "finds": ["beta", "clip_low", "clip_high", "kl", "target_kl", "betas"],
        }[self.learns.learns]
        return unread

    @property
    def learns(self) -> Method:
        return METHODS[self.method]

    @property
    def critic(self) -> bool:
        """Whether a value head gives the advantages."""
        return self.learns.learns == "policy" and self.learns.advantages is None

    @property
    def starting_beta(self) -> float:
        return self.learns.beta if self.beta is None else self.beta

    @property
    def kl_in(self) -> str:
        return self.learns.kl if self.kl == "method" else self.kl

    @property
    def high(self) -> float:
        return self.learns.clip_high if self.clip_high is None else self.clip_high

    @property
    def updates(self) -> int:
        """Steps on the answers of one round."""
        return self.epochs * self.minibatches


def in_parts(config: AlignConfig, shape: DecoderConfig, texts: int, length: int, written: int) -> AlignConfig:
    """The settings with `accumulate` filled in, for steps of `texts` texts of `length` tokens, of which so many are
    `written`, and each of those has a logit for every token of the vocabulary.

    >>> small, large = DecoderConfig(vocab=24), DecoderConfig(vocab=49152, d_model=576, n_layers=30, n_heads=9)
    >>> [in_parts(AlignConfig("grpo"), shape, 512, 256, 128).accumulate for shape in (small, large)]
    [2, 34]
    """
    logits, hidden = texts * written * shape.vocab, texts * length * shape.n_layers * shape.d_model
    parts = config.accumulate or max(1, math.ceil(logits / STEP_LOGITS), math.ceil(hidden / STEP_HIDDEN))
    return replace(config, accumulate=parts)


def adapted(beta: float, target: float, kl: float) -> float:
    """β for the next round, up to a fiftieth larger where the KL is above its target and smaller where it is below.

    Ziegler et al. 2019, section 2.2.

    >>> adapted(0.1, 6.0, 12.0), adapted(0.1, 6.0, 6.0)
    (0.10200000000000001, 0.1)
    """
    error = min(0.2, max(-0.2, kl / target - 1))
    return beta * (1 + 0.1 * error)
