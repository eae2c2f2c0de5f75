"""A classifier of points: four classes by a rule that is not linear, learned by an MLP."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(16, width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.head = nn.Linear(width, 4)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.relu(self.second(x))
        x = self.drop(F.relu(self.third(x)))
        return self.head(x)


def points(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 16, generator=generator)
    y = 2 * (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] + x[:, 3] > 0).long()
    return x, y


def train(seed: int, watch: Any) -> Any:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = points(1536, generator)
    x_val, y_val = points(512, generator)
    batches = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    with watch(model, optimizer, batches) as watched:
        for _epoch in range(6):
            model.train()
            for inputs, labels in watched:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(inputs), labels)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            model.eval()
            with torch.no_grad():
                outputs = model(x_val)
                watched.log(val_loss=F.cross_entropy(outputs, y_val))
                watched.log(val_accuracy=(outputs.argmax(1) == y_val).float().mean())
    return watched
