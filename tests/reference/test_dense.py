"""Dense layers against torch, by hand, and XOR, which one of them cannot learn and two can."""

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.dense import (
    Network,
    collapse,
    dense,
    dense_vjp,
    mean_squared_error,
    mean_squared_error_vjp,
    train,
    two_layer,
    two_layer_backward,
)
from clearhead.reference.initialization import he
from clearhead.reference.logistic import logistic_descent
from clearhead.reference.regression import predict, ridge

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
NET = Network(RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=(4, 2)), RNG.normal(size=2))
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0.0, 1.0, 1.0, 0.0])


def test_layers_and_loss() -> None:
    check_vjp(dense, dense_vjp, X, NET.w_1, NET.b_1, peer=lambda x, w, b: F.linear(x, w.T, b))
    check_vjp(dense, dense_vjp, RNG.normal(size=(2, 2, 3)), NET.w_1, NET.b_1, peer=lambda x, w, b: F.linear(x, w.T, b))
    check_vjp(mean_squared_error, mean_squared_error_vjp, X, X[::-1].copy(), peer=F.mse_loss)


def test_backward_by_hand_is_the_gradient() -> None:
    def f(x, *w):
        return two_layer(x, Network(*w)).y_hat

    def f_vjp(x, w_1, b_1, w_2, b_2, dy):
        found = two_layer_backward(x, Network(w_1, b_1, w_2, b_2), dy)
        return found.dx, found.dw_1, found.db_1, found.dw_2, found.db_2

    check_vjp(f, f_vjp, X, *NET, peer=lambda x, v, a, w, b: F.linear(torch.relu(F.linear(x, v.T, a)), w.T, b))


def test_every_step_of_the_backward_pass() -> None:
    x, y, w = torch.tensor(X), torch.tensor(Y), Network(*(torch.tensor(p, requires_grad=True) for p in NET))
    z = x @ w.w_1 + w.b_1
    h = z.relu()
    y_hat = h @ w.w_2 + w.b_2
    theirs = torch.autograd.grad(((y_hat - y) ** 2).mean(), [y_hat, w.w_2, w.b_2, h, z, w.w_1, w.b_1])
    forward = two_layer(X, NET)
    dy_hat, _ = mean_squared_error_vjp(forward.y_hat, Y, np.array(1.0))
    for mine, want in zip(forward, (z, h, y_hat), strict=True):
        close(mine, want.detach().numpy())
    for mine, want in zip(two_layer_backward(X, NET, dy_hat)[:-1], theirs, strict=True):
        close(mine, want.numpy())


def test_a_network_worked_by_hand() -> None:
    w = Network(np.array([[0.5, 0.5], [-0.5, 0.5]]), np.zeros(2), np.array([[1.0], [1.0]]), np.zeros(1))
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    z, h, y_hat = two_layer(x, w)
    assert (z.tolist(), h.tolist(), y_hat.tolist()) == ([[-0.5, 1.5]], [[0.0, 1.5]], [[1.5]])
    assert mean_squared_error(y_hat, y) == 0.25
    found = two_layer_backward(x, w, mean_squared_error_vjp(y_hat, y, np.array(1.0))[0])
    assert found.dy_hat.tolist() == [[1.0]] and found.dw_2.tolist() == [[0.0], [1.5]]
    assert found.dh.tolist() == [[1.0, 1.0]] and found.dz.tolist() == [[0.0, 1.0]]
    assert found.dw_1.tolist() == [[0.0, 1.0], [0.0, 2.0]] and found.db_1.tolist() == [0.0, 1.0]
    assert found.dx.tolist() == [[0.5, 0.5]]


def test_linear_layers_are_one() -> None:
    close(dense(dense(X, NET.w_1, NET.b_1), NET.w_2, NET.b_2), dense(X, *collapse(*NET)))
    narrow, _ = collapse(RNG.normal(size=(4, 2)), np.zeros(2), RNG.normal(size=(2, 5)), np.zeros(5))
    assert np.linalg.matrix_rank(narrow) == 2


def test_no_line_separates_xor() -> None:
    line = ridge(CORNERS, XOR)
    close(predict(CORNERS, line.w, np.array(line.b)), np.full(4, 0.5))
    close(logistic_descent(CORNERS, XOR, 1.0, 200).losses[-1], np.log(2))
    signs = (2 * XOR - 1)[:, None]
    found = scipy.optimize.linprog(np.zeros(3), -signs * np.column_stack([CORNERS, np.ones(4)]), -np.ones(4),
                                   bounds=(None, None))  # fmt: skip
    assert found.status == 2  # infeasible


@pytest.mark.parametrize("seed", range(5))
def test_two_layers_learn_xor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = Network(he(2, 8, rng), np.zeros(8), he(8, 1, rng), np.zeros(1))
    w, losses = train(CORNERS, XOR[:, None], start, 0.1, 500)
    assert losses[-1] < 1e-4 < 0.1 < losses[0] and len(losses) == 501
    close(two_layer(CORNERS, w).y_hat[:, 0], XOR, 0.02)


def test_descent_is_torch_s() -> None:
    w = [torch.tensor(p, requires_grad=True) for p in NET]
    descent = torch.optim.SGD(w, 0.05)
    losses = []
    for _ in range(50):
        loss = F.mse_loss((torch.tensor(X) @ w[0] + w[1]).relu() @ w[2] + w[3], torch.tensor(Y))
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    mine = train(X, Y, NET, 0.05, 50)
    close(mine.losses[:-1], losses)
    for got, want in zip(mine.w, w, strict=True):
        close(got, want.detach().numpy())
    close(mine.losses[-1], mean_squared_error(two_layer(X, mine.w).y_hat, Y))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="empty"):
        mean_squared_error(X[:0], X[:0])
