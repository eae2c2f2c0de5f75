"""Fine-tuning, from a file of examples to a directory with the adapter or the tuned model.

    tune.toml                   the settings            tune.jsonl          everything measured in training
    before.json                 the untouched model     tune.json           the result in figures
    tune.checkpoint.safetensors to go on from           report.html         before and after, side by side
    adapter_model.safetensors, adapter_config.json      LoRA, as PEFT writes it; or, of a tuning in full or merged,
    model.safetensors, config.json, tokenizer.json      the model, a run's as a run

Deliberately not here: what is learned of an example (text.sft_data), the loss (alignment.sft), LoRA (nn.lora).
"""

import dataclasses
import hashlib
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from safetensors.torch import save as to_bytes

from clearhead.alignment.sft import Epochs, answer_loss
from clearhead.checkpoints import export
from clearhead.checkpoints.load import LoadedModel, is_adapter
from clearhead.config import build, load_toml, save_toml, to_dict
from clearhead.errors import UserError
from clearhead.files import write_bytes, write_json
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import TextStream
from clearhead.models.adapter import CONFIG, TENSORS, config_of, tensors_of
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import TARGETS, LoraConfig, add_lora, merge, resolved
from clearhead.pipeline.context import Context, Progress
from clearhead.pipeline.rundir import read_json
from clearhead.text.corpus import held_out
from clearhead.text.sft_data import ChatRow, Example, Turn, examples, read_rows, turns
from clearhead.text.subword import SubwordTokenizer
from clearhead.training.jsonl_log import JsonlLog
from clearhead.training.loop import LARGEST_SEED, TrainConfig, train
from clearhead.training.step import mean_loss

SETTINGS, BEFORE, RESULT = "tune.toml", "before.json", "tune.json"
CHECKPOINT, LOG, REPORT = "tune.checkpoint.safetensors", "tune.jsonl", "report.html"
HELD_OUT = 0.1  # of the rows, where no file is given for it
SHORTEST_ROW = 256  # tokens; the attention's memory grows with the square
MANY_ROWS = 500  # from here on, reading them shows a bar
MOST_STEPS = 1_000_000_000
LORA_LR, FULL_LR = 5e-4, 3e-5
EncodedRow = tuple[ChatRow, list[Example]]
T = TypeVar("T")


@dataclass(frozen=True)
class TuneConfig:
    """How to tune. 0 leaves a choice open: `steps` to the epochs, `lr` to the method, `max_length` to the model."""

    model: str
    data: Path
    held_out: Path | None = None
    full: bool = False
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = TARGETS
    epochs: float = 3.0
    steps: int = 0
    lr: float = 0.0
    batch: int = 1024
    max_length: int = 0
    seed: int = 0
    warmup: int = 5
    decay_start: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    save_every: int = 20
    eval_every: int = 0
    merge: bool = False
    control_tokens: bool = False
    samples: int = 6
    sample_tokens: int = 64

    def __post_init__(self) -> None:
        for name in ("batch", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in (
            "steps", "lr", "max_length", "eval_every", "samples", "sample_tokens", "warmup", "weight_decay", "clip",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 or a positive number")
        if not 0 <= self.decay_start < 1:
            raise UserError(f"decay_start = {self.decay_start} must be in [0, 1): the share of steps before the fall")
        if abs(self.seed) > LARGEST_SEED:
            raise UserError(f"seed = {self.seed} is too large; -{LARGEST_SEED} to {LARGEST_SEED} are possible")
        if not 0 < self.epochs < math.inf:
            raise UserError(f"epochs = {self.epochs} must be a positive number")
        if self.full and self.merge:
            raise UserError("full tuning has nothing to merge; leave out merge")
        if not self.full:
            _ = self.lora

    @property
    def lora(self) -> LoraConfig:
        return LoraConfig(self.rank, self.alpha, self.dropout, self.targets)


@dataclass(frozen=True)
class TuneRun:
    """A model and examples that fit it; `turns` are held out, with the answers that the file gives."""

    config: TuneConfig
    loaded: LoadedModel
    training: list[Example]
    held: list[Example]
    turns: list[Turn]
    end_id: int | None
    rewritten: int
    kv_memory: int | None = None

    @property
    def length(self) -> int:
        """Tokens in a row: the longest example's, or a usual number."""
        longest = max(len(example.tokens) for example in (*self.training, *self.held)) - 1
        return max(longest, min(SHORTEST_ROW, self.loaded.decoder.config.max_positions))

    @property
    def epochs(self) -> Epochs:
        return Epochs(self.training, max(1, self.config.batch // self.length), self.length, self.config.seed)

    @property
    def settings(self) -> TrainConfig:
        config, epochs = self.config, self.epochs
        if config.epochs * epochs.steps > MOST_STEPS:
            raise UserError(f"epochs = {config.epochs:g} are more than {MOST_STEPS:,} steps; lower it")
        steps = config.steps or max(1, round(config.epochs * epochs.steps))
        lr = config.lr or (FULL_LR if config.full else LORA_LR)
        usual = config.warmup == TuneConfig.warmup  # a few steps may be fewer than it, which nobody asked for
        return TrainConfig(
            steps=steps, batch_size=epochs.rows, seq_len=epochs.length, optimizer="adamw", lr=lr, adam_lr=lr,
            weight_decay=config.weight_decay, warmup=min(config.warmup, steps - 1) if usual else config.warmup,
            decay_start=config.decay_start, clip=config.clip, eval_every=config.eval_every or max(1, steps // 5),
            save_every=config.save_every, compile="off", dtype=config.dtype, seed=config.seed,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """Of everything that is learned: a run goes on with the same examples only."""
        told = json.dumps([self.training, self.held], separators=(",", ":")).encode()
        return hashlib.blake2b(told, digest_size=16).hexdigest()


class BadRows(UserError):
    """Rows that cannot be learned from, one line for each."""

    def __init__(self, path: Path, lines: Sequence[str], rows: int) -> None:
        super().__init__(
            f"{path}: {len(lines)} of {rows} rows cannot be used; mend them, or leave them out with --skip-bad"
        )
        self.lines = list(lines)


@contextmanager
def unseen(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress that nobody looks at."""
    yield lambda count: None


def prepare(
    config: TuneConfig, loaded: LoadedModel, skip_bad: bool = False, say: Callable[[str], None] = print,
    progress: Progress = unseen, kv_memory: int | None = None,
) -> TuneRun:  # fmt: skip
    """What can be wrong with the data, or with settings for so much of it, is told before a file is written.

    `kv_memory`: bytes for keys and values at most, while answers are written.
    """
    if is_adapter(Path(loaded.name)) and not (config.full or config.merge):
        raise UserError(f"{loaded.name} is an adapter, and one for it would be none for any model; add --merge")
    limit = config.max_length or loaded.decoder.config.max_positions
    if limit > loaded.decoder.config.max_positions:
        raise UserError(
            f"max_length = {limit} is more than the model's context of {loaded.decoder.config.max_positions}; lower it"
        )
    if config.full or config.merge:
        export.check(loaded)
    spelled = config.control_tokens
    training = read(config.data, loaded, limit, skip_bad, say, progress, spelled)
    if config.held_out:
        held = read(config.held_out, loaded, limit, skip_bad, say, progress, spelled)
    else:
        training, held = split(training, lambda pair: pair[0].opening)
    if not training:
        raise UserError(f"{config.data} has one example; give at least two, one to learn from and one to measure with")
    rewritten = sum(len(found) > 1 for _, found in (*training, *held))
    if rewritten:
        say(f"the template rewrites earlier turns in {rewritten} chats: each of their answers is an example by itself")
    asked = [
        turn for row, _ in held[: config.samples] for turn in turns(row, loaded.tokenizer, loaded.template, spelled)
    ][: config.samples]
    to_learn = [example for _, found in training for example in found]
    last = next((token for token, on in zip(to_learn[0].tokens[::-1], to_learn[0].loss_mask[::-1], strict=True) if on))
    prepared = TuneRun(
        config, loaded, to_learn, [e for _, found in held for e in found], asked, last, rewritten, kv_memory
    )
    _ = prepared.settings
    if not config.full:
        resolved(loaded.decoder, config.lora)
    return prepared


def split(rows: Sequence[T], opening: Callable[[T], str]) -> tuple[list[T], list[T]]:
    """To learn from, and to measure with; rows that begin with the same question are on one side."""
    held = {text for text in map(opening, rows) if held_out(text, HELD_OUT)} or {opening(rows[-1])}
    return [row for row in rows if opening(row) not in held], [row for row in rows if opening(row) in held]


def usable(path: Path, found: list[T], wrong: Sequence[str], skip_bad: bool, say: Callable[[str], None]) -> list[T]:
    """What was found in a file; BadRows for the lines about what is wrong in it, or each told and left out."""
    wrong = sorted(wrong, key=lambda told: int(told.removeprefix(f"{path}, line ").partition(":")[0]))
    if wrong and (not skip_bad or not found):
        raise BadRows(path, wrong, len(found) + len(wrong))
    for line in wrong:
        say(f"left out: {line}")
    return found


def read(
    path: Path, loaded: LoadedModel, limit: int, skip_bad: bool, say: Callable[[str], None],
    progress: Progress = unseen, control_tokens: bool = False,
) -> list[EncodedRow]:  # fmt: skip
    """The rows of a file with their examples; BadRows, or what is left without them."""
    rows, wrong = read_rows(path)
    found: list[EncodedRow] = []
    with (progress if len(rows) >= MANY_ROWS else unseen)(f"reading {path.name}", len(rows)) as done:
        for row in rows:
            try:
                found.append((row, encoded(row, loaded, limit, control_tokens)))
            except UserError as error:
                wrong.append(f"{path}, line {row.line}: {error}")
            done(1)
    return usable(path, found, wrong, skip_bad, say)


def encoded(row: ChatRow, loaded: LoadedModel, limit: int, control_tokens: bool = False) -> list[Example]:
    """What is learned from a row; UserError if that is nothing, or too long."""
    made = examples(row, loaded.tokenizer, loaded.template, control_tokens)
    longest = max(len(example.tokens) for example in made) - 1
    if longest > limit:
        raise UserError(f"{longest} tokens are too long; {limit} are possible, shorten it")
    if not all(any(example.loss_mask[1:]) for example in made):
        raise UserError("the chat template leaves nothing of the answer to learn; use another")
    return made


def open_folder(folder: Path, config: Any, resume: bool, name: str = SETTINGS, verb: str = "tune") -> None:
    """A new directory, or the one of a run with the same settings, which a verb keeps in the file `name`."""
    plain = to_dict(config)
    if resume:
        if not (folder / name).is_file():
            raise UserError(f"{folder} holds no run of `clearhead {verb}` to go on with; leave out --resume")
        before = to_dict(build(type(config), load_toml(folder / name), str(folder / name)))
        for key in sorted({*plain, *before}):
            if before.get(key) != plain.get(key):
                raise UserError(
                    f"{folder} was begun with {key} = {before.get(key)!r}, not {plain.get(key)!r}; "
                    "resume with the same settings, or choose another --out"
                )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} already exists and is not empty; add --resume to go on, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    save_toml(plain, folder / name)


def tune(prepared: TuneRun, context: Context) -> dict[str, Any]:
    """Measure, train, measure again, and write the result, which is returned as plain data."""
    config, decoder, folder = prepared.config, prepared.loaded.decoder, context.run.path
    if (folder / RESULT).is_file():
        context.say("done before")
        return cast(dict[str, Any], read_json(folder / RESULT))
    epochs, held = prepared.epochs, Epochs(prepared.held, 4, prepared.length, 0)
    held_batches = [held.batch(i) for i in range(held.steps)]
    started = time.perf_counter()
    if not (folder / BEFORE).is_file():
        loss = mean_loss(decoder, held_batches, answer_loss, context.device)
        context.say(f"held-out loss before: {loss:.4f} nats a token")
        write_json(folder / BEFORE, {"held_out_loss": loss, "answers": answers(prepared, context, "answers before")})
    before = read_json(folder / BEFORE)
    lora = None if config.full else config.lora
    make_trainable(decoder, lora, config.seed)
    sizes = parameters(decoder)
    share = sizes["trainable"] / sizes["total"]
    context.say(f"trainable: {sizes['trainable']:,} of {sizes['total']:,} parameters ({share:.2%})")
    settings = prepared.settings
    meta = {"digest": prepared.digest, "lora": None if lora is None else to_dict(lora)}
    decoder.train()
    with context.watch("tuning") as watcher:
        train(
            settings, decoder, epochs.batch, answer_loss, checkpoint=folder / CHECKPOINT,
            log=JsonlLog(folder / LOG), callbacks=[watcher], meta=meta,
            on_eval=lambda model, step: {"held_out_loss": mean_loss(model, held_batches, answer_loss, context.device)},
        )  # fmt: skip
    decoder.eval()
    after = mean_loss(decoder, held_batches, answer_loss, context.device)
    written = answers(prepared, context, "answers after")
    result = {
        "model": prepared.loaded.name, "method": "full" if config.full else "LoRA", "settings": to_dict(config),
        "parameters": sizes, "peak_memory": peak_memory(context.device), "steps": settings.steps,
        "examples": len(prepared.training), "held_out_examples": len(prepared.held),
        "answer_tokens": sum(map(sum, (e.loss_mask for e in prepared.training))),
        "held_out_loss": {"before": before["held_out_loss"], "after": after},
        "seconds": time.perf_counter() - started,
        "answers": [
            {**{k: v for k, v in turn._asdict().items() if k != "tokens"}, "before": old, "after": new}
            for turn, old, new in zip(prepared.turns, before["answers"], written, strict=True)
        ],
    }  # fmt: skip
    save(prepared.loaded, folder, lora, config.merge)
    write_json(folder / RESULT, result)
    (folder / CHECKPOINT).unlink(missing_ok=True)  # as large as the weights it trains and their moments
    return result


def make_trainable(decoder: Decoder, lora: LoraConfig | None, seed: int) -> None:
    """All of it, or low-rank updates beside it."""
    if lora is None:
        decoder.requires_grad_(True)
    else:
        add_lora(decoder, lora, seed)


def parameters(decoder: Decoder) -> dict[str, int]:
    sizes = [(p.numel(), p.requires_grad) for p in decoder.parameters()]
    return {"trainable": sum(n for n, trained in sizes if trained), "total": sum(n for n, _ in sizes)}


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU, or the most that this process has held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def answers(prepared: TuneRun, context: Context, label: str) -> list[str]:
    """What the model, as it is now, says to the held-out prompts, always the likeliest token."""
    tokenizer = prepared.loaded.tokenizer
    if isinstance(tokenizer, SubwordTokenizer):
        tokenizer = dataclasses.replace(tokenizer, end_id=prepared.end_id)  # what ends a turn, and not a text
    engine = Engine(backend_for(prepared.loaded.decoder.eval(), kv_memory=prepared.kv_memory), tokenizer)
    sampling = SamplingParams(temperature=0.0, max_tokens=max(1, prepared.config.sample_tokens))
    written = []
    with context.progress(label, len(prepared.turns)) as done:
        for turn in prepared.turns:
            request = Request(turn.tokens, sampling, prepared.config.seed)
            written.append("".join(TextStream(engine, request)))
            done(1)
    return written


def save(loaded: LoadedModel, folder: Path, lora: LoraConfig | None, merged: bool) -> None:
    """The adapter as PEFT writes it, or the whole model."""
    decoder = loaded.decoder
    if lora is None or merged:
        merge(decoder)
        export.write_model(loaded, folder)
        return
    base = str(loaded.path.resolve()) if Path(loaded.name).exists() else loaded.name
    write_bytes(folder / TENSORS, to_bytes(tensors_of(decoder), {"format": "pt"}))
    write_json(folder / CONFIG, config_of(decoder, lora, base))
