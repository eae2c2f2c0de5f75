"""Layer norm, RMSNorm and batch norm: numbers brought to one size, over the channels of a row or over the rows.

Layer norm and RMSNorm look at one row at a time; batch norm makes every row depend on all others in training, and on
running averages afterwards. A row without variance gives exactly the bias: its deviations are taken from its first
entry, so that equal entries differ by 0 and not by the rounding of their mean.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


class Standardized(NamedTuple):
    """What layer norm computes on its way."""

    mean: Float[Array, "*B 1"]
    variance: Float[Array, "*B 1"]
    x_hat: Float[Array, "*B D"]


class LayerNormBackward(NamedTuple):
    """The gradients of layer norm on the way back, in the order in which a pen-and-paper solution needs them."""

    dx_hat: Float[Array, "*B D"]
    dvariance: Float[Array, "*B 1"]
    dmean: Float[Array, "*B 1"]
    dx: Float[Array, "*B D"]


class Running(NamedTuple):
    """Batch norm's averages over the batches seen so far."""

    mean: Float[Array, " D"]
    variance: Float[Array, " D"]


def standardize(x: Float[Array, "*B D"], eps: float = 1e-5) -> Standardized:
    """μ = Σ x / D, σ² = Σ (x - μ)² / D, x̂ = (x - μ) / √(σ² + ε), for each row.

    >>> mean, variance, x_hat = standardize(np.array([1.0, 2.0, 3.0]), eps=0.0)
    >>> mean.tolist(), variance.round(4).tolist(), x_hat.round(4).tolist()
    ([2.0], [0.6667], [-1.2247, 0.0, 1.2247])

    O(D). Ba, Kiros and Hinton 2016, equation 3. ValueError: no channels, ε < 0, or ε = 0 and a row without variance.
    """
    mean, deviation = _center(x, -1)
    variance = (deviation**2).mean(-1, keepdims=True)
    return Standardized(mean, variance, deviation * _inverse_root(variance, eps))


def layer_norm(
    x: Float[Array, "*B D"], weight: Float[Array, " D"], bias: Float[Array, " D"], eps: float = 1e-5
) -> Float[Array, "*B D"]:
    """y = γ x̂ + β: what a row says is the pattern of its channels, neither their mean nor their size.

    >>> layer_norm(np.array([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]]), np.full(3, 2.0), np.full(3, 0.5)).round(3).tolist()
    [[-1.949, 0.5, 2.949], [0.5, 0.5, 0.5]]

    O(D). Ba, Kiros and Hinton 2016, equation 4. ValueError: as standardize.
    """
    return weight * standardize(x, eps).x_hat + bias


def layer_norm_vjp(
    x: Float[Array, "*B D"],
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float,
    dy: Float[Array, "*B D"],
) -> tuple[Float[Array, "*B D"], Float[Array, " D"], Float[Array, " D"]]:
    """dx = (g - mean g - x̂ mean(g x̂)) / √(σ² + ε) with g = γ dy; dγ = Σ x̂ dy, dβ = Σ dy over the rows."""
    _, variance, x_hat = standardize(x, eps)
    g = weight * dy
    dx = g - g.mean(-1, keepdims=True) - x_hat * (g * x_hat).mean(-1, keepdims=True)
    return dx * _inverse_root(variance, eps), _over_rows(x_hat * dy), _over_rows(dy)


def layer_norm_backward(
    x: Float[Array, "*B D"], weight: Float[Array, " D"], eps: float, dy: Float[Array, "*B D"]
) -> LayerNormBackward:
    """layer_norm_vjp's dx path by path: x acts through x̂ at once, and through σ² and μ, which depend on all of x.

    dx̂ = γ dy, dσ² = -½ Σ dx̂ (x - μ) (σ² + ε)^-1.5, dμ = -Σ dx̂ / √(σ² + ε), for through σ² nothing reaches μ, as
    Σ (x - μ) = 0, and dx = dx̂ / √(σ² + ε) + 2 dσ² (x - μ) / D + dμ / D.

    >>> back = layer_norm_backward(np.array([1.0, 3.0]), np.ones(2), 3.0, np.array([1.0, 0.0]))
    >>> [part.round(4).tolist() for part in back]
    [[1.0, 0.0], [0.0625], [-0.5], [0.1875, -0.1875]]

    O(D). Ioffe and Szegedy 2015, section 3, with rows for batches. ValueError: as standardize.
    """
    D = x.shape[-1]
    _, deviation = _center(x, -1)
    variance = (deviation**2).mean(-1, keepdims=True)
    r = _inverse_root(variance, eps)
    dx_hat = weight * dy
    dvariance = -(dx_hat * deviation).sum(-1, keepdims=True) * r**3 / 2
    dmean = -(dx_hat * r).sum(-1, keepdims=True)
    return LayerNormBackward(dx_hat, dvariance, dmean, dx_hat * r + 2 / D * dvariance * deviation + dmean / D)


def rms_norm(x: Float[Array, "*B D"], weight: Float[Array, " D"], eps: float = 1e-5) -> Float[Array, "*B D"]:
    """y = γ x / √(Σ x² / D + ε): layer norm that leaves the mean where it is.

    >>> rms_norm(np.array([[3.0, 4.0], [0.0, 0.0]]), np.ones(2)).round(4).tolist()
    [[0.8485, 1.1314], [0.0, 0.0]]

    O(D). Zhang and Sennrich 2019, equation 4. ValueError: no channels, ε < 0, or ε = 0 and a row of zeros.
    """
    return weight * x * _inverse_root(_mean_square(x), eps)


def rms_norm_vjp(
    x: Float[Array, "*B D"], weight: Float[Array, " D"], eps: float, dy: Float[Array, "*B D"]
) -> tuple[Float[Array, "*B D"], Float[Array, " D"]]:
    """dx = (g - x̂ mean(g x̂)) / √(Σ x² / D + ε) with g = γ dy; dγ = Σ x̂ dy over the rows."""
    r = _inverse_root(_mean_square(x), eps)
    x_hat, g = x * r, weight * dy
    return (g - x_hat * (g * x_hat).mean(-1, keepdims=True)) * r, _over_rows(x_hat * dy)


def batch_norm(
    x: Float[Array, "*B D"], weight: Float[Array, " D"], bias: Float[Array, " D"], eps: float = 1e-5
) -> Float[Array, "*B D"]:
    """y = γ (x - μ) / √(σ² + ε) + β with μ and σ² of each channel over all rows of this batch: training.

    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> batch_norm(x, np.ones(2), np.array([0.0, 0.5])).round(3).tolist()
    [[-1.0, 0.5], [1.0, 0.5]]

    O(B D). Ioffe and Szegedy 2015, algorithm 1. ValueError: no rows, ε < 0, or ε = 0 and a channel without variance.
    """
    _, deviation = _center(_rows(x), 0)
    return (weight * deviation * _inverse_root((deviation**2).mean(0), eps) + bias).reshape(x.shape)


def batch_norm_vjp(
    x: Float[Array, "*B D"],
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float,
    dy: Float[Array, "*B D"],
) -> tuple[Float[Array, "*B D"], Float[Array, " D"], Float[Array, " D"]]:
    """Layer norm's gradient with the rows of a channel for the channels of a row: every row feels every other."""
    _, deviation = _center(_rows(x), 0)
    r = _inverse_root((deviation**2).mean(0), eps)
    x_hat, d = deviation * r, _rows(dy)
    dx = weight * r * (d - d.mean(0) - x_hat * (d * x_hat).mean(0))
    return dx.reshape(x.shape), (x_hat * d).sum(0), d.sum(0)


def update_running(running: Running, x: Float[Array, "*B D"], rate: float = 0.1) -> Running:
    """μ_run ← (1 - ρ) μ_run + ρ μ, σ²_run ← (1 - ρ) σ²_run + ρ σ² N / (N - 1): the second without bias, for N rows.

    >>> update_running(Running(np.zeros(1), np.ones(1)), np.array([[1.0], [3.0]]), rate=0.5)
    Running(mean=array([1.]), variance=array([1.5]))

    O(B D). Ioffe and Szegedy 2015, algorithm 2, as an average that forgets. ValueError: below 2 rows, ρ not in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate} must be in [0, 1]; it is the new batch's share")
    rows = _rows(x)
    if len(rows) < 2:
        raise ValueError(f"a batch of {len(rows)} rows shows no variance; it takes at least 2")
    mean, deviation = _center(rows, 0)
    variance = (deviation**2).sum(0) / (len(rows) - 1)
    return Running((1 - rate) * running.mean + rate * mean[0], (1 - rate) * running.variance + rate * variance)


def batch_norm_eval(
    x: Float[Array, "*B D"],
    running: Running,
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float = 1e-5,
) -> Float[Array, "*B D"]:
    """y = γ (x - μ_run) / √(σ²_run + ε) + β: evaluation, where each channel is a fixed line and rows stand alone.

    >>> batch_norm_eval(np.array([[1.0]]), Running(np.array([3.0]), np.array([4.0])), np.ones(1), np.zeros(1), 0.0)
    array([[-1.]])

    O(B D). Ioffe and Szegedy 2015, algorithm 2, step 11. ValueError: ε < 0, or ε = 0 and a running variance of 0.
    """
    return weight * (x - running.mean) * _inverse_root(running.variance, eps) + bias


def batch_norm_eval_vjp(
    x: Float[Array, "*B D"],
    running: Running,
    weight: Float[Array, " D"],
    bias: Float[Array, " D"],
    eps: float,
    dy: Float[Array, "*B D"],
) -> tuple[Float[Array, "*B D"], Float[Array, " D"], Float[Array, " D"]]:
    """dx = γ dy / √(σ²_run + ε), dγ = Σ x̂ dy, dβ = Σ dy; the running averages are no function of this batch."""
    r = _inverse_root(running.variance, eps)
    return weight * dy * r, _over_rows((x - running.mean) * r * dy), _over_rows(dy)


def _rows(x: np.ndarray) -> Float[Array, "N D"]:
    return x.reshape(-1, x.shape[-1])


def _over_rows(x: np.ndarray) -> Float[Array, " D"]:
    return x.sum(tuple(range(x.ndim - 1)))


def _center(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean along an axis, which is kept, and the deviations from it."""
    if x.shape[axis] == 0:
        raise ValueError(f"numbers of shape {x.shape} have no mean; axis {axis} must hold at least one")
    first = np.take(x, [0], axis)
    from_first = x - first
    mean = from_first.mean(axis, keepdims=True)
    return first + mean, from_first - mean


def _mean_square(x: np.ndarray) -> np.ndarray:
    if x.shape[-1] == 0:
        raise ValueError(f"numbers of shape {x.shape} have no mean square; the last axis must hold at least one")
    return (x**2).mean(-1, keepdims=True)


def _inverse_root(variance: np.ndarray, eps: float) -> np.ndarray:
    """1 / √(σ² + ε)."""
    if not eps >= 0:
        raise ValueError(f"eps = {eps} must be 0 or more")
    if eps == 0 and (variance == 0).any():
        raise ValueError("eps = 0 and a variance of 0 give 0 / 0; take eps above 0")
    return 1 / np.sqrt(variance + eps)
