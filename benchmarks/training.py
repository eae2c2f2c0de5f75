"""Training tokens/s against the same model and batch in plain eager `transformers` with AdamW in float32.

Both learn the same packed rows of the demo's tasks: 64 rows of 128 tokens, 192 wide, 4 layers, 3 heads. The peer is
GPT-2's architecture (its size is the nearest: 2 matrices in the MLP), with torch's AdamW and its own fused attention.
Ours is the step of `training.loop`: bfloat16 where the processor has it, compiled, Muon. The two take turns, a few
steps each, and the ratio of each turn is reported, since on a shared machine only ratios can be trusted.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from clearhead.config import load_toml
from clearhead.models.decoder import Decoder
from clearhead.pipeline.data import encode, load_tasks, source, train_tokenizer
from clearhead.pipeline.recipe import parse
from clearhead.text.packing import NO_TARGET, PackedStream, waste
from clearhead.training.optim import Optimizer
from clearhead.training.step import Gradients, clip, compute_dtype, language_model_loss

IGNORED = -100  # what `transformers` calls a position without a target


def demo_batches(rows: int, length: int) -> tuple[PackedStream, int]:
    recipe = parse(load_toml("recipes/demo.toml"))
    tasks = load_tasks(recipe)
    tokenizer = train_tokenizer(tasks, 0)
    drawn = source(tasks, recipe.tasks, recipe.data.direct, "train", 0)
    return PackedStream(lambda rng: encode(tokenizer, drawn.draw(rng)), rows, length, 0), tokenizer.vocab_size


def ours(stream: PackedStream, vocab: int, optimizer: str, compiled: bool) -> tuple[Callable[[int], None], int]:
    recipe = parse(load_toml("recipes/demo.toml"))
    decoder, config = Decoder(recipe.decoder(vocab)), recipe.pretrain
    dtype = compute_dtype("auto", torch.device("cpu"))
    gradients = Gradients(decoder, language_model_loss, dtype, compiled)
    transform = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
    update = Optimizer(decoder, optimizer, config.lr, config.adam_lr, config.weight_decay, dtype, transform)

    def step(i: int) -> None:
        _, found = gradients([stream.batch(i)])
        clip(found, config.clip)
        update.step(found, i + 1, 0.1)

    return step, decoder.config.parameters


def peer(stream: PackedStream, vocab: int) -> tuple[Callable[[int], None], int]:
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab, n_positions=stream.length, n_embd=192, n_layer=4, n_head=3, n_inner=768,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))

    def step(i: int) -> None:
        batch = stream.batch(i)
        tokens, positions = torch.from_numpy(batch.tokens), torch.from_numpy(batch.positions)
        targets = torch.from_numpy(batch.targets)
        logits = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
        wanted = targets.masked_fill(targets == NO_TARGET, IGNORED)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(p.numel() for p in model.parameters())


def timed(step: Callable[[int], None], steps: range) -> float:
    started = time.perf_counter()
    for i in steps:
        step(i)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8, help="of each, in a turn")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    stream, vocab = demo_batches(options.rows, options.tokens)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, padding {waste(stream.batch(0)):.1%}")
    plain, plain_size = peer(stream, vocab)
    contenders = {
        "compiled, Muon": ours(stream, vocab, "muon", compiled=True),
        "compiled, AdamW": ours(stream, vocab, "adamw", compiled=True),
        "eager, Muon": ours(stream, vocab, "muon", compiled=False),
    }
    print(f"parameters: transformers {plain_size:,}, ours {next(iter(contenders.values()))[1]:,}")
    for step in (plain, *(step for step, _ in contenders.values())):
        timed(step, range(2))  # compilation and warm-up
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(options.turns):
        steps = range(turn * options.steps, (turn + 1) * options.steps)
        base = timed(plain, steps)
        for name, (step, _) in contenders.items():
            times[name].append((timed(step, steps), base))
    tokens = options.steps * options.rows * options.tokens
    print(f"transformers eager float32 AdamW: {tokens / statistics.median(b for _, b in times[name]):,.0f} tokens/s")
    for name, pairs in times.items():
        ratios = sorted(base / mine for mine, base in pairs)
        speed = tokens / statistics.median(mine for mine, _ in pairs)
        print(
            f"ours, {name}: {speed:,.0f} tokens/s, {statistics.median(ratios):.2f} times "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
