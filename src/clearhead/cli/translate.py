"""`clearhead translate`: sentences translated by all models of a run, side by side."""

import sys
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import device_option, json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line


@click.command(
    epilog=examples(
        ('clearhead translate runs/translate "forty-three, seven"', "what each model makes of it"),
        ("clearhead translate runs/translate - < lines.txt", "a sentence a line, all together"),
        ('clearhead translate RUN "nine" --model transformer --beams 4 --coverage-penalty 0.2', "beam search"),
    )
)
@click.argument("directory", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("texts", metavar="TEXT", nargs=-1)
@click.option("--model", "names", multiple=True, help="One of the run's models; may be given several times.")
@click.option("--beams", type=click.IntRange(min=1), help="Beam search with so many beams. Default: greedy.")
@click.option("--length-penalty", type=click.FloatRange(min=0), help="With --beams: larger favors longer texts.")
@click.option(
    "--coverage-penalty", type=click.FloatRange(min=0),
    help="With --beams: larger favors texts that looked at all of the source.",
)  # fmt: skip
@device_option
@json_option
def command(
    directory: Path, texts: tuple[str, ...], names: tuple[str, ...], beams: int | None, length_penalty: float | None,
    coverage_penalty: float | None, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Translate each TEXT with every model of RUN, a run of a recipe of the kind "translate".

    A TEXT of `-` stands for the lines of standard input. Without --beams each model writes its likeliest next token.
    """
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline.rundir import RunDir
    from clearhead.pipeline.translate import side_by_side
    from clearhead.pipeline.translate_models import Search
    from clearhead.text.subword import readable

    if not texts:
        raise UserError('give a text to translate, such as "forty-three", or - for the lines of standard input')
    sentences: list[str] = []
    for text in texts:
        typed = readable(sys.stdin.buffer.read()).splitlines() if text == "-" else [text]
        sentences += [line for line in typed if line.strip() or text != "-"]
    if not sentences:
        raise UserError("standard input has no line with a text; give one a line")
    if not beams and (length_penalty is not None or coverage_penalty is not None):
        raise UserError("--length-penalty and --coverage-penalty are for beam search; add --beams 4")
    search = Search(
        beams or 0, (length_penalty if length_penalty is not None else 0.6) if beams else 0.0, coverage_penalty or 0.0
    )
    found = side_by_side(RunDir(directory), sentences, names, search, choose_device(device))
    if as_json:
        echo_json({"run": str(directory), "texts": sentences, "search": search._asdict(), "models": found})
        return
    width = max(map(len, found))
    for i, sentence in enumerate(sentences):
        if len(sentences) > 1:
            echo(one_line(sentence))
        for name, told in found.items():
            cut = "" if told["finished"][i] else " ..."
            echo(f"{name:>{width}}  {one_line(told['translations'][i])}{cut}")
    if search.coverage_penalty and (without := [k for k, told in found.items() if not told["coverage_penalty"]]):
        echo(f"without coverage penalty, as they attend to no source: {', '.join(without)}", err=True)
