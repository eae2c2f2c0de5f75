"""Held-out loss of a character model after equal time: nanoGPT's published CPU setting against ours, on one text.

The peer is GPT-2's architecture at the size that nanoGPT's README trains on a laptop's processor (4 layers, 4 heads,
128 wide, context 64, 12 rows, 2,000 iterations, AdamW in float32, learning rate 1e-3 falling by a cosine to 1e-4, no
dropout), in plain eager torch. Ours is the model and the step of `training`, eager too: a compiler's start would cost
most of the time. They take turns in one process, a tenth of a second or so each, and ours gets exactly the seconds that
the peer's iterations took, so that on a shared machine both suffer alike.

Every character of the held-out text, the last tenth, is predicted once, with at least half of a model's context before
it; the second figure is by windows side by side, as nanoGPT measures.

    python benchmarks/shakespeare.py --file shakespeare.txt
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.text.corpus import documents, python_documentation
from clearhead.text.packing import Batch
from clearhead.training.optim import Optimizer
from clearhead.training.schedule import lr_multiplier
from clearhead.training.step import Gradients, clip, compute_dtype, keep_freed_memory, language_model_loss

ITERATIONS = 2000  # the peer's
TURN = 20  # of them, before it is ours
HELD_OUT = 0.1
MEASURED = 300_000  # characters of the held-out text at most
CPU = torch.device("cpu")
Logits = Callable[[Tensor], Tensor]  # ids "N T" -> logits "N T V"


class PeerBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        N, T, D = x.shape
        q, k, v = (part.view(N, T, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(N, T, D))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Peer(nn.Module):
    """GPT-2 with tied embeddings and without biases."""

    layers, heads, width, context, rows = 4, 4, 128, 64, 12

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocab, self.width), nn.Embedding(self.context, self.width)
        self.blocks = nn.ModuleList(PeerBlock(self.width, self.heads) for _ in range(self.layers))
        self.norm = nn.LayerNorm(self.width, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                written = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * self.layers) if written else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.token.weight.mT


class PeerTraining:
    def __init__(self, ids: Tensor, vocab: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.ids, self.model, self.done = ids, Peer(vocab), 0
        self.rng = torch.Generator().manual_seed(seed)
        matrices = [w for w in self.model.parameters() if w.ndim == 2]
        gains = [w for w in self.model.parameters() if w.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))

    def step(self) -> None:
        step, model = self.done, self.model
        cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - 100) / (ITERATIONS - 100)))
        rate = 1e-3 * (step + 1) / 101 if step < 100 else 1e-4 + cosine * (1e-3 - 1e-4)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        windows = draw(self.ids, model.rows, model.context, self.rng)
        loss = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1


class OurTraining:
    """The step of training.loop, its schedule following the share of the time that is over."""

    def __init__(
        self, ids: Tensor, vocab: int, seed: int, context: int = 128, rows: int = 16, width: int = 128, layers: int = 4,
        heads: int = 2, lr: float = 0.02, adam_lr: float = 0.01, decay: float = 0.02, decay_start: float = 0.3,
    ) -> None:  # fmt: skip
        self.ids, self.context, self.rows, self.decay_start, self.done = ids, context, rows, decay_start, 0
        config = DecoderConfig(
            vocab, d_model=width, n_layers=layers, n_heads=heads, n_kv_heads=heads, d_ff=4 * width, mlp="relu2",
            max_positions=context,
        )  # fmt: skip
        self.model, dtype = Decoder(config, seed), compute_dtype("auto", CPU)
        self.gradients = Gradients(self.model, language_model_loss, dtype, compiled=False)
        self.optimizer = Optimizer(self.model, "muon", lr, adam_lr, decay, dtype)
        self.rng = torch.Generator().manual_seed(seed)
        self.same = np.ones((rows, context), np.int64), np.tile(np.arange(context), (rows, 1))

    def step(self, over: float) -> None:
        """`over`: the share of all the time that is over."""
        windows = draw(self.ids, self.rows, self.context, self.rng).numpy()
        segments, positions = self.same
        _, gradients = self.gradients([Batch(windows[:, :-1], positions, segments, windows[:, 1:])])
        clip(gradients, 1.0)
        self.done += 1
        fall = lr_multiplier(round(1e6 * over) + 1, 1_000_001, 0, self.decay_start)
        self.optimizer.step(gradients, self.done, min(fall, self.done / 20))

    def logits(self, ids: Tensor) -> Tensor:
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        return self.model.logits(self.model(ids, positions, causal_attend()))


def draw(ids: Tensor, rows: int, length: int, rng: torch.Generator) -> Tensor:
    """Windows of length + 1 from anywhere."""
    starts = torch.randint(len(ids) - length, (rows, 1), generator=rng)
    return ids[starts + torch.arange(length + 1)]


@torch.no_grad()
def held_out_loss(logits: Logits, ids: Tensor, context: int, stride: int) -> float:
    """Nats a character; windows begin every `stride`, and each predicts what the one before did not."""
    total = count = 0.0
    starts = range(0, len(ids) - 1 - context, stride)
    for at in range(0, len(starts), 64):
        windows = torch.stack([ids[start : start + context + 1] for start in starts[at : at + 64]])
        losses = F.cross_entropy(logits(windows[:, :-1]).float().mT, windows[:, 1:], reduction="none")
        new = losses[:, context - stride :].sum() + (losses[0, : context - stride].sum() if at == 0 else 0)
        total += float(new)
        count += len(windows) * stride + (context - stride if at == 0 else 0)
    return total / count


def train(ours: OurTraining, peer: PeerTraining) -> tuple[float, float]:
    """Turn by turn to the end; the seconds of each."""
    for _ in range(3):  # what only first calls cost is paid by nobody
        ours.step(0.0)
        peer.step()
    ours.done = peer.done = 0
    spent = used = 0.0
    while peer.done < ITERATIONS:
        started = time.perf_counter()
        for _ in range(min(TURN, ITERATIONS - peer.done)):
            peer.step()
        spent += time.perf_counter() - started
        whole = spent / peer.done * ITERATIONS
        while used < spent:
            started = time.perf_counter()
            ours.step(min(used / whole, 1.0))
            used += time.perf_counter() - started
    return spent, used


def read(file: Path | None) -> str:
    return "\n".join(documents([file]) if file else python_documentation())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="the text; Python's own documentation if left out")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keep_freed_memory()
    text = read(args.file)
    ids, vocab = encode(text), len(set(text))
    cut = int(len(ids) * (1 - HELD_OUT))
    held = ids[cut:][:MEASURED]
    ours, peer = OurTraining(ids[:cut], vocab, args.seed), PeerTraining(ids[:cut], vocab, args.seed)
    spent, used = train(ours, peer)
    print(f"{len(text):,} characters, {vocab} different; {len(held):,} held out are measured")
    print(f"{'':>8} {'parameters':>11} {'steps':>6} {'characters':>11} {'seconds':>8} {'nats':>8} {'side by side':>13}")
    figures = []
    for name, model, logits, done, rows, context, seconds in (
        ("nanoGPT", peer.model, peer.model, peer.done, Peer.rows, Peer.context, spent),
        ("ours", ours.model, ours.logits, ours.done, ours.rows, ours.context, used),
    ):
        losses = [held_out_loss(logits, held, context, stride) for stride in (context // 2, context)]
        figures.append(losses)
        size = sum(w.numel() for w in model.parameters())
        print(
            f"{name:>8} {size:>11,} {done:>6,} {done * rows * context:>11,} {seconds:>8.1f} {losses[0]:>8.4f} "
            f"{losses[1]:>13.4f}"
        )
    gains = [a - b for a, b in zip(*figures, strict=True)]
    print(f"ours is {gains[0]:.4f} nats a character lower, side by side {gains[1]:.4f}")


def encode(text: str) -> Tensor:
    """The place of each character among the different ones."""
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    return torch.from_numpy(np.unique(points, return_inverse=True)[1].astype(np.int64))


if __name__ == "__main__":
    main()
