"""Recurrent and parallel forms agree; the delta rule replaces what linear attention adds up."""

import numpy as np
from against import close

from clearhead.reference.linear_attention import delta_rule, linear_attention, parallel_linear_attention

RNG = np.random.default_rng(0)
Q, K, V = RNG.normal(size=(3, 7, 4))
DECAY = RNG.uniform(0.5, 1.0, 7)


def test_both_forms_are_one() -> None:
    close(parallel_linear_attention(Q, K, V), linear_attention(Q, K, V))
    close(parallel_linear_attention(Q, K, V, DECAY), linear_attention(Q, K, V, DECAY))


def test_the_delta_rule_is_a_step_of_gradient_descent() -> None:
    k = K / np.linalg.norm(K, axis=1, keepdims=True)
    found = delta_rule(k, k, V, np.ones(7))
    close(found, V)  # a key just written gives its own value
    orthogonal = np.eye(7)
    close(delta_rule(Q[:, [0] * 7], orthogonal, V, np.ones(7)), linear_attention(Q[:, [0] * 7], orthogonal, V))


def test_a_decay_of_0_remembers_the_last_token_alone() -> None:
    close(linear_attention(Q, K, V, np.zeros(7)), (Q * K).sum(-1, keepdims=True) * V)
