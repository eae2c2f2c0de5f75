"""Where a number broke: in a weight, in an activation, in the loss, or only on the way back."""

import torch
from torch import Tensor, nn

from clearhead.training.failure import first_non_finite


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
        for layer in (self.first, self.second, self.third):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x)))


def mean(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).mean()


ONES = torch.ones(3, 2)


def test_a_weight() -> None:
    net = Net()
    net.second.weight.data[0, 0] = torch.inf
    assert first_non_finite(net, mean, ONES) == "the weight second.weight"


def test_the_first_activation() -> None:
    net = Net()
    net.first.weight.data.fill_(1e20)
    net.second.weight.data.fill_(1e20)
    assert first_non_finite(net, mean, ONES) == "the output of second"
    assert first_non_finite(Net(), mean, ONES * torch.nan) == "the output of first"


def test_the_loss() -> None:
    assert first_non_finite(Net(), lambda model, x: (model(x) * 0).log().sum(), ONES) == (
        "the loss itself, after finite activations"
    )


def test_the_gradient_that_is_nearest_to_the_loss() -> None:
    class Rooted(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.third((self.second(self.first(x)) * 0).sqrt())  # √0 has no slope

    net = Rooted()
    assert first_non_finite(net, mean, ONES) == "the gradient of second.bias"
    assert all(p.grad is None for p in net.parameters())


def test_nothing() -> None:
    assert first_non_finite(Net(), mean, ONES) == "nothing that repeats outside the compiled step"
