"""Training tokens/s against the same model on the same batches in plain eager `transformers`, AdamW, float32.

Rows are packed with the demo's problems; all contenders read the same ones, and padding is not counted. The peer is
GPT-2's architecture at the demo's sizes, whose MLP has two matrices like ours, with torch's fused attention, gelu and
AdamW; it knows nothing of documents and attends across them. Ours is what `training.loop` does in a step, where a
token sees its own document, and compiled, no other score is computed. `--one-document` takes that gain away: every row
is then one document for both. Each contender has a process of its own and they take turns, so that on a shared
machine the ratio of a turn can be trusted where a speed cannot.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from clearhead.config import load_toml
from clearhead.models.decoder import Decoder
from clearhead.pipeline.data import encode, load_tasks, source
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.tokens import train_tokenizer
from clearhead.text.packing import IGNORE_INDEX, Batch, PackedStream, waste
from clearhead.training.optim import Optimizer
from clearhead.training.step import Gradients, clip, compute_dtype, keep_freed_memory, language_model_loss, to_tensors

PEER = "transformers, eager, float32, AdamW"
CONTENDERS = {
    "transformers, eager, bfloat16 autocast, AdamW": ("peer", "bfloat16"),
    "ours, eager, Muon": ("muon", False),
    "ours, compiled, AdamW": ("adamw", True),
    "ours, compiled, Muon": ("muon", True),
}
RECIPE = parse(load_toml(Path(__file__).parents[1] / "recipes" / "demo.toml"))
CPU = torch.device("cpu")
Step = Callable[[Batch], None]


def demo_batches(rows: int, length: int, n: int) -> tuple[list[Batch], int]:
    tasks = load_tasks(RECIPE)
    tokenizer = train_tokenizer(tasks, 0)
    drawn = source(tasks, RECIPE.tasks, RECIPE.data.direct, "train", 0)
    stream = PackedStream(lambda rng: encode(tokenizer, drawn.draw(rng)), rows, length, seed=0)
    return [stream.batch(i) for i in range(n)], tokenizer.vocab_size


def ours(vocab: int, rule: str, compiled: bool) -> Step:
    keep_freed_memory()
    decoder, config = Decoder(RECIPE.decoder(vocab)), RECIPE.pretrain
    dtype = compute_dtype("auto", CPU)
    gradients = Gradients(decoder, language_model_loss, dtype, compiled)
    optimizer = Optimizer(decoder, rule, config.lr, config.adam_lr, config.weight_decay, dtype)

    def step(batch: Batch) -> None:
        _, found = gradients([batch])
        clip(found, 1.0)
        optimizer.step(found, 1, 0.1)

    return step


def peer(vocab: int, length: int, autocast: bool) -> Step:
    config = RECIPE.decoder(vocab)
    sizes = {
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": 4 * config.d_model,
    }
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=vocab, n_positions=length, activation_function="gelu_pytorch_tanh", **sizes, **quiet)
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), fused=True)

    def step(batch: Batch) -> None:
        tensors = to_tensors(batch, CPU)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(input_ids=tensors.tokens, position_ids=tensors.positions, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), tensors.targets.flatten(), ignore_index=IGNORE_INDEX
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def work(name: str, batches: list[Batch], vocab: int, threads: int, turns: Connection) -> None:
    """A contender's process: warm up, then run every list of batches that is asked for and answer with the seconds."""
    torch.set_num_threads(threads)
    kind, option = CONTENDERS.get(name, ("peer", "float32"))
    length = batches[0].tokens.shape[1]
    step = peer(vocab, length, option == "bfloat16") if kind == "peer" else ours(vocab, kind, bool(option))
    for batch in batches[:2]:
        step(batch)
    turns.send(0.0)
    while (numbers := turns.recv()) is not None:
        started = time.perf_counter()
        for i in numbers:
            step(batches[i])
        turns.send(time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="of each contender in a turn")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--one-document", action="store_true", help="let every token of a row see all before it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    batches, vocab = demo_batches(options.rows, options.tokens, options.steps)
    if options.one_document:
        batches = [batch._replace(segments=np.ones_like(batch.segments)) for batch in batches]
    padding = statistics.mean(map(waste, batches))
    tokens = sum(int((batch.segments > 0).sum()) for batch in batches)
    print(f"{options.threads} threads, torch {torch.__version__}; {options.rows} rows of {options.tokens} tokens,")
    print(f"{padding:.1%} padding, {RECIPE.decoder(vocab).parameters:,} parameters")
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in (PEER, *CONTENDERS):  # one after the other, so that nobody compiles while another is timed
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, batches, vocab, options.threads, theirs), daemon=True).start()
        pipes[name].recv()
    seconds: dict[str, list[float]] = {name: [] for name in pipes}
    for _ in range(options.turns):
        for name, pipe in pipes.items():
            pipe.send(list(range(options.steps)))
            seconds[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(None)
    for name, times in seconds.items():
        ratios = sorted(base / mine for base, mine in zip(seconds[PEER], times, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"{name:46} {tokens / statistics.median(times):8,.0f} tokens/s, {statistics.median(ratios):5.2f} times "
            f"(middle half of the turns {low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
