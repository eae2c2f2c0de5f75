"""A curve over eight numbers, learned by a tanh network with SGD and momentum."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Network(nn.Module):
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.first = nn.Linear(8, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        x = torch.tanh(self.second(x))
        x = torch.tanh(self.third(x))
        return self.head(x)


def points(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 8, generator=generator)
    y = torch.sin(2 * x[:, 0]) + torch.tanh(2 * x[:, 1] * x[:, 2]) + 0.5 * x[:, 3]
    return x, (y - y.mean()) / y.std()


def train(seed: int, watch: Any) -> Any:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = points(1536, generator)
    x_val, y_val = points(512, generator)
    batches = DataLoader(TensorDataset(x, y), batch_size=48, shuffle=True)
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    with watch(model, optimizer, batches) as watched:
        for _epoch in range(6):
            model.train()
            for inputs, targets in watched:
                optimizer.zero_grad()
                loss = F.mse_loss(model(inputs).squeeze(-1), targets)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            model.eval()
            with torch.no_grad():
                watched.log(val_loss=F.mse_loss(model(x_val).squeeze(-1), y_val))
    return watched
