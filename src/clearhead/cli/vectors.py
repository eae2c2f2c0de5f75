"""`clearhead vectors`: word vectors of any text, kept, asked and measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line

if TYPE_CHECKING:
    from clearhead.models.vector_space import Neighbor, VectorSpace
    from clearhead.pipeline.vectors import Made

METHODS = ("skipgram", "cbow", "glove", "ppmi")
OF_TRAINING = ("method", "dimensions", "window", "epochs", "negatives", "min_count", "field", "seed", "report", "out")
path_type: Any = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        ("clearhead vectors book.txt --out book.vec --report book.html", "train, keep, look"),
        ("clearhead vectors book.vec --near king", "who is nearest"),
        ('clearhead vectors book.vec --analogy "man king woman"', "man is to king as woman is to ..."),
        ("clearhead vectors texts/ --method ppmi --near bank", "without a step of training"),
        ("clearhead vectors book.bin --pairs wordsim353.tsv", "measured beside people"),
        ("clearhead vectors --near list", "of Python's documentation, with no file at all"),
    )
)
@click.argument("files", nargs=-1, type=path_type)
@click.option("--method", type=click.Choice(METHODS), default="skipgram", show_default=True, help="How.")
@click.option("--dimensions", type=click.IntRange(1), default=100, show_default=True, help="Numbers in a vector.")
@click.option("--window", type=click.IntRange(1), default=5, show_default=True, help="Words to each side at most.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the text. Default: 5; of glove 25.")
@click.option("--negatives", type=click.IntRange(1), help="Drawn for each true pair; of ppmi the shift. Default: 5; 1.")
@click.option("--min-count", type=click.IntRange(1), default=5, show_default=True, help="Leave rarer words out.")
@click.option("--field", default="text", show_default=True, help="The text in a file of rows (JSONL, CSV, Parquet).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--out", type=path_type, help="Keep them in word2vec's form: .bin, or .vec for text.")
@click.option("--report", type=path_type, help="Write a page: scores, neighbors, a map, what is factorized.")
@click.option("--near", multiple=True, metavar="WORD", help="The nearest words; may be given several times.")
@click.option("--analogy", metavar='"A B C"', help="What is to C as B is to A.")
@click.option("--pairs", multiple=True, type=path_type, help="Correlate with people's scores: word, word, number.")
@click.option("--analogies", multiple=True, type=path_type, help="The share solved of lines of four words.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many words to show.")
@json_option
def command(
    files: tuple[Path, ...], min_count: int, field: str, out: Path | None, report: Path | None, near: tuple[str, ...],
    analogy: str | None, pairs: tuple[Path, ...], analogies: tuple[Path, ...], top: int, as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """Make vectors of the words of FILES, text or folders of it, or ask those that are there.

    A file that ends in .bin or .vec holds vectors already, of Clearhead, word2vec or gensim. Without FILES, the text is
    Python's documentation.
    """
    from clearhead.cli.display import Display
    from clearhead.formats import word2vec
    from clearhead.models.word_vectors import VectorConfig
    from clearhead.pipeline import vectors

    there = [file for file in files if word2vec.is_vectors(file)]
    if there:
        _refuse(there, files)
        space, made = vectors.load(there[0]), None
    else:
        if out is not None and not word2vec.is_vectors(out):
            raise UserError(f"--out {out} ends in neither .bin nor .vec; choose one of these")
        config = VectorConfig(**{name: value for name, value in settings.items() if value is not None})
        made = vectors.make(files, field, min_count, config, Display().progress)
        space = made.space
    scores = [*(vectors.pair_score(space, file) for file in pairs)]
    scores += [vectors.analogy_score(space, file) for file in analogies]
    found: dict[str, Any] = {"near": {word: space.nearest(word, top) for word in near}, "scores": scores}
    if analogy is not None:
        found["analogy"] = space.analogy(*_three(analogy), top)
    if made is not None:
        _keep(made, out, report, scores)
    if as_json:
        echo_json(_plain(space, made, found))
    else:
        _show(space, made, found)


def _refuse(there: Sequence[Path], files: Sequence[Path]) -> None:
    """UserError for what vectors that are there already cannot have."""
    if len(files) > 1:
        raise UserError(f"{there[0]} holds vectors, and stands alone; leave the other files out")
    context = click.get_current_context()
    for name in OF_TRAINING:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UserError(f"--{name.replace('_', '-')} is for text, and {there[0]} holds vectors; leave it out")


def _three(analogy: str) -> tuple[str, str, str]:
    match analogy.split():
        case a, b, c:
            return a, b, c
    raise UserError(f'--analogy {analogy!r:.60} is not three words; write it as "man king woman"')


def _keep(made: "Made", out: Path | None, report: Path | None, scores: Sequence[dict[str, Any]]) -> None:
    from clearhead.files import write_text
    from clearhead.formats import word2vec
    from clearhead.pipeline.vectors import page_data
    from clearhead.report.word_vectors import render

    if out is not None:
        word2vec.write(out, made.space.words, made.space.vectors)
    if report is not None:
        write_text(report, render(page_data(made, scores)))


def _plain(space: "VectorSpace", made: "Made | None", found: dict[str, Any]) -> dict[str, Any]:
    def listed(neighbors: "Sequence[Neighbor]") -> list[dict[str, Any]]:
        return [neighbor._asdict() for neighbor in neighbors]

    plain = {
        "vocabulary": len(space.words), "dimensions": space.vectors.shape[1], "scores": found["scores"],
        "near": {word: listed(near) for word, near in found["near"].items()},
    }  # fmt: skip
    if "analogy" in found:
        plain["analogy"] = listed(found["analogy"])
    if made is not None:
        plain |= {"method": made.config.method, "words": int((made.ids >= 0).sum()), "seconds": made.seconds}
    return plain


def _show(space: "VectorSpace", made: "Made | None", found: dict[str, Any]) -> None:
    if made is not None:
        echo(
            f"{made.config.method}: {len(space.words):,} words, {space.vectors.shape[1]} dimensions, "
            f"{made.seconds:.1f} s, {made.words_per_second:,.0f} words a second", err=True,
        )  # fmt: skip
    lists = dict(found["near"])
    if "analogy" in found:
        lists[""] = found["analogy"]
    if not lists and not found["scores"] and made is not None:
        from clearhead.pipeline.vectors import shown_words

        lists = {space.words[i]: space.nearest(space.words[i], 5) for i in shown_words(made.vocabulary, 8)}
    for word, near in lists.items():
        start = f"{one_line(word)}: " if word and len(lists) > 1 else ""
        echo(start + ", ".join(f"{one_line(name)} {cosine:.2f}" for name, cosine in near))
    for score in found["scores"]:
        known = f"{score['known']} of {score.get('pairs', score.get('analogies'))} known"
        told = f"Spearman {score['spearman']:.3f}" if "spearman" in score else f"{score['right']:.1%} right"
        echo(f"{one_line(score['file'])}: {told}, {known}")
