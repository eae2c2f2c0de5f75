"""The directory of a run: names of its files, what is finished, and atomic writes.

A kill at any moment loses at most a stage's last unsaved piece.

    config.toml            the resolved recipe          state.json        finished stages, versions, inputs
    data/                  the files that it names
    tokenizer.json         and how long the data are:   sizes.json        contexts, rows and limits that follow
    STAGE.jsonl            everything measured in training                preflight.json    what was told before it
    policy.safetensors     the language model           reward.safetensors
    base.json              the checkpoint that it starts from, if it does, and in before.json what that answered
    drawn/                 problems of tasks that draw them
    rollouts/              labeled paths, in pieces    evaluation/       one file a measured piece
    aligned.safetensors    what the policy became by learning from its own answers, and in align.json how it did
    in_context.safetensors what it became by learning to search within one text
    auto.json              what "auto" goes by
    report.json            the data of the report       report.html

A run on text has no rollouts and no reward model, but corpus.json, a folder `tokens`, and in comparison/ what tells
its kinds of models apart. One that translates has pairs.json and pairs.safetensors, and its models in models/.
"""

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.checkpoints.own import ALIGNED, FILES, TOKENIZER, TRANSLATORS
from clearhead.config import build, load_toml, renamed, save_toml
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.models.decoder import DecoderConfig
from clearhead.pipeline import inputs, layout, trust
from clearhead.pipeline.few_rows import followed
from clearhead.pipeline.inputs import Input
from clearhead.pipeline.recipe import Recipe, with_old_default
from clearhead.pipeline.recipes import AnyRecipe, parse_any, plain
from clearhead.pipeline.sizes import Sizes, filled, read_sizes
from clearhead.pipeline.text_recipe import TextRecipe
from clearhead.pipeline.time_limit import limited
from clearhead.pipeline.translate_recipe import TranslateRecipe
from clearhead.plain import mismatch


@dataclass(frozen=True)
class RunDir:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def tokenizer(self) -> Path:
        return self.path / TOKENIZER

    @property
    def sizes(self) -> Path:
        """How long the data are, and the sizes that follow."""
        return self.path / "sizes.json"

    @property
    def base(self) -> Path:
        """What is known of the checkpoint that the run starts from, if it does."""
        return self.path / "base.json"

    @property
    def before(self) -> Path:
        """What that checkpoint answers before it has learned anything here."""
        return self.path / "before.json"

    @property
    def preflight(self) -> Path:
        """What was known of the run before anything was trained."""
        return self.path / "preflight.json"

    def log(self, stage: str) -> Path:
        """Everything measured while a stage trained."""
        return self.path / f"{stage}.jsonl"

    @property
    def rows_curve(self) -> Path:
        """Accuracy against rows, where it was measured."""
        return self.path / "rows_curve.json"

    @property
    def policy(self) -> Path:
        return self.model("decoder")

    @property
    def aligned(self) -> Path:
        """What the policy became by learning from its own answers, if it did."""
        return self.path / ALIGNED

    @property
    def alignment(self) -> Path:
        """What both policies make of the test problems."""
        return self.path / "align.json"

    @property
    def overoptimization(self) -> Path:
        """How far the reward could be pushed before it was fooled, where several betas were tried."""
        return self.path / "overoptimization.json"

    @property
    def searcher(self) -> Path:
        """The language model that searches within one text, if one has learned to."""
        return self.path / "in_context.safetensors"

    @property
    def reader(self) -> Path:
        """The language model that the reward model grows from, where that is not the policy."""
        return self.path / "reader.safetensors"

    @property
    def reward(self) -> Path:
        return self.path / "reward.safetensors"

    @property
    def drawn(self) -> Path:
        """What tasks that draw their problems have drawn: a folder each."""
        return self.path / "drawn"

    @property
    def auto(self) -> Path:
        """What the reward model and each strategy are worth, and what "auto" does."""
        return self.path / "auto.json"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def report_data(self) -> Path:
        return self.path / "report.json"

    def model(self, kind: str) -> Path:
        """The weights of one kind of language model; the decoder's are the policy."""
        return self.path / FILES[kind]

    @property
    def encoder(self) -> Path:
        """The folder of an encoder that was trained on the run's text."""
        return self.path / "encoder"

    def checkpoint(self, stage: str) -> Path:
        """Where a training stage keeps its last resumable state."""
        return self.path / f"{stage}.checkpoint.safetensors"

    @property
    def corpus(self) -> Path:
        return self.path / "corpus.json"

    @property
    def pairs(self) -> Path:
        """The pairs of a run that translates, as tokens; what of them is counted, and the held-out texts."""
        return self.path / "pairs.safetensors"

    @property
    def pairs_told(self) -> Path:
        return self.path / "pairs.json"

    def translator(self, name: str) -> Path:
        """The weights of one of the models of a run that translates."""
        return self.path / TRANSLATORS / f"{name}.safetensors"

    @property
    def comparison(self) -> Path:
        """What tells kinds of models apart, a file each."""
        return self.path / "comparison"

    @property
    def tokens(self) -> Path:
        """The shards of a run on text."""
        return self.path / "tokens"

    def settings(self) -> dict[str, Any]:
        """The recipe as config.toml holds it, but with names of files that can be opened from here."""
        if not self.config.is_file():
            raise UserError(f"{self.path} is not a run: it has no config.toml; make one with `clearhead run RECIPE`")
        return inputs.located(with_old_default(load_toml(self.config)), self.path, self.inputs())

    def inputs(self) -> list[Input]:
        """The files that the recipe names; none of a run that was made before they were kept."""
        return [Input(**entry) for entry in self.read_state().get("inputs", [])]

    def python_files(self) -> list[Path]:
        """The Python that this run would run."""
        return trust.python_files(self.path, self.settings())

    def any_recipe(self) -> AnyRecipe:
        """The recipe as it was given; sizes that follow from the data are 0."""
        return parse_any(self.settings(), str(self.config))

    def recipe(self) -> Recipe:
        """The recipe of a run on tasks, whose files are all there, with the sizes that followed from its data."""
        recipe = self._sized()
        if not isinstance(recipe, Recipe):
            kind = "on text" if isinstance(recipe, TextRecipe) else "that translates"
            raise UserError(f"{self.path} is a run {kind} and knows no tasks; name a run of a recipe with tasks")
        inputs.verify(self.path, self.inputs())
        return recipe

    def text_recipe(self) -> TextRecipe:
        """The recipe of a run on text."""
        recipe = self.any_recipe()
        if not isinstance(recipe, TextRecipe):
            raise UserError(f"{self.path} is not a run on running text; name a run of a recipe of text")
        return recipe

    def translate_recipe(self) -> TranslateRecipe:
        """The recipe of a run that translates."""
        recipe = self.any_recipe()
        if not isinstance(recipe, TranslateRecipe):
            raise UserError(f"{self.path} is not a run that translates; make one with `clearhead run translate`")
        return recipe

    def read_sizes(self) -> Sizes | None:
        """None before they are measured, and of runs that said all sizes themselves."""
        return read_sizes(read_json(self.sizes, layout.SIZES)) if self.sizes.is_file() else None

    def decoder(self, vocab: int) -> DecoderConfig:
        """The shape of the language model of a run of either kind, which needs none of its files."""
        recipe = self._sized()
        if isinstance(recipe, TranslateRecipe):
            raise UserError(f"{self.path} is a run that translates; ask it with `clearhead translate {self.path} TEXT`")
        return recipe.decoder(vocab)

    def _sized(self) -> AnyRecipe:
        recipe = self.any_recipe()
        found = self.read_sizes()
        if not isinstance(recipe, Recipe) or found is None:
            return recipe
        base = None
        if recipe.base:
            base = build(DecoderConfig, renamed(read_json(self.base, layout.BASE)["model"]), str(self.base))
        noted = read_json(self.sizes, layout.SIZES)
        return limited(followed(filled(recipe, found, base), noted.get("rows", 0)), noted.get("limits", {}))

    def read_state(self) -> dict[str, Any]:
        return read_json(self.state, layout.STATE) if self.state.is_file() else {"stages": []}

    def finished(self, stage: str) -> bool:
        return any(entry["name"] == stage for entry in self.read_state()["stages"])

    def spent(self, stage: str) -> float:
        """Seconds that a stage which is not finished has taken so far, over all attempts."""
        return float(self.read_state().get("going", {}).get(stage, 0.0))

    def note(self, stage: str, seconds: float) -> None:
        """Keep what a stage has taken so far, for whoever goes on with it."""
        write_json(self.state, {**self.read_state(), "going": {stage: seconds}})

    def finish(self, stage: str, seconds: float) -> None:
        state = self.read_state()
        state.pop("going", None)
        state["stages"].append({"name": stage, "seconds": seconds})
        write_json(self.state, state)

    @property
    def resume_command(self) -> str:
        """What goes on with the run: everything that it was started with is in its directory."""
        return f"clearhead run --resume {shlex.quote(str(self.path))}"


def create(path: Path, recipe: AnyRecipe, facts: Mapping[str, Any]) -> RunDir:
    """A new run directory with copies of what the recipe names; refuses one that already holds something."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} already exists and is not empty; add --resume to go on, or choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    run = RunDir(path)
    try:
        kept, found = inputs.keep(plain(recipe), path)
        write_json(run.state, {"stages": [], **facts, **({"inputs": inputs.to_plain(found)} if found else {})})
        save_toml(kept, run.config)
        trust.remember(run.python_files())
    except BaseException:
        shutil.rmtree(path)
        raise
    return run


def reopen(path: Path, recipe: AnyRecipe | None) -> RunDir:
    """The directory of a run that stopped half-way; its recipe must be the one it was started with."""
    run = RunDir(path)
    before = plain(run.any_recipe())
    if recipe is not None and (changed := differences(before, _known_again(plain(recipe), run))):
        told = [f"{key}: {how}" for key, how in sorted(changed.items())]
        raise UserError(
            f"{path} was started with other settings ({', '.join(told[:4])}); "
            f"go on as it was started with: {run.resume_command}, or choose another --out"
        )
    inputs.verify(path, run.inputs())
    return run


def _known_again(settings: Mapping[str, Any], run: RunDir) -> dict[str, Any]:
    """The settings with each file that the run has kept named as the run names it, wherever it was given from."""
    found = run.inputs()
    return inputs.located(inputs.recognized(settings, run.path, found), run.path, found)


def free_path(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of name-2, name-3, ... that does not exist."""
    candidates = (parent / (name if i == 1 else f"{name}-{i}") for i in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


def read_json(path: Path, shape: Any = object) -> Any:
    """What a file of the run holds, of a shape as in `layout`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if told := mismatch(found, shape):
            raise ValueError(told)
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run again with --resume") from None


def differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The settings that differ, by their dotted names, and how.

    >>> differences({"a": {"b": 1}}, {"a": {"b": 2}})
    {'a.b': '1 then, 2 now'}
    """
    found: dict[str, str] = {}
    for key in {*a, *b}:
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found |= differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found[prefix + key] = f"{left!r} then, {right!r} now"
    return found
