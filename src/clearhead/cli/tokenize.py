"""`clearhead tokenize`: how a tokenizer cuts a text, and what the same text costs under others."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.text.compare import Cost
    from clearhead.text.subword import SubwordTokenizer

MAX_TEXT_CHARS = 1 << 25  # characters of a text to cut or compare; training has no such limit
SHOWN = 400  # pieces drawn before the rest is only counted
KINDS = ("word", "char", "wordpiece", "bpe")


@click.command(
    epilog=examples(
        ('clearhead tokenize "Hello, wörld 👋"', "the pieces and their ids"),
        ('clearhead tokenize "Hello" --tokenizer model.gguf', "with a model's tokenizer"),
        ("clearhead tokenize --file notes.txt --compare", "words, characters, subwords"),
        ("clearhead tokenize --languages", "the same in eleven languages"),
        ("clearhead tokenize --train notes.txt --save my.json", "train one and keep it"),
    )
)
@click.argument("text", required=False)
@click.option("--file", "files", type=click.Path(path_type=Path), multiple=True,
              help="A text file in place of TEXT; several are compared with each other.")  # fmt: skip
@click.option("--tokenizer", "paths", type=click.Path(path_type=Path), multiple=True,
              help="tokenizer.json, tiktoken ranks, GGUF, folder, smollm2. Default: trained on --train.")  # fmt: skip
@click.option("--pattern", help="How a rank file cuts text, if unknown: gpt2, cl100k, o200k, llama3, qwen2, smollm.")
@click.option("--train", "training", type=click.Path(path_type=Path), multiple=True,
              help="Text, JSONL, Parquet or a folder to train on. Default: Python's manual, in English.")  # fmt: skip
@click.option("--kind", type=click.Choice(KINDS), default="bpe", show_default=True, help="The kind to train.")
@click.option("--vocab", type=click.IntRange(min=4), default=4096, show_default=True, help="Its vocabulary at most.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the trained tokenizer as a tokenizer.json.")
@click.option("--compare", is_flag=True, help="Compare words, characters, WordPiece and BPE, and every --tokenizer.")
@click.option("--languages", is_flag=True, help="Compare on one text in eleven languages.")
@click.option("--special", is_flag=True, help="Read text like <|endoftext|> as the special token it spells.")
@json_option
def command(
    text: str | None, files: tuple[Path, ...], paths: tuple[Path, ...], pattern: str | None, training: tuple[Path, ...],
    kind: str, vocab: int, save: Path | None, compare: bool, languages: bool, special: bool, as_json: bool,
) -> None:  # fmt: skip
    """Cut TEXT into tokens, or compare what a text costs under several tokenizers.

    A tokenizer that is trained and the texts it is then measured on are different ones, so that unknown words show.
    """
    compare = compare or languages or len(files) > 1 or len(paths) > 1
    if pattern is not None and not paths:
        raise UserError("--pattern is for a rank file; name it with --tokenizer")
    context = click.get_current_context()
    for name, clashes, why in (
        ("save", paths and not compare, "is for a tokenizer that is trained here; leave out --tokenizer"),
        ("training", paths and not compare, "is for a tokenizer that is trained here; leave out --tokenizer"),
        ("vocab", paths and not compare, "is for a tokenizer that is trained here; leave out --tokenizer"),
        ("kind", paths or compare, "is for the one tokenizer that is trained here; --compare trains every kind"),
        ("special", compare, "is for the pieces of a text; a comparison reads everything as text"),
    ):
        if clashes and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UserError(f"--{'train' if name == 'training' else name} {why}")
    if save is not None and compare:
        raise UserError("--save keeps one tokenizer; leave out what compares several, or --save")
    texts = _texts(text, files, languages, wanted=save is None)
    if save is not None:
        _refuse_loss(save)
    tokenizers = _tokenizers(paths, pattern, training, (kind,) if not compare else KINDS, vocab, compare)
    if save is not None:
        _save(next(iter(tokenizers.values())), kind, save, as_json and not texts)
    with _silent_library():
        if compare:
            _compare(tokenizers, texts, as_json)
        else:
            for content in texts.values():
                _show(next(iter(tokenizers.values())), content, special, as_json)


def _texts(text: str | None, files: Sequence[Path], languages: bool, wanted: bool) -> dict[str, str]:
    """What is to be cut, by a name for each."""
    from clearhead.text.corpus import documents
    from clearhead.text.samples import SAMPLES

    given = [
        name for name, there in (("TEXT", text is not None), ("--file", files), ("--languages", languages)) if there
    ]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} exclude each other; keep one")
    if languages:
        return dict(SAMPLES)
    if text is not None:
        if not text:
            raise UserError("the text is empty; type some")
        return {"text": text}
    if not files and wanted:
        raise UserError("there is no text; type one, or name it with --file, or ask for --languages")
    found = {}
    for file in files:
        parts, size = [], 0
        for document in documents([file]):
            parts.append(document)
            size += len(document)
            if size > MAX_TEXT_CHARS:
                raise UserError(f"{file} has more than {MAX_TEXT_CHARS:,} characters; give a part of it")
        found[str(file)] = "".join(parts)
    return found


def _tokenizers(
    paths: Sequence[Path],
    pattern: str | None,
    training: Sequence[Path],
    kinds: Sequence[str],
    vocab: int,
    compare: bool,
) -> "dict[str, SubwordTokenizer]":
    """Those named, and those to train; without --compare the named one alone."""
    from clearhead.text.corpus import default_corpus, documents
    from clearhead.text.load import load_tokenizer
    from clearhead.text.subword import SubwordTokenizer
    from clearhead.text.training import interruptible, train_tokenizer

    found: dict[str, SubwordTokenizer] = {}
    if not paths or compare:
        for kind in kinds:
            texts = documents(training) if training else default_corpus()
            found[kind] = interruptible(partial(train_tokenizer, kind, texts, vocab))
    for path in paths:
        loaded = load_tokenizer(_packaged(path), pattern)
        if not isinstance(loaded, SubwordTokenizer):
            raise UserError(
                f"{path} is the character tokenizer of a run, which knows only its own alphabet; name another"
            )
        found[_name(path, found)] = loaded
    return found


def _packaged(path: Path) -> Path:
    """The file of smollm2, which is the name of a model everywhere; else the path as it is."""
    if str(path) != "smollm2" or path.exists():
        return path
    from clearhead.checkpoints.load import smollm2

    return smollm2()


def _name(path: Path, taken: Mapping[str, object]) -> str:
    name = path.parent.name if path.name == "tokenizer.json" and path.parent.name else path.stem or str(path)
    return name if name not in taken else str(path)


def _show(tokenizer: "SubwordTokenizer", text: str, special: bool, as_json: bool) -> None:
    """The pieces of one text with their ids."""
    from rich.text import Text

    from clearhead.console import SafeConsole
    from clearhead.text.subword import readable

    text = readable(text)
    pieces = tokenizer.pieces(text, special)
    spelled = [_spelled(tokenizer, piece.id, piece.token) for piece in pieces]
    size = len(text.encode())
    if as_json:
        rows = [{**piece._asdict(), "text": shown} for piece, shown in zip(pieces, spelled, strict=True)]
        summary = {"tokens": len(pieces), "bytes": size, "vocabulary": tokenizer.vocab_size, "pieces": rows}
        echo_json(summary)
        return
    drawn = Text()
    for i, (piece, shown) in enumerate(list(zip(pieces, spelled, strict=True))[:SHOWN]):
        drawn.append(shown, style="black on cyan" if i % 2 else "black on yellow").append(f" {piece.id}  ", style="dim")
    if len(pieces) > SHOWN:
        drawn.append(f"and {len(pieces) - SHOWN:,} more")
    SafeConsole().print(drawn)
    unknown = sum(piece.id == tokenizer.unk_id for piece in pieces)
    echo(
        f"{len(pieces):,} tokens for {size:,} bytes, {size / max(len(pieces), 1):.2f} bytes a token; vocabulary "
        f"{tokenizer.vocab_size:,}" + (f"; {unknown:,} unknown" if unknown else "")
    )


def _spelled(tokenizer: "SubwordTokenizer", token_id: int, token: str) -> str:
    """A token as a person can read it: a space as ␣, what is no whole character or cannot be seen as its bytes."""
    if not tokenizer.is_byte_level:
        plain = token
    else:
        data = tokenizer.decode_bytes([token_id], special=True)
        plain = data.decode("utf-8", "backslashreplace")
    return "".join(
        "␣" if char == " " else char if char.isprintable() else char.encode("unicode_escape").decode() for char in plain
    )


def _compare(tokenizers: "Mapping[str, SubwordTokenizer]", texts: Mapping[str, str], as_json: bool) -> None:
    from clearhead.text.compare import costs

    found = costs(tokenizers, texts)
    sizes = {name: tokenizer.vocab_size for name, tokenizer in tokenizers.items()}
    if as_json:
        plain = {label: {name: _plain(cost) for name, cost in row.items()} for label, row in found.items()}
        echo_json({"vocabulary": sizes, "texts": plain})
    elif len(found) == 1:
        _one_text(next(iter(found.values())), sizes)
    else:
        _many_texts(found, sizes)


def _plain(cost: "Cost") -> dict[str, Any]:
    return {
        "tokens": cost.tokens, "bytes": cost.bytes, "characters": cost.characters, "words": cost.words,
        "unknown_words": cost.unknown, "bytes_per_token": round(cost.bytes_per_token, 4),
    }  # fmt: skip


def _one_text(costs: "Mapping[str, Cost]", sizes: Mapping[str, int]) -> None:
    """A row for each tokenizer."""
    from rich.box import SIMPLE
    from rich.table import Table

    from clearhead.console import SafeConsole

    drawn = Table("tokenizer", box=SIMPLE)
    for name in ("vocabulary", "tokens", "bytes/token", "tokens/word", "unknown words"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for name, cost in costs.items():
        drawn.add_row(
            name, f"{sizes[name]:,}", f"{cost.tokens:,}", f"{cost.bytes_per_token:.2f}",
            f"{cost.tokens_per_word:.2f}", f"{cost.unknown:,} ({cost.unknown_share:.0%})",
        )  # fmt: skip
    SafeConsole().print(drawn)


def _many_texts(found: "Mapping[str, Mapping[str, Cost]]", sizes: Mapping[str, int]) -> None:
    """A row for each text: tokens, bytes a token and unknown words under each tokenizer."""
    from rich.box import SIMPLE
    from rich.table import Table

    from clearhead.console import SafeConsole

    drawn = Table("", box=SIMPLE)
    drawn.add_column("bytes", justify="right")
    for name, size in sizes.items():
        drawn.add_column(f"{name}\n{size:,}", justify="right")
    for label, row in found.items():
        cells = [
            f"{cost.tokens:,}\n{cost.bytes_per_token:.2f}" + (f" ?{cost.unknown_share:.0%}" if cost.unknown else "")
            for cost in row.values()
        ]
        drawn.add_row(label, f"{next(iter(row.values())).bytes:,}", *cells)
    SafeConsole().print(drawn)
    echo("For each text: tokens; below, bytes a token and ?words with an unknown part.")


def _save(tokenizer: "SubwordTokenizer", kind: str, path: Path, as_json: bool) -> None:
    """Keep a tokenizer and say so, on standard error where standard output holds something else."""
    _write(path, tokenizer.to_json())
    if as_json:
        echo_json({"saved": str(path), "kind": kind, "vocabulary": tokenizer.vocab_size})
    else:
        echo(f"{path}: {kind}, {tokenizer.vocab_size:,} tokens", err=True)


def _refuse_loss(path: Path) -> None:
    """UserError if what is there is no tokenizer, such as the text that one is trained on."""
    from clearhead.text.load import load_tokenizer

    if path.is_file() and path.stat().st_size:
        try:
            load_tokenizer(path)
        except UserError:
            raise UserError(f"{path} is there already and is no tokenizer; choose another name") from None


def _write(path: Path, content: str) -> None:
    """Whole or not at all."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a path that can be written") from None


@contextlib.contextmanager
def _silent_library() -> Iterator[None]:
    """Without what a panic in the tokenizers library prints by itself: the error that follows says it in one line."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
