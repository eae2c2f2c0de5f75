"""Training on many devices: what they hold, what they send, how long they wait, and what recomputing saves."""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.activations import gelu


def zero_bytes(parameters: float, devices: int, stage: int) -> float:
    """Bytes a device holds in mixed precision with Adam: 2 for weights, 2 for gradients, 12 for the optimizer.

    Stage 1 splits the optimizer's state over the devices, 2 the gradients too, 3 (FSDP) the weights too.

    >>> [round(zero_bytes(7.5e9, 64, stage) / 1e9, 1) for stage in (0, 1, 2, 3)]
    [120.0, 31.4, 16.6, 1.9]

    O(1). Rajbhandari et al. 2019, arXiv 1910.02054, figure 1. ValueError: a stage that is not 0 to 3, no devices.
    """
    if stage not in (0, 1, 2, 3) or devices < 1:
        raise ValueError(f"stage = {stage} must be 0 to 3, devices = {devices} 1 or more")
    weights, gradients, state = 2.0, 2.0, 12.0
    return parameters * (
        weights / (devices if stage == 3 else 1)
        + gradients / (devices if stage >= 2 else 1)
        + state / (devices if stage >= 1 else 1)
    )


def ring_all_reduce(parts: Float[Array, "P N"]) -> tuple[Float[Array, "P N"], int]:
    """The sum on every device, by sending pieces around a ring, and how many numbers each device sent.

    P - 1 rounds add, after which each device has one finished piece; P - 1 rounds pass these on: 2 (P - 1) / P of N.

    >>> total, sent = ring_all_reduce(np.arange(8.0).reshape(2, 4))
    >>> total.tolist(), sent
    ([[4.0, 6.0, 8.0, 10.0], [4.0, 6.0, 8.0, 10.0]], 4)

    O(P N). Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002. ValueError: P that does not divide N.
    """
    P, N = parts.shape
    if N % P:
        raise ValueError(f"{N} numbers do not split among {P} devices")
    pieces = parts.reshape(P, P, N // P).copy()  # device, piece
    sent = 0
    for add in (True, False):
        for step in range(P - 1):
            moving = [(rank, (rank - step + (0 if add else 1)) % P) for rank in range(P)]
            held = [pieces[rank, piece].copy() for rank, piece in moving]
            for (rank, piece), value in zip(moving, held, strict=True):
                to = (rank + 1) % P
                pieces[to, piece] = pieces[to, piece] + value if add else value
            sent += N // P
    return pieces.reshape(P, N), sent


def pipeline_bubble(stages: int, microbatches: int) -> float:
    """(p - 1) / (m + p - 1): the share of its time that a stage stands idle.

    >>> pipeline_bubble(4, 1), round(pipeline_bubble(4, 16), 3)
    (0.75, 0.158)

    O(1). Huang et al. 2018, arXiv 1811.06965, section 2.3. ValueError: none of either.
    """
    if stages < 1 or microbatches < 1:
        raise ValueError(f"stages = {stages} and microbatches = {microbatches} must be 1 or more")
    return (stages - 1) / (microbatches + stages - 1)


def tensor_parallel_mlp(
    x: Float[Array, "N D"], w_in: Float[Array, "D F"], w_out: Float[Array, "F D"], devices: int
) -> Float[Array, "N D"]:
    """gelu(x W₁) W₂ with W₁ split by columns and W₂ by rows: each device alone, then one sum over devices.

    >>> rng = np.random.default_rng(0)
    >>> x, w_in, w_out = rng.normal(size=(3, 4)), rng.normal(size=(4, 8)), rng.normal(size=(8, 4))
    >>> bool(np.allclose(tensor_parallel_mlp(x, w_in, w_out, 2), gelu(x @ w_in) @ w_out))
    True

    O(N D F). Shoeybi et al. 2019, arXiv 1909.08053, section 3. ValueError: devices that do not divide F.
    """
    if devices < 1 or w_in.shape[1] % devices:
        raise ValueError(f"devices = {devices} must divide F = {w_in.shape[1]}")
    columns, rows = np.split(w_in, devices, axis=1), np.split(w_out, devices, axis=0)
    return np.sum([gelu(x @ a) @ b for a, b in zip(columns, rows, strict=True)], axis=0)


def checkpointed(layers: int, segment: int) -> tuple[int, int]:
    """Layers' activations held at once, and layers computed twice, if only the input of each segment is kept.

    >>> checkpointed(64, 64), checkpointed(64, 8), checkpointed(64, 1)
    ((65, 64), (16, 64), (65, 64))

    Fewest at a segment of √L: 2 √L. O(1). Chen et al. 2016, arXiv 1604.06174, section 4.
    ValueError: a segment that is not 1 to L.
    """
    if not 1 <= segment <= layers:
        raise ValueError(f"segment = {segment} must be 1 to {layers}")
    return -(-layers // segment) + segment, layers
