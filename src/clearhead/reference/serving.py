"""What serving a model costs: whether arithmetic or memory is the limit, pages of a cache, and batches that change.

Bandwidth in bytes a second, compute in operations a second (a multiplication and an addition are two). Deliberately not
here: what a decoder's parts need (`costs.py`).
"""

from collections.abc import Sequence

import numpy as np


def ridge_point(flops: float, bandwidth: float) -> float:
    """Operations per byte from which a kernel is bound by arithmetic and no longer by memory.

    >>> round(ridge_point(989e12, 3.35e12))  # an H100 in bfloat16
    295

    O(1). Williams, Waterman and Patterson 2009, doi 10.1145/1498765.1498785.
    """
    _check(flops=flops, bandwidth=bandwidth)
    return flops / bandwidth


def matmul_intensity(n: int, d: int, m: int, width: int = 2) -> float:
    """2 N D M / (width (N D + D M + N M)): operations per byte of an N x D times D x M product.

    >>> round(matmul_intensity(1, 4096, 4096), 2), round(matmul_intensity(4096, 4096, 4096), 1)
    (1.0, 1365.3)

    O(1).
    """
    _check(n=n, d=d, m=m, width=width)
    return 2.0 * n * d * m / (width * (n * d + d * m + n * m))


def decode_seconds(
    weights: float, cache: float, batch: int, bandwidth: float, flops: float, width: float = 2.0
) -> float:
    """The larger of the time to read weights and caches (bytes) and that to compute 2 · parameters · batch.

    >>> round(1e3 * decode_seconds(16e9, 0.0, 1, 3.35e12, 989e12), 2)  # 8 billion parameters in 16 bits
    4.78

    O(1). A lower bound: attention's own arithmetic and every overhead are left out.
    """
    _check(weights=weights, batch=batch, bandwidth=bandwidth, flops=flops, width=width)
    return max((weights + batch * cache) / bandwidth, 2 * (weights / width) * batch / flops)


def critical_batch(flops: float, bandwidth: float, width: float = 2.0) -> float:
    """The batch at which decoding's products with the weights turn from memory-bound to compute-bound: width/2 · ridge.

    >>> round(critical_batch(989e12, 3.35e12))
    295

    O(1).
    """
    _check(width=width)
    return width / 2 * ridge_point(flops, bandwidth)


def pages(lengths: Sequence[int], page: int) -> int:
    """Σ ⌈length / page⌉: what a paged cache holds of sequences.

    >>> pages([1, 16, 17], 16)
    4

    O(n). Kwon et al. 2023, arXiv 2309.06180, section 4.
    """
    _check(page=page)
    return sum(-(-length // page) for length in lengths)


def wasted(lengths: Sequence[int], page: int) -> float:
    """The share of the held memory that no token uses: of one page a sequence at most.

    >>> round(wasted([8, 24], 16), 3), round(wasted([100, 900], 2048), 3)  # 2,048: the whole context, set aside
    (0.333, 0.756)

    O(n).
    """
    held = pages(lengths, page) * page
    return 1 - sum(lengths) / held if held else 0.0


def static_steps(lengths: Sequence[int], batch: int) -> int:
    """Decoding steps where each batch, in the order of arrival, runs until its longest sequence ends.

    >>> static_steps([2, 8, 2, 8], 2)
    16
    """
    _check(batch=batch)
    return sum(max(lengths[i : i + batch]) for i in range(0, len(lengths), batch))


def continuous_steps(lengths: Sequence[int], batch: int) -> int:
    """Decoding steps where a sequence that ends gives its place to the next one waiting.

    >>> continuous_steps([2, 8, 2, 8], 2)
    12

    O(n log batch). Yu et al. 2022, "Orca", OSDI, section 3.
    """
    _check(batch=batch)
    ends = np.zeros(batch, dtype=int)
    for length in lengths:
        ends[ends.argmin()] += length
    return int(ends.max()) if len(lengths) else 0


def shared_prefix_tokens(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens of prompts whose keys and values are already there, from the longest common beginning with an earlier one.

    >>> shared_prefix_tokens([[1, 2, 3], [1, 2, 4], [5]])
    2

    O(n² T). Zheng et al. 2023, "SGLang", arXiv 2312.07104, section 3.
    """
    found = 0
    for i, prompt in enumerate(prompts):
        found += max((_common(prompt, other) for other in prompts[:i]), default=0)
    return found


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _check(**sizes: float) -> None:
    for name, size in sizes.items():
        if not size > 0:
            raise ValueError(f"{name} = {size} must be above 0")
