"""How many elements attention moves to and from HBM, as formulas; flash.py counts the same as it goes.

Of one head and one sequence of T queries and S keys of C channels, without a mask. Tiles of Br queries and Bc keys move
less the larger they are, that is, the more memory M there is on the chip.
"""

from typing import NamedTuple


class Traffic(NamedTuple):
    """Elements read from and written to HBM."""

    reads: int
    writes: int

    @property
    def total(self) -> int:
        return self.reads + self.writes


def plain_traffic(T: int, S: int, C: int) -> Traffic:
    """Read q, k, z, P, v; write z, P, o: Θ(T S) as soon as the sequence is longer than a head is wide.

    >>> plain_traffic(1024, 1024, 64).total == 4 * 1024 * 1024 + 4 * 1024 * 64
    True

    Dao et al. 2022, algorithm 0 and theorem 2.
    """
    return Traffic(T * C + 2 * S * C + 2 * T * S, 2 * T * S + T * C)


def plain_backward_traffic(T: int, S: int, C: int) -> Traffic:
    """Read P twice, do twice, v, dP, dz twice, k, q; write dv, dP, dz, dq, dk.

    >>> plain_backward_traffic(1024, 1024, 64).total == 7 * 1024 * 1024 + 8 * 1024 * 64
    True

    Dao et al. 2022, algorithm 3 and theorem 5.
    """
    return Traffic(5 * T * S + 3 * T * C + 2 * S * C, 2 * T * S + T * C + 2 * S * C)


def flash_1_traffic(T: int, S: int, C: int, Br: int, Bc: int) -> Traffic:
    """k and v once; for each of the ⌈S / Bc⌉ tiles of keys all of q, o, l and m in and o, l and m out.

    With the tiles that fit the chip Bc = M / 4C, so Θ(T S C² / M): below plain attention's while M is well above C².

    >>> flash_1_traffic(1024, 1024, 64, 64, 256)
    Traffic(reads=663552, writes=337920)

    Dao et al. 2022, algorithm 1 and theorem 2.
    """
    passes = _tiles(S, Bc, Br)
    state = T * C + 2 * T
    return Traffic(2 * S * C + passes * (T * C + state), (1 + passes) * state)


def flash_1_backward_traffic(T: int, S: int, C: int, Br: int, Bc: int) -> Traffic:
    """k and v once; for each tile of keys q, o, do, dq, l and m in and dq out; dk and dv set to 0 and written once.

    >>> flash_1_backward_traffic(4, 4, 2, 2, 2)
    Traffic(reads=96, writes=56)

    Dao et al. 2022, algorithm 4 and theorem 5.
    """
    passes = _tiles(S, Bc, Br)
    return Traffic(2 * S * C + passes * (4 * T * C + 2 * T), (1 + passes) * T * C + 4 * S * C)


def flash_2_traffic(T: int, S: int, C: int, Br: int, Bc: int) -> Traffic:
    """q once; for each of the ⌈T / Br⌉ tiles of queries all of k and v; o and lse out once.

    >>> flash_2_traffic(1024, 1024, 64, 128, 64)
    Traffic(reads=1114112, writes=66560)

    Dao 2023, algorithm 1.
    """
    passes = _tiles(T, Br, Bc)
    return Traffic(T * C + passes * 2 * S * C, T * C + T)


def flash_2_backward_traffic(T: int, S: int, C: int, Br: int, Bc: int) -> Traffic:
    """o and do for δ; k and v once; for each tile of keys q, do, dq, lse and δ in and dq out; dk and dv out once.

    >>> flash_2_backward_traffic(4, 4, 2, 2, 2)
    Traffic(reads=96, writes=44)

    Dao 2023, algorithm 2, without its o_i, which δ_i has replaced.
    """
    passes = _tiles(S, Bc, Br)
    reads = 2 * T * C + 2 * S * C + passes * (3 * T * C + 2 * T)
    return Traffic(reads, T + (1 + passes) * T * C + 2 * S * C)


def split_kv_traffic(T: int, S: int, C: int, splits: int) -> Traffic:
    """q once for each part, k and v once in all; the parts' o and lse out, in again, and out merged.

    >>> split_kv_traffic(1, 4096, 128, 16)  # next to the cache itself, 2 · 4096 · 128, nothing
    Traffic(reads=1052688, writes=2193)

    Dao et al. 2023 (Flash-Decoding).
    """
    part = T * C + T
    return Traffic(splits * T * C + 2 * S * C + splits * part, (splits + 1) * part)


def flash_1_tiles(C: int, M: int) -> tuple[int, int]:
    """Br = min(⌈M / 4C⌉, C) and Bc = ⌈M / 4C⌉: q, k, v and o of a tile share a chip's memory of M elements.

    >>> flash_1_tiles(64, 192 * 1024 // 2)  # 192 KB of an A100's multiprocessor, in 16 bits
    (64, 384)

    Dao et al. 2022, algorithm 1, line 1. ValueError: a memory that holds not even one row of each.
    """
    if not 4 * C <= M:
        raise ValueError(f"M = {M} elements cannot hold a row of q, k, v and o; {4 * C} is the least")
    Bc = -(-M // (4 * C))
    return min(Bc, C), Bc


def _tiles(length: int, size: int, other: int) -> int:
    if min(size, other) < 1:
        raise ValueError(f"tiles of {size} by {other} hold nothing; both must be 1 or more")
    return -(-length // size)
