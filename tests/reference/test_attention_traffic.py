"""The traffic formulas against the theorems of the FlashAttention papers; test_flash.py holds them against counters."""

import pytest

from clearhead.reference.attention_traffic import (
    flash_1_backward_traffic,
    flash_1_tiles,
    flash_1_traffic,
    flash_2_backward_traffic,
    flash_2_traffic,
    plain_backward_traffic,
    plain_traffic,
    split_kv_traffic,
)

N, C, M = 8192, 64, 98_304


def test_plain_traffic_is_quadratic_in_the_sequence() -> None:
    assert plain_traffic(N, N, C).total == 4 * N * N + 4 * N * C  # theorem 2: Θ(N d + N²)
    assert plain_backward_traffic(N, N, C).total == 7 * N * N + 8 * N * C  # theorem 5
    assert plain_traffic(2, 3, 5) == (2 * 5 + 2 * 3 * 5 + 2 * 2 * 3, 2 * 2 * 3 + 2 * 5)


def test_flash_traffic_falls_with_the_memory_on_the_chip() -> None:
    for forward, constant in ((flash_1_traffic, 12), (flash_1_backward_traffic, 20)):
        for m in (M, 2 * M, 4 * M):  # theorems 2 and 5: Θ(N² d² / M), here with the constant of Bc = M / 4d
            total = forward(16 * N, 16 * N, C, *flash_1_tiles(C, m)).total
            assert abs(total / (constant * (16 * N * C) ** 2 / m) - 1) < 0.05
    assert plain_traffic(N, N, C).total > 7 * flash_1_traffic(N, N, C, *flash_1_tiles(C, M)).total


def test_flash_is_worth_it_only_while_a_chip_holds_more_than_a_head_squared() -> None:
    wide = 512
    assert flash_1_traffic(N, N, wide, *flash_1_tiles(wide, M)).total > plain_traffic(N, N, wide).total


def test_queries_outside_write_once() -> None:
    one, two = flash_1_traffic(N, N, C, 128, 128), flash_2_traffic(N, N, C, 128, 128)
    assert two.writes == N * C + N < one.writes / 50
    assert two.reads < one.reads
    back_1, back_2 = (f(N, N, C, 128, 128) for f in (flash_1_backward_traffic, flash_2_backward_traffic))
    assert back_2.reads < 0.8 * back_1.reads  # q, do, dq for q, o, do, dq
    assert back_2.writes == back_1.writes - 2 * N * C + N


def test_splitting_the_keys_costs_next_to_nothing() -> None:
    alone, split = (split_kv_traffic(1, N, C, n).total for n in (1, 32))
    assert split / alone < 1.01


def test_tiles() -> None:
    assert flash_1_tiles(64, 4 * 64) == (1, 1)
    assert flash_1_tiles(64, 4 * 64 * 100 + 1) == (64, 101)
    with pytest.raises(ValueError, match="256 is the least"):
        flash_1_tiles(64, 255)
    assert flash_2_traffic(4, 4, 2, 1, 1).writes == 4 * 2 + 4
    with pytest.raises(ValueError, match="tiles of 0 by 4"):
        flash_2_traffic(8, 8, 8, 0, 4)
