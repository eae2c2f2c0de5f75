"""Pen-and-paper solutions against what stands on paper."""

import numpy as np
import pytest

from clearhead.reference import worked


def values(lines: list[worked.Line]) -> dict[str, object]:
    return {line.name: line.value for line in lines}


def test_by_hand() -> None:
    assert [line.value for line in worked.gradient_descent(steps=1)] == [10, 64, 16, 32, 1.8]
    found = values(worked.mlp_backward(x=(1.0, 1.0), y=(0.0,), w1=((1.0, 0.0), (0.0, -1.0)), w2=((2.0, 3.0),)))
    assert found["z"] == [1, -1] and found["ŷ"] == [2] and found["L"] == 4 and found["dL/dŷ"] == [4]
    assert found["dL/dW₂"] == [[4, 0]] and found["dL/dz"] == [8, 0] and found["dL/dW₁"] == [[8, 8], [0, 0]]
    assert values(worked.momentum(w=1.0, g=2.0, v=4.0, rate=0.5, beta=0.5)) == {"v": 4, "w": -1}
    norm = values(worked.layer_norm(x=(1.0, 3.0), eps=3.0))
    assert norm["x̂"] == [-0.5, 0.5] and norm["dσ²"] == 0.0625 and norm["dx"] == [0.1875, -0.1875]
    assert values(worked.attention())["scaled"] == [[0.707107, 0], [0, 0.707107]]
    assert values(worked.softmax_by_hand((0.0, np.log(3)), 2.0))["softmax(2 z)"] == [0.1, 0.9]
    assert values(worked.bayes_by_hand(0.5, 0.8, 0.2))["ill, if positive"] == 0.8
    assert values(worked.parameter_count())["total"] == 124_439_808
    assert values(worked.attention_cost(1024, 64, 2))["ratio"] == 16
    assert values(worked.mcts(5, 1.0))["answer"] == "= 408" and values(worked.mcts(0, 1.0))["path"] == "none found"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: worked.mlp_forward(x=(1.0,)), "x: 1"),
        (lambda: worked.attention(v=((1.0,),)), "rows of v: 1"),
        (lambda: worked.layer_norm(dy=(1.0,)), "dy: 1"),
        (lambda: worked.parameter_count(heads=5), "multiple of heads = 5"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
