"""Direct preference optimization: of two answers to one prompt the chosen one becomes likelier, without a reward model.

Rafailov et al. 2023, equation 7; formulas: reference.preference. Pairs come from search or from a file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.alignment.answers import lay_out_numbered
from clearhead.alignment.policy_gradient import means, read_rows, read_tokens
from clearhead.text.packing import IGNORE_INDEX, Document


class Pair(NamedTuple):
    """Token ids; both answers end as the policy would end them."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def documents(self) -> list[Document]:
        return [Document(self.prompt, self.chosen), Document(self.prompt, self.rejected)]


class PairBatch(NamedTuple):
    """Packed answers; `answer` numbers at each learned place the answer it belongs to, 2 i chosen and 2 i + 1 rejected.

    log_ref: log p of each whole answer under the reference.
    """

    tokens: Int[np.ndarray, "B T"]
    positions: Int[np.ndarray, "B T"]
    segments: Int[np.ndarray, "B T"]
    targets: Int[np.ndarray, "B T"]
    answer: Int[np.ndarray, "B T"]
    log_ref: Float[np.ndarray, "N"]


def pair_batch(pairs: Sequence[Pair], log_ref: Float[np.ndarray, "P 2"], length: int) -> PairBatch:
    """The pairs in rows of `length` tokens; `log_ref` as `reference_logprobs` gives it."""
    documents = [document for pair in pairs for document in pair.documents]
    numbers = [np.full(len(document.solution), float(i)) for i, document in enumerate(documents)]
    laid_out = lay_out_numbered(documents, length)
    return PairBatch(*laid_out.batch, laid_out.rows(numbers).astype(np.int64), log_ref.ravel().astype(np.float32))


def of_pairs(pairs: Sequence[Pair], log_ref: Mapping[Pair, Float[np.ndarray, "2"]], length: int) -> PairBatch:
    """A batch of some of the pairs whose log_ref is known."""
    return pair_batch(pairs, np.array([log_ref[pair] for pair in pairs]).reshape(-1, 2), length)


def reference_logprobs(
    pairs: Sequence[Pair], length: int, reference: Any, device: torch.device, at_once: int = 16,
    advance: Callable[[int], None] = lambda pairs: None,
) -> Float[np.ndarray, "P 2"]:  # fmt: skip
    """log p of the chosen and of the rejected answer of each pair under a model that stays as it is.

    `advance` is told of every few pairs that are read.
    """
    found = np.zeros((len(pairs), 2))
    for start in range(0, len(pairs), at_once):
        documents = [document for pair in pairs[start : start + at_once] for document in pair.documents]
        laid_out = lay_out_numbered(documents, length)
        each = laid_out.by_document(read_rows(reference, laid_out.batch, device)["log_p"], documents)
        found[start : start + at_once] = np.array([row.sum() for row in each]).reshape(-1, 2)
        advance(len(documents) // 2)
    return found


def dpo(
    chosen: Float[Tensor, "P"], rejected: Float[Tensor, "P"], ref_chosen: Float[Tensor, "P"],
    ref_rejected: Float[Tensor, "P"], beta: float,
) -> Float[Tensor, "P"]:  # fmt: skip
    """-log σ(β (log π/π_ref of the chosen answer - the same of the rejected one)), of log p of whole answers."""
    return -F.logsigmoid(beta * ((chosen - ref_chosen) - (rejected - ref_rejected)))


def answer_logprobs(model: Any, batch: Any) -> Float[Tensor, "N"]:
    """log p of each whole answer: the sum over its tokens."""
    loss_mask = batch.targets != IGNORE_INDEX
    log_p = read_tokens(model, batch).log_p
    return (torch.zeros_like(batch.log_ref) + 0 * log_p.sum()).index_add(0, batch.answer[loss_mask], log_p)


@dataclass
class DpoLoss:
    """The mean over the pairs of a batch. `told` collects the share of pairs in the right order and their margins."""

    beta: float
    told: list[dict[str, float]] = field(default_factory=list)

    def __call__(self, model: Any, batch: Any) -> Tensor:
        log_p = answer_logprobs(model, batch)
        margin = self.beta * (log_p - batch.log_ref)
        chosen, rejected = margin[0::2], margin[1::2]
        if torch.is_grad_enabled():
            right = (chosen > rejected).float().mean().item() if len(chosen) else 0.0
            margins = (chosen - rejected).detach().mean().item() if len(chosen) else 0.0
            self.told.append({"pairs_right": right, "margin": margins})
        each = dpo(log_p[0::2], log_p[1::2], batch.log_ref[0::2], batch.log_ref[1::2], self.beta)
        return each.sum() / max(1, len(each))

    def drain(self) -> dict[str, float]:
        """The means of what was told since the last call."""
        told, self.told = self.told, []
        return means(told)


def count_pairs(batch: PairBatch) -> int:
    """What the mean loss of a batch weighs."""
    return len(batch.log_ref) // 2
