"""The schema of a report: what a run hands over, part by part, as plain JSON.

Every part may be missing: a section without data is left out, a number that is absent, null or NaN is shown as "–".
A misspelled key or a wrong type is an error that names its place. Accuracies, shares, probabilities and values are
fractions in [0, 1]; times are seconds; memory is bytes; `low` and `high` bound the 95 % interval. Not here: wording.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clearhead.config import build

NAN = float("nan")


@dataclass(frozen=True)
class MachineInfo:
    cpu: str = ""
    cores: float = NAN
    memory: float = NAN
    device: str = ""


@dataclass(frozen=True)
class StageInfo:
    name: str
    seconds: float = NAN


@dataclass(frozen=True)
class RunInfo:
    """`started` is an ISO 8601 time, `recipe` the resolved configuration, `versions` maps a package to its version."""

    name: str = ""
    started: str = ""
    seconds: float = NAN
    seed: float = NAN
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: MachineInfo = field(default_factory=MachineInfo)
    recipe: dict[str, Any] = field(default_factory=dict)
    stages: list[StageInfo] = field(default_factory=list)


@dataclass(frozen=True)
class ModelInfo:
    """`flops_per_token` is for one training token, forward and backward; `alphabet` lists the tokenizer's tokens."""

    parameters: float = NAN
    flops_per_token: float = NAN
    config: dict[str, Any] = field(default_factory=dict)
    alphabet: list[str] = field(default_factory=list)
    training_tokens: float = NAN
    training_seconds: float = NAN
    tokens_per_second: float = NAN


@dataclass(frozen=True)
class TaskInfo:
    """`title` is how the page calls the task ("Game of 24"), `noun` its problems ("hard Game of 24 puzzles")."""

    name: str
    title: str = ""
    noun: str = ""
    statement: str = ""
    train_examples: float = NAN
    test_problems: float = NAN
    example_problem: str = ""
    example_solution: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CurvePoint:
    step: float = NAN
    tokens: float = NAN
    loss: float = NAN
    lr: float = NAN


@dataclass(frozen=True)
class EvalPoint:
    """`loss` is on held-out text; `accuracy` maps a task's name to the share solved at first try.

    `seen_loss` is on training text, measured as the held-out loss is: without dropout.
    """

    step: float = NAN
    tokens: float = NAN
    loss: float = NAN
    accuracy: dict[str, float] = field(default_factory=dict)
    seen_loss: float = NAN


@dataclass(frozen=True)
class SampleInfo:
    step: float = NAN
    text: str = ""


@dataclass(frozen=True)
class Training:
    """`kept` is the step whose weights were kept; not known where the last ones were."""

    curve: list[CurvePoint] = field(default_factory=list)
    evals: list[EvalPoint] = field(default_factory=list)
    kept: float = NAN
    samples: list[SampleInfo] = field(default_factory=list)


@dataclass(frozen=True)
class Limit:
    """A setting of the recipe by its name, "search.step_tokens", its value, and the longest of the data it holds.

    `fixed`: it is a checkpoint's, and cannot be raised.
    """

    setting: str = ""
    value: float = NAN
    longest: float = NAN
    fixed: bool = False


@dataclass(frozen=True)
class Labels:
    """`positive` is the share of the automatic step labels that say "still on the way to a right answer".

    Of `drawn` completions that they rest on, `cut` were cut off by the `limits`.
    """

    count: float = NAN
    positive: float = NAN
    cut: float = NAN
    drawn: float = NAN
    limits: list[Limit] = field(default_factory=list)


@dataclass(frozen=True)
class CalibrationBin:
    predicted: float = NAN
    observed: float = NAN
    count: float = NAN


@dataclass(frozen=True)
class FirstError:
    """How often the lowest-scored step of a wrong solution is its first wrong one, over `n` solutions."""

    accuracy: float = NAN
    n: float = NAN


@dataclass(frozen=True)
class DepthQuality:
    depth: float = NAN
    auc: float = NAN
    n: float = NAN


@dataclass(frozen=True)
class DepthPairs:
    depth: float = NAN
    right_first: float = NAN
    pairs: float = NAN


@dataclass(frozen=True)
class Within:
    """How often the reward model scores the right one of two solutions of the same problem higher."""

    pairs: float = NAN
    right_first: float = NAN
    low: float = NAN
    high: float = NAN
    by_depth: list[DepthPairs] = field(default_factory=list)


@dataclass(frozen=True)
class Quality:
    """Areas under the ROC curve against the truth.

    `auc_process` is of the reward model's scores of steps, `auc_outcome` of its scores of finished solutions,
    `label_auc` of the automatic step labels that it learned from. A task without checked steps has no truth of steps.
    """

    auc_process: float = NAN
    auc_outcome: float = NAN
    label_auc: float = NAN
    brier: float = NAN
    calibration: list[CalibrationBin] = field(default_factory=list)
    first_error: FirstError | None = None
    by_depth: list[DepthQuality] = field(default_factory=list)
    within: Within | None = None


@dataclass(frozen=True)
class Reward:
    """`quality` maps a task's name to what was measured on it; `kept` is as in `Training`."""

    curve: list[CurvePoint] = field(default_factory=list)
    evals: list[EvalPoint] = field(default_factory=list)
    kept: float = NAN
    labels: Labels | None = None
    quality: dict[str, Quality] = field(default_factory=dict)


@dataclass(frozen=True)
class PointInfo:
    """One strategy at one budget. `generated`, `reward` (tokens) and `seconds` are means for one problem."""

    budget: float = NAN
    accuracy: float = NAN
    low: float = NAN
    high: float = NAN
    generated: float = NAN
    reward: float = 0.0
    seconds: float = NAN

    @property
    def tokens(self) -> float:
        """All tokens a problem costs: the generator's and the reward model's."""
        return self.generated + self.reward


@dataclass(frozen=True)
class DifferenceInfo:
    """One accuracy minus another, on the same problems and paired by problem."""

    estimate: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class StrategyInfo:
    """`unit` names what the budget counts ("samples", "simulations").

    Of `drawn` solutions (or steps, as `cut_unit` says), `cut` were cut off by the `limits`. `kinds` counts the final
    answers: right, and by kind of mistake. `gain` is the accuracy at the largest budget minus that at the smallest,
    `against_first` minus that of the first try.
    """

    name: str
    label: str = ""
    unit: str = ""
    points: list[PointInfo] = field(default_factory=list)
    cut: float = NAN
    drawn: float = NAN
    cut_unit: str = "solution"
    limits: list[Limit] = field(default_factory=list)
    kinds: dict[str, float] = field(default_factory=dict)
    gain: DifferenceInfo | None = None
    against_first: DifferenceInfo | None = None

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclass(frozen=True)
class Comparison:
    """Strategy a against b at matched cost: difference = accuracy(a) - accuracy(b); tokens are means a problem."""

    a: str = ""
    b: str = ""
    tokens_a: float = NAN
    tokens_b: float = NAN
    difference: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class EngineInfo:
    """Token positions over the whole evaluation: computed, distinct among them, and served again from the cache."""

    computed: float = NAN
    unique: float = NAN
    reused: float = NAN


@dataclass(frozen=True)
class AnswerInfo:
    """One answer at the end of the budget. Where there was none, `ended` is the last step, if there was one.

    Empty is what is not there; an empty `kind` is a right answer.
    """

    problem: str = ""
    expected: str = ""
    given: str = ""
    ended: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Answers:
    """What one strategy answered, each kind with a few examples; `counts` says how many there were of each."""

    strategy: str = ""
    counts: dict[str, float] = field(default_factory=dict)
    shown: list[AnswerInfo] = field(default_factory=list)


@dataclass(frozen=True)
class AutoChoice:
    """What `auto` does at one budget, and its accuracy on the held-out problems it was chosen on."""

    budget: float = NAN
    strategy: str = ""
    accuracy: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class Auto:
    """`why` is one line: does the reward model help on held-out problems?"""

    choices: list[AutoChoice] = field(default_factory=list)
    reward_model_helps: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class Evaluation:
    """`first` and `search` name the strategies of the headline; an empty `search` is comparison.a, else the best."""

    problems: float = NAN
    seeds: float = NAN
    first: str = "greedy"
    search: str = ""
    strategies: list[StrategyInfo] = field(default_factory=list)
    comparison: Comparison | None = None
    engine: EngineInfo | None = None
    auto: Auto | None = None
    answers: list[Answers] = field(default_factory=list)


@dataclass(frozen=True)
class Node:
    """One step of a search tree. `correct` is the truth about it where it is known; the search never sees it."""

    text: str = ""
    visits: float = NAN
    value: float = NAN
    prior: float = NAN
    reward: float = NAN
    chosen: bool = False
    done: bool = False
    correct: bool | None = None
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class TreeInfo:
    title: str = ""
    problem: str = ""
    strategy: str = ""
    answer: str = ""
    root: Node | None = None


@dataclass(frozen=True)
class ExampleInfo:
    problem: str = ""
    greedy_steps: list[str] = field(default_factory=list)
    greedy_answer: str = ""
    greedy_ok: bool = False
    search_steps: list[str] = field(default_factory=list)
    search_answer: str = ""
    search_ok: bool = False


@dataclass(frozen=True)
class AttentionInfo:
    """`layers[l][h][t][s]` is how much of head h's look back from token t falls on token s."""

    title: str = ""
    tokens: list[str] = field(default_factory=list)
    layers: list[list[list[list[float]]]] = field(default_factory=list)


@dataclass(frozen=True)
class Corpus:
    """The text of a run: where it is from, and how much of it there is. `held_out` counts documents."""

    source: str = ""
    documents: float = NAN
    bytes: float = NAN
    held_out: float = NAN
    held_out_bytes: float = NAN
    train_tokens: float = NAN
    vocabulary: float = NAN
    bytes_per_token: float = NAN


@dataclass(frozen=True)
class PositionLoss:
    """The mean loss over `count` tokens that had about `seen` tokens before them."""

    seen: float = NAN
    loss: float = NAN
    count: float = NAN


@dataclass(frozen=True)
class HeldOutPoint:
    """The held-out loss after so many tokens and seconds of training."""

    tokens: float = NAN
    seconds: float = NAN
    loss: float = NAN


@dataclass(frozen=True)
class Reach:
    """The gradient of the last loss at the embedding `distance` tokens earlier, as a share of that at distance 0."""

    distance: float = NAN
    share: float = NAN


@dataclass(frozen=True)
class WrittenInfo:
    prompt: str = ""
    text: str = ""


@dataclass(frozen=True)
class RecallPoint:
    """Of so many pairs of symbols in mind, the share that is recalled, with its interval."""

    pairs: float
    accuracy: float
    low: float = NAN
    high: float = NAN
    asked: float = NAN


@dataclass(frozen=True)
class RecallInfo:
    parameters: float = NAN
    seconds: float = NAN
    by_pairs: list[RecallPoint] = field(default_factory=list)


@dataclass(frozen=True)
class LengthCost:
    """After so many tokens: seconds to learn from the next and to write it, and bytes kept of those before."""

    length: float
    read: float
    write: float
    kept: float


@dataclass(frozen=True)
class LanguageModelInfo:
    """What one model makes of held-out text; `loss` is in nats a token, `tokens` and `bytes` are what was measured."""

    name: str
    parameters: float = NAN
    tokens: float = NAN
    bytes: float = NAN
    bits_per_byte: float = NAN
    loss: float = NAN
    perplexity: float = NAN
    by_position: list[PositionLoss] = field(default_factory=list)
    curve: list[HeldOutPoint] = field(default_factory=list)
    reach: list[Reach] = field(default_factory=list)
    samples: list[WrittenInfo] = field(default_factory=list)
    recall: RecallInfo | None = None
    cost: list[LengthCost] = field(default_factory=list)


@dataclass(frozen=True)
class FilledInfo:
    """A text with what an encoder put into its gap, in brackets, and what had stood there."""

    text: str = ""
    truth: str = ""
    guess: str = ""


@dataclass(frozen=True)
class EncoderInfo:
    """What an encoder makes of hidden tokens: the share told right, and the loss in nats a token."""

    parameters: float = NAN
    accuracy: float = NAN
    loss: float = NAN
    tokens: float = NAN
    filled: list[FilledInfo] = field(default_factory=list)


@dataclass(frozen=True)
class TextInfo:
    """A run on running text; the first model is the headline's."""

    corpus: Corpus = field(default_factory=Corpus)
    models: list[LanguageModelInfo] = field(default_factory=list)
    encoder: EncoderInfo | None = None


@dataclass(frozen=True)
class Share:
    """A share and its interval."""

    estimate: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class TranslationScore:
    """Translations beside their references: `exact` the share that is the same, BLEU and chrF from 0 to 100.

    A signature says how a score was computed; `unfinished` counts those that were cut off.
    """

    exact: Share = field(default_factory=Share)
    bleu: float = NAN
    chrf: float = NAN
    bleu_signature: str = ""
    chrf_signature: str = ""
    seconds: float = NAN
    tokens_per_second: float = NAN
    unfinished: float = NAN


@dataclass(frozen=True)
class LengthScore:
    """The pairs whose source has `low` to `high` tokens, `length` in the mean; `loss` in nats a token."""

    low: float = NAN
    high: float = NAN
    length: float = NAN
    pairs: float = NAN
    loss: float = NAN
    exact: Share = field(default_factory=Share)
    bleu: float = NAN
    chrf: float = NAN


@dataclass(frozen=True)
class PositionErrors:
    """The share of wrong tokens about one position of the target: after the true ones, and after the model's own."""

    position: float = NAN
    forced: float = NAN
    free: float = NAN
    count: float = NAN


@dataclass(frozen=True)
class AlignmentInfo:
    """How each token of a target looked at each of the source."""

    source: list[str] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    weights: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class TranslationExample:
    source: str = ""
    reference: str = ""
    translation: str = ""
    alignment: AlignmentInfo | None = None


@dataclass(frozen=True)
class TranslatorInfo:
    """One model of a run that translates; `loss` is in nats a token of held-out pairs, after the true tokens."""

    name: str
    parameters: float = NAN
    pairs: float = NAN
    tokens: float = NAN
    loss: float = NAN
    greedy: TranslationScore = field(default_factory=TranslationScore)
    beam: TranslationScore = field(default_factory=TranslationScore)
    by_length: list[LengthScore] = field(default_factory=list)
    by_position: list[PositionErrors] = field(default_factory=list)
    examples: list[TranslationExample] = field(default_factory=list)
    curve: list[HeldOutPoint] = field(default_factory=list)
    training_seconds: float = NAN
    training_tokens_per_second: float = NAN


@dataclass(frozen=True)
class TranslationInfo:
    """A run that translates: where the pairs are from, their counts by name, and every model."""

    source: str = ""
    pairs: dict[str, float] = field(default_factory=dict)
    beams: float = NAN
    models: list[TranslatorInfo] = field(default_factory=list)


@dataclass(frozen=True)
class Preflight:
    """What was found before anything was trained: facts by name, of each task and of the run, and lines in words.

    `seconds` is the time that the run was estimated to take.
    """

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    seconds: float = NAN
    warnings: list[str] = field(default_factory=list)
    intake: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RowsPoint:
    """The accuracy at first try of a policy that learned from so many rows."""

    rows: float = NAN
    accuracy: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class RowsCurve:
    points: list[RowsPoint] = field(default_factory=list)
    advice: str = ""


@dataclass(frozen=True)
class Round:
    """What a policy answered in one round, and how far it was from where it started.

    `truth` is the share that is really right, where the reward is a proxy of it. `kl` is in nats an answer, `entropy`
    in nats a token, `length` in tokens; `even` is the share of groups whose answers are all worth the same.
    """

    number: float = NAN
    reward: float = NAN
    truth: float = NAN
    kl: float = NAN
    entropy: float = NAN
    length: float = NAN
    even: float = NAN


@dataclass(frozen=True)
class BeforeAfter:
    """Accuracy of the policy as it was at first, and as it became; `gain` is paired by problem."""

    before: DifferenceInfo = field(default_factory=DifferenceInfo)
    after: DifferenceInfo = field(default_factory=DifferenceInfo)
    gain: DifferenceInfo = field(default_factory=DifferenceInfo)


@dataclass(frozen=True)
class AlignedTask:
    """On the test problems: a greedy answer, and one drawn at temperature 1."""

    problems: float = NAN
    greedy: BeforeAfter = field(default_factory=BeforeAfter)
    sampled: BeforeAfter = field(default_factory=BeforeAfter)


@dataclass(frozen=True)
class Pushed:
    """A policy, or a best-of-N, pushed against a proxy of the truth; `kl` is that from the start, in nats an answer."""

    beta: float = NAN
    n: float = NAN
    kl: float = NAN
    held_out: float = NAN
    proxy: DifferenceInfo = field(default_factory=DifferenceInfo)
    truth: DifferenceInfo = field(default_factory=DifferenceInfo)
    fooled: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Overoptimization:
    """Policies by their beta, of which that with `kept` was kept, and best-of-N by N."""

    kept: float = NAN
    lines: list[Pushed] = field(default_factory=list)
    best_of_n: list[Pushed] = field(default_factory=list)


@dataclass(frozen=True)
class Alignment:
    """What a policy learned from its own answers. `method` in words; `reward` names what it was paid by.

    `health` has a line for everything that is wrong with it.
    """

    method: str = ""
    reward: str = ""
    rounds: list[Round] = field(default_factory=list)
    tasks: dict[str, AlignedTask] = field(default_factory=dict)
    health: list[str] = field(default_factory=list)
    overoptimization: Overoptimization | None = None
    samples: list[SampleInfo] = field(default_factory=list)


@dataclass(frozen=True)
class Flaw:
    """A finding of the doctor: error, warning or note; `because` names the finding that explains it."""

    name: str = ""
    severity: str = ""
    told: str = ""
    where: str = ""
    evidence: str = ""
    change: str = ""
    proof: str = ""
    because: str = ""


@dataclass(frozen=True)
class Checked:
    """What the doctor says of one training; `judged` is what of its record there was to judge."""

    log: str = ""
    summary: str = ""
    well: bool = True
    steps: float = NAN
    first: float = NAN
    last: float = NAN
    judged: list[str] = field(default_factory=list)
    findings: list[Flaw] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """`evaluation` and `examples` map a task's name to its part; the first task of `evaluation` is the headline's."""

    run: RunInfo = field(default_factory=RunInfo)
    model: ModelInfo | None = None
    tasks: list[TaskInfo] = field(default_factory=list)
    preflight: Preflight | None = None
    rows_curve: RowsCurve | None = None
    training: Training | None = None
    reward: Reward | None = None
    alignment: Alignment | None = None
    in_context: Training | None = None
    in_context_align: Alignment | None = None
    evaluation: dict[str, Evaluation] = field(default_factory=dict)
    trees: list[TreeInfo] = field(default_factory=list)
    examples: dict[str, list[ExampleInfo]] = field(default_factory=dict)
    attention: AttentionInfo | None = None
    text: TextInfo | None = None
    translation: TranslationInfo | None = None
    health: list[Checked] = field(default_factory=list)


def read(report_data: Mapping[str, Any]) -> Report:
    """Plain data as documented by the classes above -> `Report`; a null is the same as an absent key.

    >>> read({"model": {"parameters": 1800000}}).model.parameters
    1800000.0
    """
    return build(Report, _without_nulls(report_data), "report")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list | tuple) else value
