"""The cells against the float64 reference, and torch's fused layers against the cells."""

import numpy as np
import pytest
import torch

from clearhead.nn.recurrent import GATES, convolution, layer_of, lstm, rnn, run, run_by_definition
from clearhead.reference import convolution as convolution_reference
from clearhead.reference import recurrent as reference

B, T, D, F = 2, 7, 3, 5
RNG = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) * 0.7


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_definition_is_the_reference(cell: str) -> None:
    x, h, c, m = drawn(B, T, D), drawn(B, F), drawn(B, F), GATES[cell] * F
    w, u, b = drawn(m, D), drawn(m, F), drawn(m)
    tensors = [torch.from_numpy(a) for a in (x, h, c, w, u, b)]
    weights = reference.Weights(w.T, u.T, b, np.zeros(m))
    if cell == "rnn":
        y, last = rnn(*tensors[:2], *tensors[3:])
        np.testing.assert_allclose(y, reference.rnn(x, h, weights), rtol=1e-12)
    else:
        y, last, cells = lstm(*tensors)
        wanted, wanted_cells = reference.lstm(x, h, c, weights)
        np.testing.assert_allclose(y, wanted, rtol=1e-12)
        np.testing.assert_allclose(cells, wanted_cells, rtol=1e-12)
    assert torch.equal(last, y[:, -1])


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_fused_layer_is_the_definition_with_its_gradients(cell: str) -> None:
    torch.manual_seed(0)
    layer = layer_of(cell, F).double()
    x = torch.from_numpy(drawn(B, T, F)).requires_grad_()
    state = tuple(torch.from_numpy(drawn(B, F)).requires_grad_() for _ in range(2 if cell == "lstm" else 1))
    leaves = [x, *state, *layer.parameters()]
    found = []
    for way in (run, run_by_definition):
        y, last = way(layer, x, state)
        loss = (y * torch.arange(y.numel()).view_as(y)).sum() + sum((part**2).sum() for part in last)
        found.append([y, *last, *torch.autograd.grad(loss, leaves)])
    for fused, plain in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("way", [run, run_by_definition])
def test_a_text_in_two_parts_is_the_text(cell: str, way: object) -> None:
    torch.manual_seed(1)
    layer, x = layer_of(cell, F).double(), torch.from_numpy(drawn(B, T, F))
    whole, _ = way(layer, x, None)
    first, state = way(layer, x[:, :3], None)
    second, _ = way(layer, x[:, 3:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole)


@pytest.mark.parametrize("apart", [1, 3, 9])
def test_the_convolution_is_the_reference_and_torchs_with_its_gradients(apart: int) -> None:
    x, w, u, b, dy = drawn(B, T, D), drawn(2 * F, D), drawn(2 * F, D), drawn(2 * F), drawn(B, T, F)
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w, u, b)]
    y = convolution(tensors[0], torch.zeros(B, apart, D, dtype=torch.float64), *tensors[1:])
    found = torch.autograd.grad(y, tensors, torch.from_numpy(dy))
    np.testing.assert_allclose(
        y.detach(), convolution_reference.gated_convolution(x, w.T, u.T, b, apart), rtol=1e-10, atol=1e-13
    )
    dx, dw, du, db = convolution_reference.gated_convolution_vjp(x, w.T, u.T, b, apart, dy)
    for ours, theirs in zip(found, (dx, dw.T, du.T, db), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)
    kernel = torch.stack((tensors[2], tensors[1]), -1)  # the earlier tap first
    padded = torch.nn.functional.pad(tensors[0].mT, (apart, 0))
    z = torch.nn.functional.conv1d(padded, kernel, tensors[3], dilation=apart).mT
    torch.testing.assert_close(torch.nn.functional.glu(z, -1), y)


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_convolution_goes_on_from_its_last_inputs(cut: int) -> None:
    layer, x = layer_of("conv", F, 2).double(), torch.from_numpy(drawn(B, T, F))
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(3))
    whole, _ = run(layer, x, None)
    first, state = run(layer, x[:, :cut], None)
    second, _ = run(layer, x[:, cut:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole)
