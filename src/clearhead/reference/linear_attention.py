"""Attention with a state of fixed size: linear, with forgetting, and with the delta rule.

The state S maps keys to values, C_k x C_v; a token's output is q S. Deliberately not here: chunked forms for training.
"""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def linear_attention(
    q: Float[Array, "T C"], k: Float[Array, "T C"], v: Float[Array, "T V"], decay: Float[Array, "T"] | None = None
) -> Float[Array, "T V"]:
    """S_t = a_t S_{t-1} + k_t v_tᵀ, o_t = q_t S_t; without `decay` a = 1. Mamba-2 has one a_t a head and token.

    >>> linear_attention(np.eye(2), np.eye(2), np.array([[1.0], [2.0]])).tolist()
    [[1.0], [2.0]]

    O(T C V). Katharopoulos et al. 2020, arXiv 2006.16236, equation 18; Dao and Gu 2024, arXiv 2405.21060.
    """
    S, out = np.zeros((k.shape[1], v.shape[1])), []
    for t in range(len(q)):
        S = (1.0 if decay is None else decay[t]) * S + np.outer(k[t], v[t])
        out.append(q[t] @ S)
    return np.array(out)


def parallel_linear_attention(
    q: Float[Array, "T C"], k: Float[Array, "T C"], v: Float[Array, "T V"], decay: Float[Array, "T"] | None = None
) -> Float[Array, "T V"]:
    """The same as a masked product: ((q kᵀ) ∘ M) v with M_ts = a_{s+1} ... a_t for s ≤ t, and 0 above.

    O(T² (C + V)). Dao and Gu 2024, arXiv 2405.21060, section 4.
    """
    T = len(q)
    a = np.ones(T) if decay is None else decay
    mask = np.array([[np.prod(a[s + 1 : t + 1]) if s <= t else 0.0 for s in range(T)] for t in range(T)])
    return (q @ k.T * mask) @ v


def delta_rule(
    q: Float[Array, "T C"], k: Float[Array, "T C"], v: Float[Array, "T V"], beta: Float[Array, "T"]
) -> Float[Array, "T V"]:
    """S ← S + β_t k_t (v_t - k_t S)ᵀ: what the state says of this key is replaced, not added to.

    One step of gradient descent on ‖k S - v‖² / 2. With unit keys and β = 1 the old value is gone.

    >>> k = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> v = np.array([[5.0], [7.0]])
    >>> delta_rule(k, k, v, np.ones(2)).tolist(), linear_attention(k, k, v).tolist()
    ([[5.0], [7.0]], [[5.0], [12.0]])

    O(T C V). Schlag et al. 2021, arXiv 2102.11174, equation 24; Yang et al. 2024, arXiv 2406.06484.
    """
    S, out = np.zeros((k.shape[1], v.shape[1])), []
    for t in range(len(q)):
        S = S + beta[t] * np.outer(k[t], v[t] - k[t] @ S)
        out.append(q[t] @ S)
    return np.array(out)
