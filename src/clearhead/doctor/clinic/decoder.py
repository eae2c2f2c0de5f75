"""A small decoder that learns to write a word again: a b c | a b c ., in rows with padding at their ends."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, LONGEST, PAD, BAR, END = 16, 13, 0, 1, 2
IGNORED = -100


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_a, self.norm_b = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attend(self.norm_a(x)))
        return x + self.drop(self.down(F.gelu(self.up(self.norm_b(x)))))

    def attend(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (t.view(rows, length, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
        weights = scores.softmax(dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(rows, length, width))


class Decoder(nn.Module):
    def __init__(self, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.position = nn.Embedding(LONGEST, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def rows(n: int, generator: torch.Generator) -> Tensor:
    """Words of three to six letters, twice."""
    table = torch.full((n, LONGEST + 1), PAD)
    for row in table:
        size = int(torch.randint(3, 7, (1,), generator=generator))
        word = torch.randint(3, VOCABULARY, (size,), generator=generator)
        row[: 2 * size + 2] = torch.cat([word, torch.tensor([BAR]), word, torch.tensor([END])])
    return table


def pair(table: Tensor) -> tuple[Tensor, Tensor]:
    """What is read, and the token after each."""
    inputs, targets = table[:, :-1], table[:, 1:].clone()
    targets[targets == PAD] = IGNORED
    return inputs, targets


def loss_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    logits = model(inputs)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def train(seed: int, watch: Any) -> Any:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    held_out = pair(rows(64, generator))
    batches = [pair(rows(24, generator)) for _ in range(120)]
    model = Decoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
    with watch(model, optimizer, batches) as watched:
        model.train()
        for step, (inputs, targets) in enumerate(watched):
            optimizer.zero_grad()
            loss = loss_of(model, inputs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 20 == 19:
                model.eval()
                with torch.no_grad():
                    watched.log(val_loss=loss_of(model, *held_out))
                model.train()
    return watched
