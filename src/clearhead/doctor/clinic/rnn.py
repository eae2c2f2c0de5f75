"""A recurrent classifier: which of two letters comes more often in a text, of texts of different lengths."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, LONGEST, PAD = 8, 12, 0


class Reader(nn.Module):
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.cells = nn.LSTM(width, width, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, 3)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.cells(self.embed(tokens))
        last = states[torch.arange(len(tokens)), lengths - 1]
        return self.head(self.drop(last))


def texts(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.randint(5, LONGEST + 1, (n,), generator=generator)
    tokens = torch.randint(1, VOCABULARY, (n, LONGEST), generator=generator)
    tokens[torch.arange(LONGEST) >= lengths[:, None]] = PAD
    ones, twos = (tokens <= 2).logical_and(tokens > 0).sum(1), (tokens == 3).logical_or(tokens == 4).sum(1)
    labels = torch.where(ones > twos, 0, torch.where(ones < twos, 1, 2))
    return tokens, lengths, labels


def train(seed: int, watch: Any) -> Any:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    held_out = texts(256, generator)
    batches = [texts(48, generator) for _ in range(110)]
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with watch(model, optimizer, batches) as watched:
        model.train()
        for step, (tokens, lengths, labels) in enumerate(watched):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(tokens, lengths), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step % 20 == 19:
                model.eval()
                with torch.no_grad():
                    watched.log(val_loss=F.cross_entropy(model(held_out[0], held_out[1]), held_out[2]))
                model.train()
    return watched
