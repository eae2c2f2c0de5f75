"""Exact attention by tiles, for one head of one sequence: the score matrix is never stored.

HBM is the large, slow memory of a GPU; what a function loads from it and stores to it is counted by a `Memory`, and
attention_traffic.py has the same counts as formulas. What is computed between a load and a store lives on the chip.
All heads and sequences do the same beside each other. A mask costs nothing to read, as it follows from the indices, and
a tile of which it leaves nothing is skipped. The sum l is called `ell` in the code.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.softmax import softmax, softmax_vjp


@dataclass
class Memory:
    """Counts the elements that go to and from HBM."""

    reads: int = 0
    writes: int = 0

    def load(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Copies on the chip."""
        self.reads += sum(a.size for a in arrays)
        return [a.copy() for a in arrays]

    def store(self, place: np.ndarray, values: np.ndarray | float) -> None:
        self.writes += place.size
        place[...] = values

    def new(self, *shape: int, fill: float = 0.0) -> np.ndarray:
        """An array in HBM, filled by writing it."""
        self.writes += int(np.prod(shape))
        return np.full(shape, fill)


def online_softmax(z: Float[Array, "*B K"], block: int) -> Float[Array, "*B K"]:
    """softmax in one pass for its sum: m ← max(m, max z_j), l ← l e^(m_old - m) + Σ e^(z_j - m), block by block.

    >>> online_softmax(np.log([1.0, 2.0, 5.0]), 2).round(3).tolist()
    [0.125, 0.25, 0.625]

    O(K). Milakov and Gimelshein 2018, algorithm 3. ValueError: a block below 1.
    """
    m, ell = np.full(z.shape[:-1], -np.inf), np.zeros(z.shape[:-1])
    for j in _tiles(z.shape[-1], block):
        m_old, m = m, np.maximum(m, z[..., j].max(-1))
        ell = ell * _exp(m_old, m) + _exp(z[..., j], m[..., None]).sum(-1)
    return _exp(z, m[..., None]) / _or_one(ell)[..., None]


def online_softmax_vjp(z: Float[Array, "*B K"], block: int, dp: Float[Array, "*B K"]) -> Float[Array, "*B K"]:
    """softmax's: the same function in another order."""
    return softmax_vjp(z, dp)


def plain_attention(
    q: Float[Array, "T C"], k: Float[Array, "S C"], v: Float[Array, "S C"], mask: Bool[Array, "T S"] | None, hbm: Memory
) -> tuple[Float[Array, "T C"], Float[Array, "T S"]]:
    """o and P as three kernels compute them, each of which reads and writes whole matrices: z, P = softmax(z), o = P v.

    >>> hbm = Memory()
    >>> o, p = plain_attention(np.zeros((4, 2)), np.zeros((4, 2)), np.ones((4, 2)), None, hbm)
    >>> o[0].tolist(), hbm
    ([1.0, 1.0], Memory(reads=56, writes=40))

    O(T S C), with two T × S matrices in HBM. Dao et al. 2022, algorithm 0.
    """
    z, p, o = np.empty((len(q), len(k))), np.empty((len(q), len(k))), np.empty_like(q)
    on_chip_q, on_chip_k = hbm.load(q, k)
    hbm.store(z, _scores(on_chip_q, on_chip_k, mask))
    (on_chip_z,) = hbm.load(z)
    hbm.store(p, softmax(on_chip_z))
    on_chip_p, on_chip_v = hbm.load(p, v)
    hbm.store(o, on_chip_p @ on_chip_v)
    return o, p


def plain_attention_backward(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    p: Float[Array, "T S"],
    do: Float[Array, "T C"],
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, "S C"], Float[Array, "S C"]]:
    """dv = Pᵀ do; dP = do vᵀ; dz = P (dP - Σ P dP); dq = dz k / √C; dk = dzᵀ q / √C, each a kernel of its own.

    O(T S C), with three T × S matrices in HBM. Dao et al. 2022, algorithm 3.
    """
    dq, dk, dv, dp, dz = (np.empty_like(a) for a in (q, k, v, p, p))
    p_, do_ = hbm.load(p, do)
    hbm.store(dv, p_.T @ do_)
    do_, v_ = hbm.load(do, v)
    hbm.store(dp, do_ @ v_.T)
    p_, dp_ = hbm.load(p, dp)
    hbm.store(dz, p_ * (dp_ - (p_ * dp_).sum(-1, keepdims=True)))
    dz_, k_ = hbm.load(dz, k)
    hbm.store(dq, dz_ @ k_ / np.sqrt(q.shape[1]))
    dz_, q_ = hbm.load(dz, q)
    hbm.store(dk, dz_.T @ q_ / np.sqrt(q.shape[1]))
    return dq, dk, dv


def flash_1(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    mask: Bool[Array, "T S"] | None,
    Br: int,
    Bc: int,
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, " T"], Float[Array, " T"]]:
    """o, l = Σ e^(z - m) and m = max z, keys outside: a tile of keys meets all queries, whose o, l and m wait in HBM.

    o_i is a mean at every step: o ← (l e^(m - m') o + e^(z - m') v) / l' with the new m' and l'.

    >>> hbm = Memory()
    >>> flash_1(np.zeros((4, 2)), np.zeros((4, 2)), np.ones((4, 2)), None, 2, 2, hbm)[1].tolist()
    [4.0, 4.0, 4.0, 4.0]

    O(T S C), O(T) beyond the result. Dao et al. 2022, algorithm 1. ValueError: a tile below 1 × 1.
    """
    o, ell, m = hbm.new(*q.shape), hbm.new(len(q)), hbm.new(len(q), fill=-np.inf)
    for j in _tiles(len(k), Bc):
        rows = [i for i in _tiles(len(q), Br) if _seen(mask, i, j)]
        k_j, v_j = hbm.load(k[j], v[j]) if rows else (k[j], v[j])
        for i in rows:
            q_i, o_i, l_i, m_i = hbm.load(q[i], o[i], ell[i], m[i])
            z = _scores(q_i, k_j, None if mask is None else mask[i, j])
            m_new = np.maximum(m_i, z.max(-1))
            p, kept = _exp(z, m_new[:, None]), l_i * _exp(m_i, m_new)
            l_new = kept + p.sum(-1)
            hbm.store(o[i], (kept[:, None] * o_i + p @ v_j) / _or_one(l_new)[:, None])
            hbm.store(ell[i], l_new)
            hbm.store(m[i], m_new)
    return o, ell, m


def flash_1_backward(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    o: Float[Array, "T C"],
    ell: Float[Array, " T"],
    m: Float[Array, " T"],
    do: Float[Array, "T C"],
    mask: Bool[Array, "T S"] | None,
    Br: int,
    Bc: int,
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, "S C"], Float[Array, "S C"]]:
    """attention's gradients with P = e^(z - m) / l computed again, and Σ P dP = do·o without P.

    O(T S C), O(T) beyond the result. Dao et al. 2022, algorithm 4. ValueError: a tile below 1 × 1.
    """
    dq, dk, dv = hbm.new(*q.shape), hbm.new(*k.shape), hbm.new(*v.shape)
    scale = np.sqrt(q.shape[1])
    for j in _tiles(len(k), Bc):
        rows = [i for i in _tiles(len(q), Br) if _seen(mask, i, j)]
        if not rows:
            continue
        k_j, v_j = hbm.load(k[j], v[j])
        dk_j, dv_j = np.zeros_like(k_j), np.zeros_like(v_j)
        for i in rows:
            q_i, o_i, do_i, dq_i, l_i, m_i = hbm.load(q[i], o[i], do[i], dq[i], ell[i], m[i])
            z = _scores(q_i, k_j, None if mask is None else mask[i, j])
            p = _exp(z, m_i[:, None]) / _or_one(l_i)[:, None]
            dz = p * (do_i @ v_j.T - (do_i * o_i).sum(-1)[:, None])
            dv_j += p.T @ do_i
            dk_j += dz.T @ q_i / scale
            hbm.store(dq[i], dq_i + dz @ k_j / scale)
        hbm.store(dk[j], dk_j)
        hbm.store(dv[j], dv_j)
    return dq, dk, dv


def flash_2(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    mask: Bool[Array, "T S"] | None,
    Br: int,
    Bc: int,
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, " T"]]:
    """o and lse = m + log l, queries outside: o stays on the chip until all keys have passed, and is divided by l once.

    Tiles of queries do not wait for one another, so that one long sequence can fill a GPU.

    >>> hbm = Memory()
    >>> flash_2(np.zeros((4, 2)), np.zeros((4, 2)), np.ones((4, 2)), None, 2, 2, hbm)[1].round(4).tolist()  # log 4
    [1.3863, 1.3863, 1.3863, 1.3863]
    >>> hbm
    Memory(reads=40, writes=12)

    O(T S C), O(T) beyond the result. Dao 2023, algorithm 1. ValueError: a tile below 1 × 1.
    """
    o, lse = np.empty_like(q), np.empty(len(q))
    for i in _tiles(len(q), Br):
        (q_i,) = hbm.load(q[i])
        o_i, l_i, m_i = np.zeros_like(q_i), np.zeros(len(q_i)), np.full(len(q_i), -np.inf)
        for j in _tiles(len(k), Bc):
            if not _seen(mask, i, j):
                continue
            k_j, v_j = hbm.load(k[j], v[j])
            z = _scores(q_i, k_j, None if mask is None else mask[i, j])
            m_old, m_i = m_i, np.maximum(m_i, z.max(-1))
            p, kept = _exp(z, m_i[:, None]), _exp(m_old, m_i)
            l_i = kept * l_i + p.sum(-1)
            o_i = kept[:, None] * o_i + p @ v_j
        hbm.store(o[i], o_i / _or_one(l_i)[:, None])
        hbm.store(lse[i], np.where(l_i == 0, -np.inf, m_i + np.log(_or_one(l_i))))
    return o, lse


def flash_2_backward(
    q: Float[Array, "T C"],
    k: Float[Array, "S C"],
    v: Float[Array, "S C"],
    o: Float[Array, "T C"],
    lse: Float[Array, " T"],
    do: Float[Array, "T C"],
    mask: Bool[Array, "T S"] | None,
    Br: int,
    Bc: int,
    hbm: Memory,
) -> tuple[Float[Array, "T C"], Float[Array, "S C"], Float[Array, "S C"]]:
    """flash_1_backward with P = e^(z - lse) and δ = do·o computed once; tiles of keys are independent but for dq.

    The paper's list loads o_i with each tile too, though δ_i has taken its place; that is not done here.

    O(T S C), O(T) beyond the result. Dao 2023, algorithm 2. ValueError: a tile below 1 × 1.
    """
    delta, scale = np.empty(len(q)), np.sqrt(q.shape[1])
    o_, do_ = hbm.load(o, do)
    hbm.store(delta, (do_ * o_).sum(-1))
    dq, dk, dv = hbm.new(*q.shape), np.zeros_like(k), np.zeros_like(v)
    for j in _tiles(len(k), Bc):
        k_j, v_j = hbm.load(k[j], v[j])
        dk_j, dv_j = np.zeros_like(k_j), np.zeros_like(v_j)
        for i in _tiles(len(q), Br):
            if not _seen(mask, i, j):
                continue
            q_i, do_i, dq_i, lse_i, delta_i = hbm.load(q[i], do[i], dq[i], lse[i], delta[i])
            p = _exp(_scores(q_i, k_j, None if mask is None else mask[i, j]), lse_i[:, None])
            dz = p * (do_i @ v_j.T - delta_i[:, None])
            dv_j += p.T @ do_i
            dk_j += dz.T @ q_i / scale
            hbm.store(dq[i], dq_i + dz @ k_j / scale)
        hbm.store(dk[j], dk_j)
        hbm.store(dv[j], dv_j)
    return dq, dk, dv


def _tiles(length: int, size: int) -> Iterator[slice]:
    if size < 1:
        raise ValueError(f"tiles of {size} rows hold nothing; take 1 or more")
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _seen(mask: np.ndarray | None, i: slice, j: slice) -> bool:
    return mask is None or bool(mask[i, j].any())


def _scores(q: np.ndarray, k: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    z = q @ k.T / np.sqrt(q.shape[1])
    return z if mask is None else np.where(mask, z, -np.inf)


def _exp(z: Array, m: Array) -> Array:
    """e^(z - m), and 0 where z is masked out, even if all of its row is and m is -inf with it."""
    return np.exp(z - np.where(np.isneginf(m), 0.0, m))


def _or_one(ell: Array) -> np.ndarray:
    """l, and 1 for a row that saw nothing, whose sum of weighted values is 0 as well."""
    return np.where(ell == 0, 1.0, ell)
