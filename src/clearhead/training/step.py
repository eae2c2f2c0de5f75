"""Loss and gradients of one step: a working copy of the weights in the compute type, compiled where it pays.

The float32 weights are the truth and only the optimizer changes them. Once a step they are rounded into the working
copy, so that nothing inside the step casts a weight. Deliberately not here: the optimizer and the loop.
"""

import copy
import ctypes
import math
import platform
import shutil
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.kernels.machine import bfloat16_is_fast
from clearhead.models.recurrent import Recurrent
from clearhead.text.packing import IGNORE_INDEX
from clearhead.text.pairs import PairBatch

LossFn = Callable[[Any, Any], Tensor]
"""(model, batch of tensors) -> mean loss, a scalar."""

EAGER_SECONDS_WORTH_COMPILING = 150  # compiling takes 20-60 s on two cores and then at least halves the time
EAGER_FLOPS_PER_SECOND = 100e9  # what two such cores reach in an eager step


def hidden_states(model: Any, batch: Any) -> Tensor:
    """What a language model makes of each token and those before it: the one place that tells its kinds apart."""
    if isinstance(batch, PairBatch):
        places = torch.arange(batch.source.shape[1], device=batch.source.device)
        mask = places < batch.lengths[:, None]
        memory, state = model.encode(batch.source, mask)
        return model.read(batch.tokens, state, memory, mask).hidden
    if isinstance(model, Recurrent):
        return model(batch.tokens)
    return model(batch.tokens, batch.positions, causal_attend(batch.segments))


def language_model_loss(model: Any, batch: Any) -> Tensor:
    """Mean of -log p(target | earlier tokens) over the positions that have a target."""
    logits = model.logits(hidden_states(model, batch)).float()
    return F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten(), ignore_index=IGNORE_INDEX)


def count_targets(batch: Any) -> int:
    """What the mean loss of a batch weighs where every target token counts alike."""
    return int((batch.targets != IGNORE_INDEX).sum())


@torch.no_grad()
def mean_loss(
    model: nn.Module,
    batches: Sequence[Any],
    loss_fn: LossFn,
    device: torch.device,
    weight: Callable[[Any], int] = count_targets,
) -> float:
    """The loss over batches of arrays, without dropout, each by its weight: nats a token for a language model.

    A loss that is no mean over targets, as a reward model's, says itself what a batch weighs.
    """
    training = model.training
    model.eval()
    weights = [weight(batch) for batch in batches]
    losses = [loss_fn(model, to_tensors(batch, device)).item() for batch in batches]
    model.train(training)
    return sum(w * loss for w, loss in zip(weights, losses, strict=True) if w) / (sum(weights) or math.nan)


def compute_dtype(name: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """auto: bfloat16 where the processor multiplies it faster than float32."""
    if name == "auto":
        name = "bfloat16" if bfloat16_is_fast(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def should_compile(choice: Literal["auto", "on", "off"], parameters: int, tokens: int, device: torch.device) -> bool:
    """auto: when the run, `tokens` long in all, would be slow enough without; the same answer on every resume."""
    if choice == "off":
        return False
    ready = device.type != "cpu" or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if choice == "on" and not ready:
        raise UserError(
            "compile = 'on' needs a C++ compiler, and none of c++, g++, clang++ is here; install one or use 'off'"
        )
    return bool(ready) and (
        choice == "on" or 6 * parameters * tokens / EAGER_FLOPS_PER_SECOND > EAGER_SECONDS_WORTH_COMPILING
    )


def to_tensors(batch: Any, device: torch.device) -> Any:
    """The same named tuple with tensors for arrays."""
    return type(batch)(*(torch.as_tensor(array, device=device) for array in batch))


def keep_freed_memory() -> None:
    """Let the C library keep what is freed: a step otherwise loses a sixth of its time to the system's fresh pages.

    The switches of glibc's mallopt; elsewhere nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(top_pad, 256 * 2**20)


def working_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model in the compute type, but embeddings: the gradient of one row is a sum over all its occurrences.

    A frozen weight that has the right type is not copied but shared.
    """
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    memo: dict[int, object] = {}
    for p in model.parameters():
        kind = torch.float32 if id(p) in tables else dtype
        shared = p.dtype == kind and not p.requires_grad
        memo[id(p)] = p if shared else nn.Parameter(p.detach().to(kind, copy=True), p.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.to(dtype, copy=True) if buffer.is_floating_point() else buffer.clone()
    return copy.deepcopy(model, memo)


class Gradients:
    """Loss and float32 gradients, averaged over micro-batches. `work` is the model that computed them."""

    def __init__(self, model: nn.Module, loss_fn: LossFn, dtype: torch.dtype, compiled: bool) -> None:
        self.work = working_copy(model, dtype)
        self.loss_fn = loss_fn
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        masters, copies = dict(model.named_parameters()), dict(self.work.named_parameters())
        self.masters = [masters[name].detach() for name in self.names]
        self.copies: list[Tensor] = [copies[name] for name in self.names]
        self.device = self.masters[0].device
        self.compute = torch.compile(loss_fn, dynamic=False) if compiled else loss_fn

    def refresh(self) -> None:
        """Round the current weights into the working copy."""
        with torch.no_grad():
            torch._foreach_copy_(self.copies, self.masters)

    def __call__(self, micro_batches: Sequence[Any]) -> tuple[float, dict[str, Tensor]]:
        self.refresh()
        loss_sum = 0.0
        sums: list[Tensor] = []
        for batch in micro_batches:
            loss = self.compute(self.work, to_tensors(batch, self.device))
            loss.backward()
            gradients = [torch.zeros_like(p).float() if p.grad is None else p.grad.float() for p in self.copies]
            for p in self.copies:
                p.grad = None
            sums = [total + g for total, g in zip(sums, gradients, strict=True)] if sums else gradients
            loss_sum += loss.item()
        n = len(micro_batches)
        mean = sums if n == 1 else [total / n for total in sums]
        return loss_sum / n, dict(zip(self.names, mean, strict=True))


def clip(gradients: dict[str, Tensor], limit: float) -> float:
    """Scale all gradients down, in place, so that their joint norm is at most `limit` (0: none); the norm before."""
    values = list(gradients.values())
    if not values:
        return 0.0
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values))).item()
    if 0 < limit < norm < math.inf:
        torch._foreach_mul_(values, limit / norm)
    return norm
