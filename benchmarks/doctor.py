"""How well the doctor names faults: recall and precision by kind on broken runs, false alarms on healthy ones.

    python benchmarks/doctor.py --out doctor.jsonl --seeds 8     # goes on where it was stopped
    python benchmarks/doctor.py --out doctor.jsonl --tell        # the table of what is there
    python benchmarks/doctor.py --cost                           # the demo's model: preflight, and a watched step

Faults are put into the code or the data of small programs (src/clearhead/doctor/clinic); the doctor sees the run alone.
Thresholds were fixed before the seeds from 100 on were drawn; those below were for finding them. Recall of a fault: the
share of its runs in which one of its names is an alarm. Precision of a finding: the share of its alarms that are raised
where it is the fault. Intervals are Wilson's, 95 %.
"""

import argparse
import json
import time
import tomllib
import warnings
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from clearhead.doctor.clinic.faults import FAULTS, Patch
from clearhead.doctor.clinic.runs import PROGRAMS, cases, run, source
from clearhead.doctor.finding import alarms
from clearhead.doctor.probing import preflight
from clearhead.doctor.watching import watch
from clearhead.models.decoder import Decoder
from clearhead.pipeline.data import document, load_tasks
from clearhead.pipeline.data import source as data_source
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.tokens import train_tokenizer
from clearhead.reasoning.statistics import wilson
from clearhead.text.packing import Batch, PackedStream
from clearhead.training.step import language_model_loss, to_tensors

ROOT = Path(__file__).parents[1]

FIRST = 100  # seeds from here on are the measurement's

ADAMW = "AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)"
SGD = "SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)"
HEALTHY: dict[str, dict[str, Patch]] = {  # other sizes, rates, tasks and optimizers, all of which learn
    "mlp": {
        "as it is": (),
        "narrow": (("width: int = 64", "width: int = 24"),),
        "wide": (("width: int = 64", "width: int = 160"),),
        "third of the rate": (("lr=3e-3", "lr=1e-3"),),
        "sgd": ((ADAMW, "SGD(model.parameters(), lr=0.1, momentum=0.9)"),),
        "rmsprop": ((ADAMW, "RMSprop(model.parameters(), lr=1e-3)"),),
        "small batches": (("batch_size=64", "batch_size=16"), ("points(1536", "points(512")),
        "gelu": (("F.relu", "F.gelu"),),
    },
    "regression": {
        "as it is": (),
        "adam": ((SGD, "Adam(model.parameters(), lr=3e-3)"),),
        "relu": (("torch.tanh(self", "torch.relu(self"),),
        "lower rate": (("lr=0.05", "lr=0.02"),),
        "l1": (("loss = F.mse_loss", "loss = F.smooth_l1_loss"),),
        "no clipping": (("nn.utils.clip_grad_norm_(model.parameters(), 1.0)", "pass"),),
    },
    "decoder": {
        "as it is": (),
        "one layer": (("layers: int = 2", "layers: int = 1"),),
        "lower rate": (("lr=5e-3", "lr=2e-3"),),
        "no dropout": (("nn.Dropout(0.05)", "nn.Dropout(0.0)"),),
        "accumulated": (
            ("    optimizer.zero_grad()\n", "    if step % 2 == 0:\n                optimizer.zero_grad()\n"),
            ("loss = loss_of(model, inputs, targets)\n", "loss = loss_of(model, inputs, targets) / 2\n"),
            ("            optimizer.step()\n", "            if step % 2 == 1:\n                optimizer.step()\n"),
        ),
    },
    "rnn": {
        "as it is": (),
        "gru": (("nn.LSTM", "nn.GRU"),),
        "lower rate": (("lr=5e-3", "lr=2e-3"),),
        "wide": (("width: int = 24", "width: int = 48"),),
    },
    "policy": {
        "as it is": (),
        "lower rate": (("lr=3e-3", "lr=1e-3"),),
        "more beta": (("BETA, CLIP = 0.02", "BETA, CLIP = 0.1"),),
    },
}  # fmt: skip


def jobs(seeds: int) -> list[tuple[str, str, str, Patch, int]]:
    """(fault or "", program, variant, patch, seed), seed by seed."""
    healthy = [("", p, v, patch) for p, variants in HEALTHY.items() for v, patch in variants.items()]
    broken = [(fault.name, program, "", fault.patches[program]) for fault, program in cases()]
    return [(*each, seed) for seed in range(FIRST, FIRST + seeds) for each in healthy + broken]


def measure(out: Path, seeds: int, limit: float) -> None:
    done = {tuple(json.loads(line)["job"]) for line in out.read_text().splitlines()} if out.exists() else set()
    started, todo = time.time(), [job for job in jobs(seeds) if (*job[:3], job[4]) not in done]
    for i, (fault, program, variant, patch, seed) in enumerate(todo):
        if time.time() - started > limit:
            break
        try:
            found = [f.name for f in alarms(run(source(program, patch), seed).findings())]
        except (RuntimeError, ValueError) as error:
            found = [f"crash: {error!r:.80}"]
        with out.open("a") as file:
            file.write(json.dumps({"job": [fault, program, variant, seed], "alarms": found}) + "\n")
        print(
            f"{i + 1}/{len(todo)} {fault or 'healthy'} {program} {variant} {seed}: {', '.join(found) or '-'}",
            flush=True,
        )


def tell(out: Path) -> None:
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    names = {fault.name: set(fault.names) for fault in FAULTS}
    caught, raised, right = defaultdict(list), defaultdict(int), defaultdict(int)
    false = []
    for row in rows:
        fault, alarmed = row["job"][0], row["alarms"]
        if fault:
            caught[fault].append(bool(names[fault] & set(alarmed)))
        elif alarmed:
            false.append(row)
        for name in alarmed:
            raised[name] += 1
            right[name] += name in names.get(fault, set())
    print(f"{'fault':<28} recall")
    for fault, hits in caught.items():
        share, low, high = wilson(sum(hits), len(hits))
        print(f"{fault:<28} {share:.2f} [{low:.2f}, {high:.2f}] of {len(hits)}")
    print(f"\n{'finding':<28} precision")
    for name, n in sorted(raised.items()):
        share, low, high = wilson(right[name], n)
        print(f"{name:<28} {share:.2f} [{low:.2f}, {high:.2f}] of {n}")
    broken, healthy = [h for hits in caught.values() for h in hits], [row for row in rows if not row["job"][0]]
    for told, part, n in (
        ("recall, all runs", sum(broken), len(broken)),
        ("precision, all alarms", sum(right.values()), sum(raised.values())),
        ("healthy runs accused", len(false), len(healthy)),
    ):
        share, low, high = wilson(part, max(1, n))
        print(f"\n{told}: {part} of {n}, {share:.3f} [{low:.3f}, {high:.3f}]", end="")
    print(
        "\nmean recall by fault:",
        sum(sum(h) / len(h) for h in caught.values()) / max(1, len(caught)),
        "of",
        len(caught),
    )
    print(
        "mean precision by finding:", sum(right[k] / raised[k] for k in raised) / max(1, len(raised)), "of", len(raised)
    )
    for row in false:
        print("accused:", *row["job"], row["alarms"])


def demo() -> tuple[Decoder, PackedStream]:
    """The demo's policy, and the batches that it learns from."""
    recipe = parse(tomllib.loads((ROOT / "recipes" / "demo.toml").read_text(encoding="utf-8")))
    tasks = load_tasks(recipe)
    tokenizer = train_tokenizer(tasks, recipe.seed)
    drawn = data_source(tasks, recipe.tasks, recipe.data.direct, "train", recipe.seed)
    config = recipe.pretrain
    draw = lambda rng: document(tokenizer, drawn, config.seq_len, rng)  # noqa: E731
    return Decoder(recipe.decoder(tokenizer.vocab_size)), PackedStream(draw, config.batch_size, config.seq_len, 0)


def cost(steps: int = 12) -> None:
    """Seconds of the preflight, and processor seconds of steps in a plain loop: watched, in turn with not watched."""
    model, stream = demo()
    started, used = time.perf_counter(), time.process_time()
    told = preflight(model, [stream.batch(i) for i in range(2)], language_model_loss)
    print(told)
    print(f"preflight: {time.perf_counter() - started:.1f} s, {time.process_time() - used:.1f} s of processor")
    batches = [to_tensors(Batch(*(array[:16] for array in stream.batch(i))), torch.device("cpu")) for i in range(4)]
    seconds = {watched: [steps_of(model, batches, watched, steps) for _ in range(2)] for watched in (False, True)}
    plain, seen = min(seconds[False]), min(seconds[True])
    print(f"{steps} steps of 16 rows: {plain:.2f} s of processor, watched {seen:.2f} s: {seen / plain - 1:+.1%}")


def steps_of(model: Decoder, batches: Sequence[Batch], watched: bool, steps: int) -> float:
    """Processor seconds of training steps in a plain loop."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    began = time.process_time()
    with watch(model, optimizer) if watched else nullcontext():
        for i in range(steps):
            optimizer.zero_grad()
            language_model_loss(model, batches[i % 4]).backward()
            optimizer.step()
    return time.process_time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("doctor.jsonl"))
    parser.add_argument("--cost", action="store_true", help="time preflight and watch on the demo's model instead")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--limit", type=float, default=1e9, help="stop after so many seconds")
    parser.add_argument("--tell", action="store_true", help="measure nothing")
    given = parser.parse_args()
    assert set(HEALTHY) == set(PROGRAMS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if given.cost:
        cost()
    else:
        if not given.tell:
            measure(given.out, given.seeds, given.limit)
        tell(given.out)
