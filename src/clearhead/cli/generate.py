"""`clearhead generate`: a model completes a prompt, shown while it is written, or sampled several times."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from clearhead.cli.constraint import constraint_of, constraint_options
from clearhead.cli.examples import examples
from clearhead.cli.options import (
    device_option,
    draft_option,
    dtype_option,
    json_option,
    local_only,
    sampling_seed_option,
    stop_option,
    weights_option,
)
from clearhead.cli.sampling import checked, kv_memory_option, of_model, sampling_options
from clearhead.errors import UserError
from clearhead.terminal import Shown, echo, echo_json, joined, spelled

if TYPE_CHECKING:
    import torch

    from clearhead.checkpoints.load import LoadedModel
    from clearhead.generation.backend import Backend
    from clearhead.generation.language_model import Constraint, Continuation, SamplingParams
    from clearhead.generation.sampling import Token
    from clearhead.generation.text_stream import Text
    from clearhead.text.protocol import Tokenizer

LENGTH_PENALTY = 0.6  # as in Wu et al. 2016, section 7
SHOWN = 4  # of the likeliest tokens at each place


@click.command(
    epilog=examples(
        ('clearhead generate smollm2 "The capital of France is"', "a package's model"),
        ('clearhead generate model.gguf "Once" --temperature 0', "the likeliest token, always"),
        ('clearhead generate runs/demo "17 × 24" --n 3 --seed 1', "three samples"),
        ("git diff | clearhead generate DIR - --tokens 40", "a prompt from a pipe"),
        ('clearhead generate DIR "Two and" --probabilities', "what else it could be"),
        ('clearhead generate smollm2 "Ada, 36: " --json-schema person.json', "JSON that a schema allows"),
        ('clearhead generate smollm2 "Is it cold?" --choices " yes, no"', "one of two texts"),
    )
)
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Tokens to write at most.")
@sampling_options
@stop_option
@sampling_seed_option
@click.option("--n", type=click.IntRange(min=1), default=1, show_default=True, help="How many samples.")
@click.option("--beams", type=click.IntRange(min=1), help="Search for the likeliest texts with so many beams.")
@click.option("--length-penalty", type=float, help="With --beams: 0 none, larger favors longer texts. Default: 0.6.")
@constraint_options
@click.option("--probabilities", is_flag=True, help="Every token's probability and what was likeliest in its place.")
@kv_memory_option
@weights_option
@draft_option
@dtype_option
@device_option
@json_option
def command(
    model: str, prompt: str | None, tokens: int, stop: tuple[str, ...], seed: int, n: int, beams: int | None,
    length_penalty: float | None, probabilities: bool, kv_memory: int | None, weights: str, draft: str | None,
    dtype: str, device: str, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Complete PROMPT with MODEL; the prompt is read from standard input if it is `-`. An encoder-decoder (T5, BART,
    Marian) reads it as its source and writes the target.

    MODEL is a run's directory, a folder with a checkpoint, a GGUF file, a hub id, or smollm2. The text appears while
    it is written. The same seed writes the same text. MODEL may be the address of an OpenAI-compatible endpoint, such
    as http://localhost:8000/v1 (#NAME after it: which of its models); its key is CLEARHEAD_API_KEY, OpenAI's own
    OPENAI_API_KEY.
    """
    from clearhead.checkpoints.load import load_model
    from clearhead.generation.engine import Engine
    from clearhead.generation.remote import is_address
    from clearhead.generation.request import Request
    from clearhead.generation.text_stream import TextStream, generate
    from clearhead.kernels.machine import choose_device
    from clearhead.models.encoder_decoder import EncoderDecoder
    from clearhead.text.begin import prompt_tokens, source_tokens
    from clearhead.text.subword import readable

    constraint = constraint_of(given, prompt)
    sampling = checked(given, tokens)
    if "" in stop:
        raise UserError("--stop '' would end every text at once; leave it out")
    typed = readable(sys.stdin.buffer.read()).removesuffix("\n") if prompt == "-" else prompt or ""
    refuse_together(beams, length_penalty, n)
    if is_address(model):
        if beams or probabilities:
            raise UserError("--beams and --probabilities need a model that runs here; leave them out")
        local_only("weights", "draft", "dtype", "device", "kv_memory")
        if len(stop) > 1:
            raise UserError("a model behind an address ends at one string; leave --stop out but once")
        show_remote(model, typed, sampling, n, seed, stop[0] if stop else None, constraint, as_json)
        return
    loaded = load_model(model, choose_device(device), dtype_named(dtype), weights)
    sampling = of_model(sampling, given, loaded)
    read = source_tokens if isinstance(loaded.model, EncoderDecoder) else prompt_tokens
    ids = read(loaded.tokenizer, typed)
    show = SHOWN if probabilities else 0
    started = time.perf_counter()
    alpha = LENGTH_PENALTY if length_penalty is None else length_penalty
    request = Request(ids, sampling, seed, stop, n, show, beams or 0, alpha, constraint)
    engine = Engine(backend_drafted(loaded, draft, beams or n, kv_memory), loaded.tokenizer)
    if beams is None and n == 1:
        stream = TextStream(engine, request)
        for piece in stream:
            if not as_json:
                echo(printable(piece), nl=False)
                sys.stdout.flush()
        texts = [stream.text]
        if not as_json:
            echo()
    else:
        with patience(f"searching with {beams} beams" if beams else f"writing {n} texts together"):
            texts = generate(engine, request)
        if n == 1 and not as_json:
            echo(printable(texts[0].text))
    seconds = time.perf_counter() - started
    if as_json:
        settings: dict[str, Any] = {**asdict(sampling), "seed": seed, "n": n, "stop": list(stop)}
        if beams is not None:
            settings = {"beams": beams, "length_penalty": alpha, "max_tokens": tokens, "n": n, "stop": list(stop)}
        if constraint is not None:
            settings["constraint"] = asdict(constraint)
        echo_json({
            "model": model, "prompt": typed, "prompt_tokens": len(ids), "settings": settings,
            "seconds": round(seconds, 3), **computed_by(loaded, engine.backend),
            "texts": [plain(text, loaded.tokenizer, probabilities) for text in texts],
        })  # fmt: skip
        return
    for i, text in enumerate(texts, start=1):
        if n > 1:
            echo(joined((f"--- {i} of {n}\n", printable(text.text))))
        if probabilities:
            show_tokens(text.tokens, loaded.tokenizer)


def show_remote(
    model: str, prompt: str, sampling: "SamplingParams", n: int, seed: int, stop: str | None,
    constraint: "Constraint | None", as_json: bool,
) -> None:  # fmt: skip
    """The texts of a model behind an address, once they are all there."""
    from clearhead.generation.remote import RemoteModel

    remote, started = RemoteModel.at(model), time.perf_counter()
    with patience(f"waiting for {model}"):
        (texts,) = remote.extend(remote.open([prompt]), n, sampling, [seed], stop, constraint)
    if as_json:
        settings = {**asdict(sampling), "seed": seed, "n": n, "stop": [stop] if stop else []}
        if constraint is not None:
            settings["constraint"] = asdict(constraint)
        rows = [{"text": text.text, "ended": ended(text), "tokens": text.tokens} for text in texts]
        seconds = round(time.perf_counter() - started, 3)
        echo_json({"model": model, "prompt": prompt, "settings": settings, "seconds": seconds, "texts": rows})
        return
    for i, text in enumerate(texts, start=1):
        echo(joined((f"--- {i} of {n}\n", printable(text.text))) if n > 1 else printable(text.text))


def ended(text: "Continuation") -> str:
    """In the words of a FinishReason."""
    return "end" if text.done else "tokens" if text.truncated else "stop"


@contextmanager
def patience(doing: str) -> Iterator[None]:
    """A sign on standard error, if that is a terminal, while nothing can be shown yet."""
    from clearhead.console import SafeConsole

    with SafeConsole(stderr=True).status(doing):
        yield


def refuse_together(beams: int | None, length_penalty: float | None, n: int) -> None:
    """UserError for an option that beam search, or sampling, has no use for."""
    if beams is None:
        if length_penalty is not None:
            raise UserError("--length-penalty is for beam search; add --beams, or leave it out")
        return
    context = click.get_current_context()
    for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UserError(f"--{name.replace('_', '-')} is for sampling, and beam search draws nothing; leave one out")
    if n > beams:
        raise UserError(f"--n {n} texts cannot come from --beams {beams}; raise --beams to {n} or more")


def backend_drafted(loaded: "LoadedModel", draft: str | None, texts: int, kv_memory: int | None) -> "Backend":
    """The backend of a verb, read ahead as --draft says."""
    from clearhead.checkpoints.load import load_model
    from clearhead.generation.draft_model import ModelDraft, check_tokens
    from clearhead.generation.engine import backend_for
    from clearhead.generation.speculation import Draft, Lookup

    model: Draft | None = None
    if draft == "lookup":
        model = Lookup()
    elif draft not in (None, "none"):
        smaller = load_model(draft, loaded.model.embed.weight.device, weights="auto")
        check_tokens(loaded.tokenizer, smaller.tokenizer)
        model = ModelDraft(smaller.decoder, kv_memory)
    return backend_for(loaded.model, texts, kv_memory, model, draft != "none")


def computed_by(loaded: "LoadedModel", backend: "Backend") -> dict[str, Any]:
    """The kernel that multiplied whole numbers, and what came of reading ahead, where there was either."""
    from clearhead.generation.contiguous import ContiguousBackend
    from clearhead.kernels.quantized import best_kernel
    from clearhead.models.decoder import Decoder
    from clearhead.models.quantize import is_quantized

    found: dict[str, Any] = {}
    if isinstance(loaded.model, Decoder) and is_quantized(loaded.model):
        found["kernel"] = best_kernel().name
    if isinstance(backend, ContiguousBackend) and backend.speculation is not None:
        found["speculation"] = {"drafted": backend.speculation.drafted, "accepted": backend.speculation.accepted}
    return found


def dtype_named(name: str) -> "torch.dtype | None":
    import torch

    return {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def printable(text: str) -> Shown:
    """On a terminal, with what could steer it spelled out; elsewhere as the model wrote it."""
    return spelled(text) if sys.stdout.isatty() else Shown(text)


def plain(text: "Text", tokenizer: "Tokenizer", probabilities: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "text": text.text, "ended": text.ended, "tokens": len(text.tokens), "logprob": round(text.logprob, 4)
    }  # fmt: skip
    if probabilities:
        found["probabilities"] = [
            {
                "id": token.id, "text": tokenizer.decode([token.id]), "logprob": round(token.logprob, 4),
                "likeliest": [
                    {"id": i, "text": tokenizer.decode([i]), "logprob": round(log_p, 4)} for i, log_p in token.likeliest
                ],
            }
            for token in text.tokens
        ]  # fmt: skip
    return found


def show_tokens(tokens: "tuple[Token, ...]", tokenizer: "Tokenizer") -> None:
    """A line for each token: its probability, and the likeliest in its place with theirs."""
    from math import exp

    from rich.box import SIMPLE
    from rich.table import Table

    from clearhead.console import SafeConsole

    table = Table("token", box=SIMPLE)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("likeliest in its place")
    for token in tokens:
        others = "  ".join(f"{visible(tokenizer, i)} {exp(log_p):.1%}" for i, log_p in token.likeliest)
        table.add_row(visible(tokenizer, token.id), f"{exp(token.logprob):.2%}", others)
    SafeConsole(markup=False, highlight=False).print(table)


def visible(tokenizer: "Tokenizer", token: int) -> str:
    """A token as a person can tell it from others: spaces as ␣, what cannot be seen as its code."""
    text = tokenizer.decode([token]) or f"<{token}>"
    return "".join(
        "␣" if char == " " else char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
