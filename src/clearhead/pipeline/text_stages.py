"""The stages of a run on text: corpus, tokenizer, shards, pretraining.

A stage reads what the earlier ones left in the run directory and leaves its own result there. The text itself is only
streamed, and after the shards are written it is not needed any more.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from clearhead.checkpoints import own
from clearhead.checkpoints.embedder import load_encoder
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.formats.safetensors import WEIGHTS
from clearhead.pipeline import cost_by_length, recall, text_measure
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import memory_of
from clearhead.pipeline.rundir import read_json
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.text_encoder import measure_encoder, pretrain_encoder
from clearhead.pipeline.text_models import continuations, log_name, new_model, new_recall_model
from clearhead.pipeline.text_recipe import TextDataConfig, TextRecipe
from clearhead.text import load as text_files
from clearhead.text.corpus import documents, files_of, hash_share, held_out, python_documentation
from clearhead.text.packing import Batch
from clearhead.text.protocol import Tokenizer
from clearhead.text.shards import Shards, write_shards
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import interruptible, train_tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog, read
from clearhead.training.loop import TrainConfig, train

TOKENIZER_CHARACTERS = 50_000_000  # that a tokenizer is learned from, spread over all of the text
PYTHON_DOCUMENTATION = 2_100_000  # bytes, more or less
# Times adam_lr. After a million tokens of plays the LSTM needed 2.13 bits a byte at 1 and 2.07 here, the plain network
# 2.09 at 1 and 2.13 at 3.3.
RATES = {"lstm": 3.3, "rnn": 1.0}
WATCHED = 8  # batches of held-out text that are tried while training


def read_documents(data: TextDataConfig) -> Iterator[str]:
    return documents(data.paths, data.field) if data.paths else python_documentation()


def check(recipe: TextRecipe) -> None:
    """What can be told before a run directory is made: files that are not there, a tokenizer that is none."""
    for file in files_of(recipe.data.paths):
        if not file.is_file():
            raise UserError(f"{file} is no file that can be read again and again, as training does; save it as one")
    if recipe.tokenizer.path:
        given_tokenizer(recipe.tokenizer.path)


def corpus_stage(context: Context) -> None:
    """Read all of the text once and count it, so that what is wrong with it is told before anything is made of it.

    Of a few documents chance may hold out none; then the one whose turn would come first is.
    """
    data = context.run.text_recipe().data
    total = sum(file.stat().st_size for file in files_of(data.paths)) or PYTHON_DOCUMENTATION
    counts = {"documents": 0, "characters": 0, "bytes": 0, "held_out": 0}
    first, second = 1.0, 1.0  # the lowest places
    with context.progress("corpus", total) as advance:
        for document in read_documents(data):
            size = len(document.encode("utf-8", "replace"))
            advance(min(size, max(total - counts["bytes"], 0)))  # a packed file holds more than its size
            at = hash_share(document)
            held = at < data.held_out
            if at < first:
                first, second = at, first
            elif first < at < second:
                second = at
            for key, number in (("documents", 1), ("characters", len(document)), ("bytes", size), ("held_out", held)):
                counts[key] += number
    share = data.held_out
    if not counts["held_out"] and second < 1:
        share, counts["held_out"] = second, 1
        context.say(f"data.held_out = {data.held_out} held out none of {counts['documents']} documents, so one is")
    if not 0 < counts["held_out"] < counts["documents"]:
        raise UserError(
            f"the text is {counts['documents']} documents and {counts['held_out']} of them held out by data.held_out = "
            f"{data.held_out}; some must be held out and some not: give more text, or change the share"
        )
    write_json(context.run.corpus, {**counts, "share": share})
    context.say(f"corpus: {counts['documents']:,} documents, {counts['bytes']:,} bytes, {counts['held_out']} held out")


def tokenizer_stage(context: Context) -> None:
    """Learn the tokenizer from the training text, or take the one that is named."""
    config, run = context.run.text_recipe().tokenizer, context.run
    if config.path:
        tokenizer: Tokenizer = given_tokenizer(config.path)
    else:
        with counted_documents(context, "tokenizer") as texts:
            if config.kind == "char":  # of both sides of the split: held-out text must be spelled to be measured
                tokenizer = CharTokenizer.train(texts)
            else:
                sample = _sample(texts, share_of(context), read_json(run.corpus)["characters"])
                tokenizer = interruptible(partial(train_tokenizer, "bpe", sample, config.vocab))
    own.save_tokenizer(run.path, tokenizer)
    context.say(f"tokenizer: {tokenizer.vocab_size:,} tokens")


def given_tokenizer(path: str) -> Tokenizer:
    """A tokenizer that exists already; UserError where it cannot spell every text."""
    from_file = text_files.load_tokenizer(Path(path).expanduser())
    if isinstance(from_file, SubwordTokenizer) and not from_file.is_byte_level:
        raise UserError(f"the tokenizer {path} cannot spell every text; take one of bytes or characters")
    return from_file


@contextmanager
def counted_documents(context: Context, label: str) -> Iterator[Iterator[str]]:
    """Every document again, with a bar that shows how many were read."""
    with context.progress(label, read_json(context.run.corpus)["documents"]) as advance:

        def counted() -> Iterator[str]:
            for document in read_documents(context.run.text_recipe().data):
                yield document
                advance(1)

        yield counted()


def share_of(context: Context) -> float:
    """What is held out, as the first reading of the text has settled it."""
    return float(read_json(context.run.corpus).get("share", context.run.text_recipe().data.held_out))


def _sample(texts: Iterator[str], held_share: float, characters: int) -> Iterator[str]:
    """Training documents of about TOKENIZER_CHARACTERS in all, chosen by their texts."""
    share = TOKENIZER_CHARACTERS / characters
    for document in texts:
        if not held_out(document, held_share) and held_out(f"tokenizer {document}", share):
            yield document


def shards_stage(context: Context) -> None:
    """All of the text as tokens on the disk, which training reads without holding it."""
    tokenizer = load_tokenizer(context.run)
    with counted_documents(context, "shards") as texts:
        shards = write_shards(context.run.tokens, texts, tokenizer, share_of(context))
    index = shards.index
    context.say(f"shards: {index.train.tokens:,} tokens to train on, {index.held.tokens:,} held out")


def pretrain_stage(context: Context) -> None:
    """Train each kind of model on the same windows."""
    recipe, run = context.run.text_recipe(), context.run
    for kind in recipe.writers:
        if not run.model(kind).is_file():
            pretrain(context, kind)
    if "encoder" in recipe.kinds and not (run.encoder / WEIGHTS).is_file():
        config = recipe.pretrain
        pretrain_encoder(context, held_batches(Shards(run.tokens), config.batch_size, config.seq_len, WATCHED))


def pretrain(context: Context, kind: str) -> None:
    """One model, with its held-out loss and a sample now and then."""
    recipe, run, tokenizer, shards = (
        context.run.text_recipe(),
        context.run,
        load_tokenizer(context.run),
        Shards(context.run.tokens),
    )
    config = recurrent_config(recipe.pretrain, kind) if kind in RATES else recipe.pretrain
    model = new_model(recipe, kind, tokenizer.vocab_size).to(context.device)
    name = log_name(kind)

    def batch(step: int) -> Batch:
        return shards.batch(config.batch_size, config.seq_len, recipe.seed, step)

    def on_eval(model: Any, step: int) -> Mapping[str, Any]:
        (sample,) = continuations(
            model, tokenizer, recipe.evaluation, recipe.evaluation.prompts[:1], memory_of(recipe.kv_memory)
        )
        return {"sample": sample}

    with context.watch(kind) as watch:
        train(
            config, model, batch, checkpoint=run.checkpoint(name), log=JsonlLog(run.log(name)), callbacks=[watch],
            held_out=held_batches(shards, config.batch_size, config.seq_len, WATCHED), on_eval=on_eval,
        )  # fmt: skip
    checkpoint.save(run.model(kind), model.state_dict(), {"model": asdict(model.config)})


def comparison_stage(context: Context) -> None:
    """What tells kinds of models apart beside text: what each can hold in mind, and what a token costs by length."""
    recipe, run = context.run.text_recipe(), context.run
    for kind in recipe.writers:
        path = run.comparison / f"{kind}.json"
        if path.is_file() or not (recipe.recall.steps or recipe.cost.lengths):
            continue
        found: dict[str, Any] = {}
        if recipe.recall.steps:
            found["recall"] = train_to_recall(context, kind)
        if recipe.cost.lengths:
            longest = max(recipe.cost.lengths) + cost_by_length.WRITTEN + 1
            longer = replace(recipe, model={**recipe.model, "max_positions": longest})
            model = new_model(longer, kind, load_tokenizer(run).vocab_size).to(context.device)
            with context.progress(f"cost of a token: {kind}", len(recipe.cost.lengths)) as advance:
                found["cost"] = []
                for length in recipe.cost.lengths:
                    found["cost"].append(cost_by_length.measure(model, length))
                    advance(1)
        write_json(path, found)


def train_to_recall(context: Context, kind: str) -> dict[str, Any]:
    """Learn to recall, and the share of right answers by the number of pairs."""
    recipe, run = context.run.text_recipe(), context.run
    config, name = recipe.recall, f"recall-{kind}"
    model = new_recall_model(recipe, kind).to(context.device)
    training = TrainConfig(
        config.steps, config.batch_size, config.tokens, warmup=min(20, config.steps - 1), weight_decay=0.0,
        save_every=100, compile="off", dtype="float32", seed=recipe.seed,
    )  # fmt: skip
    training = recurrent_config(training, kind) if kind in RATES else training
    with context.watch(f"recall: {kind}") as watch:
        train(
            training, model, lambda step: recall.batch(config, recipe.seed, step), checkpoint=run.checkpoint(name),
            log=JsonlLog(run.log(name)), callbacks=[watch],
        )  # fmt: skip
    steps = [event for event in read(run.log(name)) if event["kind"] == "step"]
    return {
        "parameters": model.config.parameters, "seconds": sum(event["seconds"] for event in steps),
        "by_pairs": recall.measure(config, model.eval(), context.device, recipe.seed),
    }  # fmt: skip


def recurrent_config(config: TrainConfig, kind: str) -> TrainConfig:
    """Torch's fused layers gain nothing from a compiler, and their steps one after the other nothing from bfloat16.

    AdamW learns all of them: Muon's rule is for matrices that a block reads and writes once a token.
    """
    return replace(config, compile="off", dtype="float32", adam_lr=config.adam_lr * RATES[kind])


def held_batches(shards: Shards, rows: int, length: int, most: int) -> list[Batch]:
    """At most `most` batches of held-out windows, spread evenly over all there are."""
    there = sum(-(-(tokens - 1) // length) for tokens in shards.index.held.shards)
    every = max(1, -(-there // rows) // most)
    return list(islice(shards.windows("held", rows, length), 0, every * most, every))


def evaluation_stage(context: Context) -> None:
    """Every model that has no figures yet."""
    text_measure.measure_writers(context)
    path = context.run.evaluation / "encoder.json"
    if "encoder" in context.run.text_recipe().kinds and not path.is_file():
        model = load_encoder(context.run.encoder, context.device)
        write_json(path, measure_encoder(context, model, load_tokenizer(context.run)))
