"""Split-KV decoding: attention over parts of the keys, and the merge of parts by their log-sum-exp.

The merge is all that exact attention needs to be cut along its keys, be it for a GPU's processors that share a long
cache, or for a ring of GPUs that hold a piece of it each.
"""

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.flash import Memory
from clearhead.reference.softmax import log_sum_exp, log_sum_exp_vjp, softmax, softmax_vjp


def merge(
    o: Float[Array, "N *B T C"], lse: Float[Array, "N *B T"]
) -> tuple[Float[Array, "*B T C"], Float[Array, "*B T"]]:
    """o = Σ_n e^(lse_n - lse) o_n with lse = log Σ_n e^lse_n: attention over N sets of keys, from attention over each.

    >>> o, lse = merge(np.array([[[1.0]], [[5.0]]]), np.log([[1.0], [3.0]]))
    >>> o.tolist(), lse.round(4).tolist()  # log 4
    ([[4.0]], [1.3863])

    O(N T C). Dao et al. 2023 (Flash-Decoding); Liu et al. 2023 (ring attention), section 3. ValueError: no sets.
    """
    share = np.moveaxis(softmax(np.moveaxis(lse, 0, -1)), -1, 0)
    return (share[..., None] * o).sum(0), log_sum_exp(np.moveaxis(lse, 0, -1))


def merge_vjp(
    o: Float[Array, "N *B T C"], lse: Float[Array, "N *B T"], do: Float[Array, "*B T C"], dlse: Float[Array, "*B T"]
) -> tuple[Float[Array, "N *B T C"], Float[Array, "N *B T"]]:
    """do_n = w_n do and dlse_n = w_n (do·(o_n - o) + dlse), with the weights w_n = e^(lse_n - lse)."""
    z = np.moveaxis(lse, 0, -1)
    share = np.moveaxis(softmax(z), -1, 0)
    from_o = softmax_vjp(z, np.moveaxis((o * do).sum(-1), 0, -1))
    return share[..., None] * do, np.moveaxis(from_o + log_sum_exp_vjp(z, dlse), -1, 0)


def split_kv(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    mask: Bool[Array, "T S"] | None,
    splits: int,
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, " T"]]:
    """Attention of few queries to many keys: the keys in `splits` equal parts beside each other, then their merge.

    One query of a decoding step makes one tile, so without this one processor of a GPU would read the whole cache.

    >>> split_kv(np.zeros((1, 2)), np.zeros((6, 2)), np.ones((6, 2)), None, 3, Memory())[0].tolist()
    [[1.0, 1.0]]

    O(T S C), O(splits T C) beyond the result. Dao et al. 2023 (Flash-Decoding). ValueError: splits below 1.
    """
    if splits < 1:
        raise ValueError(f"splits = {splits} must be 1 or more")
    o, lse = np.empty((splits, *q.shape)), np.empty((splits, len(q)))
    for n, part in enumerate(np.array_split(np.arange(len(k)), splits)):
        q_n, k_n, v_n = hbm.load(q, k[part], v[part])
        z = q_n @ k_n.T / np.sqrt(q.shape[1])
        z = z if mask is None else np.where(mask[:, part], z, -np.inf)
        hbm.store(o[n], softmax(z) @ v_n if len(part) else 0.0)
        hbm.store(lse[n], log_sum_exp(z) if len(part) else -np.inf)
    merged, total = np.empty_like(q), np.empty(len(q))
    found = merge(*hbm.load(o, lse))
    hbm.store(merged, found[0])
    hbm.store(total, found[1])
    return merged, total
