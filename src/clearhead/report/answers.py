"""The section about single answers: given beside expected, and the mistakes by their kind."""

from __future__ import annotations

from clearhead.charts.markup import Child, Html, join, tag
from clearhead.charts.wording import MISSING, count, percent, plural
from clearhead.report.data import AnswerInfo, Answers, Evaluation, Report, StrategyInfo
from clearhead.report.parts import Column, fold, section, table
from clearhead.report.summary import task_info

RIGHT = "right"
KINDS = ("cut off", "malformed", "near miss", "wrong")  # the order in which they are shown
CELL_CHARS = 240  # characters of a text in the table
EXPLAINED = (
    "Cut off: no finished solution within the limits of a step, a solution or the budget. Malformed: finished, but"
    " without an answer, or not of the form of the expected one. Near miss: few edits or a tenth away from the expected"
    " one, or most of its fields right. Wrong: everything else. The kinds are read off the texts and count nothing: a"
    " near miss is as wrong as the others."
)


def answers_section(report: Report) -> Html | None:
    shown = {
        name: e
        for name, e in report.evaluation.items()
        if any(a.shown for a in e.answers) or any(s.kinds for s in e.strategies)
    }
    if not shown:
        return None
    return section(
        "answers",
        "Given and expected answers",
        tag("p", EXPLAINED, cls="aside"),
        *(
            join(
                tag("h3", task_info(report, name).title)
                if len(report.evaluation) > 1 or len(report.tasks) > 1
                else None,
                _kinds_table(evaluation),
                *(_of_strategy(answers, evaluation) for answers in evaluation.answers),
            )
            for name, evaluation in shown.items()
        ),
    )


def _kinds_table(evaluation: Evaluation) -> Html | None:
    """Each strategy's final answers by kind, over all its seeds."""
    counted = [(s, total) for s in evaluation.strategies if (total := sum(s.kinds.values())) > 0]
    if not counted:
        return None
    titles = (RIGHT, *KINDS, "answers", "cut off of all drawn")
    columns = [Column("strategy", numeric=False), *(Column(title) for title in titles)]
    rows = [
        [s.title, *(percent(s.kinds.get(kind, 0.0) / total) for kind in (RIGHT, *KINDS)), count(total), _cut(s)]
        for s, total in sorted(counted, key=lambda pair: -pair[0].kinds.get(RIGHT, 0.0) / pair[1])
    ]
    caption = (
        "Each strategy at its largest budget, over all its seeds. The last column counts solutions, of a search steps,"
        " whether or not they became the answer."
    )
    return tag("figure", table("kinds of mistakes", columns, rows), tag("figcaption", caption))


def _cut(s: StrategyInfo) -> str:
    return percent(s.cut / s.drawn) if s.drawn > 0 else MISSING


def _of_strategy(answers: Answers, evaluation: Evaluation) -> Html:
    """The answers of one strategy, a group for each kind, the wrong ones first."""
    title = next((s.title for s in evaluation.strategies if s.name == answers.strategy), answers.strategy)
    groups = [_group(kind, answers) for kind in (*KINDS, RIGHT)]
    return join(tag("h4", title, cls="answered"), *groups)


def _group(kind: str, answers: Answers) -> Html | None:
    amount, shown = answers.counts.get(kind, 0.0), [a for a in answers.shown if (a.kind or RIGHT) == kind]
    if not amount or not shown:
        return None
    sign = "✓" if kind == RIGHT else "✗"
    some = f", {count(len(shown))} of them shown" if len(shown) < amount else ""
    known_answers = any(a.expected for a in shown)
    columns = [Column("problem", numeric=False), Column("given", numeric=False)]
    columns += [Column("expected", numeric=False)] if known_answers else []
    rows = [
        [_text(a.problem), _given(a), *([_text(a.expected) if a.expected else MISSING] if known_answers else [])]
        for a in shown
    ]
    return fold(
        f"{sign} {kind}: {plural(amount, 'problem')}{some}",
        tag("div", table(kind, columns, rows, stacked=True), cls="given"),
    )


def _given(a: AnswerInfo) -> Child:
    """The answer; where there is none, where the solution ended."""
    if a.given:
        return _text(a.given)
    return ["no answer, ended with ", _text(a.ended)] if a.ended else "no answer"


def _text(text: str) -> Html:
    return tag("code", text if len(text) <= CELL_CHARS else text[:CELL_CHARS] + "…")
