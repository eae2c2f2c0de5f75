"""AdamW and Muon: the update rules as pure functions, and `Optimizer`, which holds their moments by parameter name.

Deliberately not here: the learning rate's course (schedule.py), gradients and their clipping (step.py).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.nn.layers import Attention

RULES = ("adamw", "muon")
BETAS = (0.9, 0.95)
EPS = 1e-10
MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024: steepest at 0, singular values end in about [0.7, 1.2]


def adamw(
    w: Float[Tensor, "*N"],
    g: Float[Tensor, "*N"],
    m: Float[Tensor, "*N"],
    v: Float[Tensor, "*N"],
    t: int,
    lr: float,
    decay: float,
    betas: tuple[float, float] = BETAS,
    eps: float = EPS,
) -> tuple[Tensor, Tensor, Tensor]:
    """The next w, m, v: Adam's step, the decay apart from it. Loshchilov and Hutter 2019, algorithm 2."""
    beta1, beta2 = betas
    m = m.lerp(g, 1 - beta1)
    v = v.lerp(g * g, 1 - beta2)
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w * (1 - lr * decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


def adamw_(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    t: int,
    lr: float,
    decay: float,
    betas: tuple[float, float] = BETAS,
    eps: float = EPS,
) -> None:
    """`adamw` in place, the same operations in the same order and so the same bits, with a third of the memory."""
    beta1, beta2 = betas
    m.lerp_(g, 1 - beta1)
    v.lerp_(g * g, 1 - beta2)
    root = (v / (1 - beta2**t)).sqrt_().add_(eps)
    w.mul_(1 - lr * decay).sub_((m / (1 - beta1**t)).mul_(lr).div_(root))


def muon(
    w: Float[Tensor, "N rows columns"],
    g: Float[Tensor, "N rows columns"],
    m: Float[Tensor, "N rows columns"],
    lr: float,
    decay: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """The next w, m: Nesterov momentum, then the nearest orthogonal matrix. Jordan et al. 2024, algorithm 2.

    √max(1, rows/columns) makes the update's effect on a vector the same for every shape.
    """
    m = m.lerp(g, 1 - MOMENTUM)
    update = orthogonal(g.lerp(m, MOMENTUM).to(dtype)).to(w.dtype)
    return w * (1 - lr * decay) - lr * max(1, w.shape[-2] / w.shape[-1]) ** 0.5 * update, m


def orthogonal(g: Float[Tensor, "N rows columns"], iterations: int = 5) -> Float[Tensor, "N rows columns"]:
    """About U Vᵀ of the singular value decomposition g = U S Vᵀ, by X <- aX + (bA + cA²)X with A = XXᵀ, from X = g/|g|.

    The shorter side is the inner one, so N matrices cost O(N rows columns min(rows, columns)) for each iteration.
    """
    a, b, c = NEWTON_SCHULZ
    tall = g.shape[-2] > g.shape[-1]
    x = (g.mT if tall else g).contiguous()
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        A = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(A, A, A, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def hidden_matrices(model: nn.Module) -> set[str]:
    """The names of the matrices between layers: Muon's, and the only weights that decay.

    Not biases and norm weights, not embeddings, not what has as many rows as one (the head), not the stacked gates of a
    recurrent layer; and where a model has a list of layers, not what stands outside of it.
    """
    lists = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    own = {
        name: (module, w)
        for at, module in model.named_modules()
        for name, w in module.named_parameters(at, recurse=False)
    }
    vocabularies = {len(w) for module, w in own.values() if isinstance(module, nn.Embedding)}
    return {
        name
        for name, (module, w) in own.items()
        if w.ndim == 2 and not isinstance(module, nn.Embedding | nn.RNNBase)
        if (name.startswith(lists) if lists else len(w) not in vocabularies)
    }


def pieces(model: nn.Module) -> dict[str, list[slice]]:
    """For each weight that is several matrices, their rows: q, k and v share one only to be one product."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, Attention):
            H, G = (heads * module.head_dim for heads in module.heads)
            found[f"{name}.qkv.weight"] = [slice(0, H), slice(H, H + G), slice(H + G, H + 2 * G)]
    return found


class Optimizer:
    """Applies one rule to each parameter: Muon's batched by shape, AdamW's one by one. `state` is all it remembers.

    Of any model: `hidden_matrices` decay and are Muon's under that rule, all else is AdamW's, with `betas` and `eps`.
    UserError: an unknown rule.
    """

    def __init__(
        self,
        model: nn.Module,
        rule: str,
        lr: float,
        adam_lr: float,
        decay: float,
        dtype: torch.dtype = torch.float32,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
    ) -> None:
        if rule not in RULES:
            raise UserError(f"the rule {rule!r} is unknown; choose {' or '.join(RULES)}")
        self.lr, self.adam_lr, self.decay, self.dtype = lr, adam_lr, decay, dtype
        self.betas, self.eps = betas, eps
        self.weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        among = hidden_matrices(model)
        hidden = [name for name in self.weights if name in among]
        by_shape: dict[tuple[int, int], list[tuple[str, slice]]] = {}
        several = pieces(model)
        for name in hidden if rule == "muon" else ():
            for rows in several.get(name, [slice(0, self.weights[name].shape[0])]):
                by_shape.setdefault((rows.stop - rows.start, self.weights[name].shape[1]), []).append((name, rows))
        self.muon_groups = list(by_shape.values())
        self.adam_names = [name for name in self.weights if rule != "muon" or name not in hidden]
        self.decayed = set(hidden)
        self.state = {f"m/{name}": torch.zeros_like(w) for name, w in self.weights.items()}
        self.state |= {f"v/{name}": torch.zeros_like(self.weights[name]) for name in self.adam_names}

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], t: int, scale: float) -> None:
        """Update the weights in place; t counts from 1, `scale` multiplies both learning rates."""
        w, state = self.weights, self.state
        for name in self.adam_names:
            decay = self.decay if name in self.decayed else 0.0
            m, v = state[f"m/{name}"], state[f"v/{name}"]
            adamw_(w[name], gradients[name], m, v, t, scale * self.adam_lr, decay, self.betas, self.eps)
        for group in self.muon_groups:
            ws = [w[name][rows] for name, rows in group]
            gs = [gradients[name][rows] for name, rows in group]
            ms = [state[f"m/{name}"][rows] for name, rows in group]
            new_w, new_m = muon(
                torch.stack(ws), torch.stack(gs), torch.stack(ms), scale * self.lr, self.decay, self.dtype
            )
            for old, value in zip([*ws, *ms], [*new_w, *new_m], strict=True):
                old.copy_(value)
