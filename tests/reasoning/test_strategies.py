"""Text-level strategies on a scripted model whose best answers are known, and what each of them is charged."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scripted import ScriptedModel, ScriptedRewardModel

from clearhead.errors import UserError
from clearhead.reasoning.auto import AutoChoice, AutoStage
from clearhead.reasoning.samples import SAMPLED, joint, pick, sampled, single
from clearhead.reasoning.searches import SEARCHES, heaviest, joint_weight, propose, searched, value_weight
from clearhead.reasoning.strategies import STRATEGIES, known, run_strategies
from clearhead.reasoning.strategy import PartialSolution, SearchConfig, StrategyContext, Trace
from clearhead.reasoning.tree import add_children, new_tree

# "What is 17 × 24?": greedy takes the likely first step B, which is wrong; A leads to 408.
SCRIPT = {
    "17 × 24\n": {"B: 400\n": 0.6, "A: 340+68\n": 0.4},
    "17 × 24\nB: 400\n": {"400$": 0.8, "401$": 0.2},
    "17 × 24\nA: 340+68\n": {"408$": 0.7, "357$": 0.3},
    "17 × 24⇒": {"411$": 0.9, "408$": 0.1},
    "2 × 3\n": {"6$": 1.0},
    "2 × 3⇒": {"6$": 1.0},
    "endless\n": {"on\n": 1.0},
    "endless\non\n": {"and on\n": 1.0},
    "endless\non\nand on\n": {"stop$": 1.0},
}
A, B = "A: 340+68", "B: 400"
GOOD = {(A,): 0.9, (B,): 0.2, (A, "408"): 0.95, (A, "357"): 0.1, (B, "400"): 0.3, (B, "401"): 0.2, ("6",): 0.9}
CONFIG = SearchConfig(samples=12, narrowing=1.0, temperature=1.0, min_p=0.0, leaves=1, width=2, actions=2)


def arrive(problem: str, steps: tuple[str, ...]) -> str | None:
    return steps[-1] if steps and steps[-1].isdigit() else None


def context(process: dict | None = None, outcome: dict | None = None) -> StrategyContext:
    return StrategyContext(
        ScriptedModel(SCRIPT), ScriptedRewardModel(GOOD if process is None else process, outcome or {}), CONFIG, arrive
    )


def test_direct_and_greedy_take_the_likeliest_text_and_are_charged_for_it() -> None:
    (direct,), (greedy,) = single("direct", context(), ["17 × 24"]), single("greedy", context(), ["17 × 24"])
    assert direct.points[-1].steps == ("411",)
    assert direct.points[-1].generated == len("411$")
    assert greedy.points[-1].steps == (B, "400")
    assert (greedy.points[-1].generated, greedy.points[-1].reward) == (len("B: 400\n400$"), 0)


@pytest.mark.parametrize("name", [*SEARCHES, "beam:1"])
def test_search_finds_the_answer_that_greedy_misses(name: str) -> None:
    (trace,), (grown,) = searched(name, context(), ["17 × 24"], budget=400, seed=0)
    assert grown is not None
    result, row = grown
    expected = (B, "400") if name == "tree-of-thought" else (A, "408")  # its own confidence prefers the likely step
    assert trace.points[-1].steps == expected
    assert result.answer(row).steps == expected


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_charged_for_every_distinct_token_once(name: str) -> None:
    (trace,), _ = searched(name, context(), ["17 × 24"], budget=10_000, seed=0)
    steps = [A, B]
    ends = [(A, "408"), (A, "357"), (B, "400"), (B, "401")]
    most = sum(len(s) + 1 for s in steps) + len("40") * 2  # prefixes 40 are shared by 400 and 401
    generated = trace.points[-1].generated
    assert generated == len({t[:i] for t in (f"{a}\n{b}$" for a, b in ends) for i in range(1, len(t) + 1)})
    assert generated < most + sum(len(b) + 1 for _, b in ends)
    judged = sum(len(s) + 1 for s in steps) + sum(len(b) + 1 for _, b in ends)
    assert trace.points[-1].reward == (0 if name == "tree-of-thought" else judged)


def test_marks_cost_more_and_more_and_stop_within_one_expansion_of_the_budget() -> None:
    (trace,), _ = searched("mcts-puct", context(), ["17 × 24"], budget=40, seed=0)
    costs = [point.generated + point.reward for point in trace.points]
    assert costs == sorted(costs)
    assert costs[-2] < 40


def test_an_unfinished_solution_is_no_answer() -> None:
    (trace,), _ = searched("mcts-puct", context(), ["endless"], budget=10, seed=0)
    assert trace.points[-1].steps is None
    (trace,), _ = searched("mcts-puct", context(), ["endless"], budget=1000, seed=0)
    assert trace.points[-1].steps == ("on", "and on", "stop")


def test_a_problem_is_answered_as_if_it_were_alone() -> None:
    problems = ["2 × 3", "17 × 24", "endless"]
    for name in SEARCHES:
        together, _ = searched(name, context(), problems, budget=120, seed=1)
        (alone,), _ = searched(name, context(), ["17 × 24"], budget=120, seed=1)
        assert [m._replace(seconds=0) for m in together[1].points] == [m._replace(seconds=0) for m in alone.points]
    together = sampled(tuple(SAMPLED), context(), problems, budget=120, seed=1)
    alone = sampled(tuple(SAMPLED), context(), ["17 × 24"], budget=120, seed=1)
    for name in SAMPLED:
        assert [m[:2] + m[3:] for m in together[name][1].points] == [m[:2] + m[3:] for m in alone[name][0].points]


def test_samples_are_shared_and_each_rule_pays_for_what_it_reads() -> None:
    # the outcome model is fooled by 400, the process model is not
    found = sampled(
        tuple(SAMPLED), context(outcome={(B, "400"): 0.9, (A, "408"): 0.6}), ["17 × 24"], budget=300, seed=0
    )
    last = {name: attempts[0].points[-1] for name, attempts in found.items()}
    assert last["self-consistency"].steps == (B, "400")
    assert last["best-of-n-outcome"].steps == (B, "400")
    assert last["best-of-n-last"].steps == (A, "408")
    assert last["best-of-n-min"].steps == (A, "408")
    assert last["self-consistency"].reward == 0 < last["best-of-n-last"].reward
    assert len({point.generated for point in last.values()}) == 1


def test_without_a_judged_rule_the_judge_is_not_asked() -> None:
    b = context()
    sampled(["self-consistency"], b, ["17 × 24"], budget=50, seed=0)
    assert b.scorer is not None and b.scorer.tokens("17 × 24") == 0


V = np.array
ANSWERS = ["400", "408", "400", None]
VERDICTS = [
    V([[0.9, 0.2], [0.8, 0.3]]),  # outcome, process at each of two steps
    V([[0.1, 0.9], [0.6, 0.9]]),
    V([[0.1, 0.4], [0.7, 0.65]]),
    V([[1.0, 1.0], [1.0, 1.0]]),
]
LOGPROBS = [-1.0, -3.0, -2.0, 0.0]
SOLUTIONS = [PartialSolution("p", ("a",), True, logprob=-1.0), PartialSolution("p", ("b",), True, logprob=-3.0),
          PartialSolution("p", ("c",), True, logprob=-2.0), PartialSolution("p", ("d",), False)]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ("self-consistency", 0),  # 400 twice
        ("weighted-vote", 0),  # 400: 0.3 + 0.65, 408: 0.9
        ("best-of-n-outcome", 0),  # 0.8 against 0.6 and 0.7
        ("best-of-n-last", 1),  # 0.3, 0.9, 0.65
        ("best-of-n-min", 1),  # 0.2, 0.9, 0.4
        ("best-of-n-product", 1),  # 0.06, 0.81, 0.26
        ("likelihood-vote", 0),  # 400: 1/e + 1/e²
        (
            "odds-vote",
            1,
        ),  # odds by the mean of both heads' logits, 400: √(4 · 0.43) + √(2.3 · 1.9) = 3.4, 408: √(1.5 · 9) = 3.7
        ("best-of-n-joint", 0),  # 0.3 / e, 0.9 / e³, 0.65 / e²: 0.110, 0.045, 0.088
    ],
)
def test_rules_by_hand_and_no_answer_is_never_chosen(rule: str, chosen: int) -> None:
    assert pick(rule, ANSWERS, VERDICTS, SOLUTIONS) == chosen
    assert pick(rule, [None, None], VERDICTS[:2], SOLUTIONS[:2]) is None
    assert pick(rule, [], [], []) is None


def test_a_solution_drawn_twice_votes_once() -> None:
    """Its probability is counted, not how often it was drawn: 400 by one way at 1/e is less than 408 by two at 0.3."""
    solutions = [PartialSolution("p", (text,), True, logprob=logprob) for text, logprob in
              (("a", -1.0), ("a", -1.0), ("a", -1.0), ("b", math.log(0.3)), ("c", math.log(0.3)))]  # fmt: skip
    answers = ["400", "400", "400", "408", "408"]
    assert pick("likelihood-vote", answers, [V([[0.5, 0.5]])] * 5, solutions) == 3
    assert pick("self-consistency", answers, [V([[0.5, 0.5]])] * 5, solutions) == 0


def test_a_blunt_vote_goes_to_the_many_and_a_sharp_one_to_the_sure() -> None:
    solutions = [PartialSolution("p", (text,), True) for text in "abc"]
    values = [V([[0.8, 0.8]]), V([[0.7, 0.7]]), V([[0.7, 0.7]])]
    assert pick("odds-vote", ["400", "408", "408"], values, solutions, 0.25) == 1
    assert pick("odds-vote", ["400", "408", "408"], values, solutions, 4.0) == 0


def test_auto_is_the_strategy_of_its_choice_and_spends_no_more_than_it_did() -> None:
    choice = AutoChoice((AutoStage(10, "greedy", 10, 0.5), AutoStage(100, "self-consistency", 60, 0.6)))
    b = context()._replace(choice=choice)
    steps = run_strategies(["auto"], b, ["17 × 24"], 50, 0)[0]["auto"][0].points[-1].steps
    assert steps == single("greedy", b, ["17 × 24"])[0].points[-1].steps
    (auto,) = run_strategies(["auto"], b, ["17 × 24"], 1000, 0)[0]["auto"]
    (same,) = sampled(["self-consistency"], b, ["17 × 24"], 60, 0)["self-consistency"]
    assert [point[:2] + point[3:] for point in auto.points] == [point[:2] + point[3:] for point in same.points]


def test_auto_without_a_choice_is_refused() -> None:
    with pytest.raises(UserError, match="calibrated"):
        known(["auto"], measured=False)


def test_min_and_product_and_last_differ() -> None:
    answers = ["a", "b", "c"]
    values = [V([[0, 0.2], [0, 0.9]]), V([[0, 0.5], [0, 0.6]]), V([[0, 0.4], [0, 0.8]])]
    found = [pick(f"best-of-n-{r}", answers, values, SOLUTIONS[:3]) for r in ("last", "min", "product")]
    assert found == [0, 1, 2]


def test_a_search_answers_with_what_is_most_likely_written_and_right() -> None:
    done = [
        PartialSolution("p", (text,), True, logprob=logprob)
        for text, logprob in (("a", -5.0), ("b", -0.1), ("c", -0.2))
    ]
    tree = new_tree([PartialSolution("p")], V([0.5]), V([False]))
    assert heaviest(tree, 0, joint_weight) is None
    values = V([0.9, 0.6, 0.6])
    states = [*done, PartialSolution("p", ("open",))]
    tree = add_children(tree, 0, 0, states, np.ones(4) / 4, *[np.append(values, 1.0)] * 2,
                        V([True, True, True, False]))  # fmt: skip
    assert heaviest(tree, 0, joint_weight) == 2  # b: the best judged is hardly ever written, the open one is no answer
    assert heaviest(tree, 0, value_weight) == 1, "a calibrated value knows how it was written"
    for name, sharpness in itertools.product(SEARCHES, (None, 1.0)):
        b = context()._replace(sharpness=sharpness)
        weigh = joint_weight if sharpness is None or name == "tree-of-thought" else value_weight
        attempts, (grown,) = searched(name, b, ["17 × 24"], budget=300, seed=0)
        assert grown is not None
        result, _ = grown
        assert result.chosen[0] == heaviest(result.tree, 0, weigh)
        assert attempts[0].points[-1].steps == result.answer(0).steps


def test_an_exhausted_tree_is_searched_again_with_more_samples() -> None:
    """The rare right step is not among the first few draws; with a budget left it is found. Nothing is paid twice."""
    rare = {"p\n": {"bad\n": 0.97, "good\n": 0.03}, "p\nbad\n": {"1$": 1.0}, "p\ngood\n": {"2$": 1.0}}
    scorer = {("bad",): 0.01, ("good",): 0.9, ("bad", "1"): 0.01, ("good", "2"): 0.9}
    config = SearchConfig(samples=4, fewest=4, narrowing=1.0, min_p=0.0, temperature=1.0)
    b = StrategyContext(ScriptedModel(rare), ScriptedRewardModel(scorer, {}), config, arrive)
    (trace,), _ = searched("mcts-puct", b, ["p"], budget=10_000, seed=0)
    (narrow,), _ = searched("beam:4", b, ["p"], budget=10_000, seed=0)
    assert narrow.points[-1].steps == ("bad", "1") and trace.points[-1].steps == ("good", "2")
    steps = [point.steps for point in trace.points]
    first = steps.index(("bad", "1"))
    assert None not in steps[first:]  # an answer is kept while a wider search begins
    costs = [point.generated + point.reward for point in trace.points]
    assert costs == sorted(costs)
    assert trace.points[-1].generated == len("bad\n1$") + len("good\n2$")


def test_a_value_of_zero_is_never_preferred() -> None:
    assert joint(0.0, 0.0) == -np.inf < joint(1e-300, -700.0)


def test_proposals_are_distinct_and_carry_the_model_s_probability() -> None:
    model = ScriptedModel(SCRIPT)
    (node,) = model.open(["17 × 24\n"])
    (family,) = propose(model, [PartialSolution("17 × 24", node=node)], CONFIG, [0])
    assert {p.state.steps[-1]: round(p.prior, 6) for p in family} == {A: 0.4, B: 0.6}
    assert {p.state.logprob for p in family} == {math.log(0.4), math.log(0.6)}


def test_later_steps_are_proposed_fewer_samples_and_each_state_gets_its_own() -> None:
    asked: list[tuple[int, int]] = []

    class Counting(ScriptedModel):
        def extend(self, nodes, n, sampling, seeds, stop="\n"):  # type: ignore[no-untyped-def]
            asked.append((len(nodes), n))
            return super().extend(nodes, n, sampling, seeds, stop)

    model = Counting(SCRIPT)
    first, second = model.open(["17 × 24\n", "17 × 24\nA: 340+68\n"])
    solutions = [PartialSolution("17 × 24", (A,), node=second), PartialSolution("17 × 24", node=first)]
    config = SearchConfig(samples=12, narrowing=3.0, fewest=2, temperature=1.0, min_p=0.0)
    deeper, root = propose(model, solutions, config, [0, 0])
    assert asked == [(1, 12), (1, 4)]
    assert {p.state.steps[:1] for p in deeper} == {(A,)}
    assert {p.state.steps for p in root} == {(A,), (B,)}


# Solutions of which a limit cuts some off: A arrives within 12 tokens, L needs 30 in two steps.
LONG = "L: 340+68=408, in one"
WORDY = {
    "17 × 24\n": {f"{LONG}\n": 0.5, "A: 340+68\n": 0.5},
    f"17 × 24\n{LONG}\n": {"408$": 1.0},
    "17 × 24\nA: 340+68\n": {"408$": 1.0},
    "17 × 24⇒": {"408$": 1.0},
}


def cut_off(trace: Trace) -> tuple[int, int, tuple[str, ...]]:
    return trace.cut, trace.drawn, trace.limits


def wordy(config: SearchConfig, context: int = 1000) -> StrategyContext:
    return StrategyContext(ScriptedModel(WORDY, context), ScriptedRewardModel({}, {}), config, arrive)


def test_without_limits_nothing_is_cut_off() -> None:
    for name in ("direct", "greedy"):
        (trace,) = single(name, wordy(CONFIG), ["17 × 24"])
        assert cut_off(trace) == (0, 1, ())
    for name, (trace,) in sampled(tuple(SAMPLED), wordy(CONFIG), ["17 × 24"], 100, 0).items():
        assert cut_off(trace)[::2] == (0, ()) and trace.drawn > 1, name
    for name in SEARCHES:
        (trace,), _ = searched(name, wordy(CONFIG), ["17 × 24"], 1000, 0)
        assert cut_off(trace)[::2] == (0, ()) and trace.drawn >= 3 * CONFIG.samples, name


def test_a_solution_that_its_limit_cuts_off_is_counted() -> None:
    (trace,) = single("greedy", wordy(replace(CONFIG, solution_tokens=12)), ["17 × 24"])
    assert cut_off(trace) == (1, 1, ("search.solution_tokens",)) and trace.points[-1].steps is None
    (trace,) = single("direct", wordy(replace(CONFIG, solution_tokens=12)), ["17 × 24"])
    assert cut_off(trace) == (0, 1, ())
    found = sampled(tuple(SAMPLED), wordy(replace(CONFIG, solution_tokens=20)), ["17 × 24"], 300, 0)
    for (trace,) in found.values():
        assert 0 < trace.cut < trace.drawn and trace.limits == ("search.solution_tokens",)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_step_that_its_limit_cuts_off_is_counted(name: str) -> None:
    (trace,), _ = searched(name, wordy(replace(CONFIG, step_tokens=12)), ["17 × 24"], 1000, 0)
    assert 0 < trace.cut < trace.drawn and trace.limits == ("search.step_tokens",)
    assert trace.points[-1].steps == ("A: 340+68", "408"), "what is drawn whole is found all the same"


def test_the_context_is_named_where_it_is_what_cuts_off() -> None:
    (trace,) = single("greedy", wordy(CONFIG, context=20), ["17 × 24"])
    assert cut_off(trace) == (1, 1, ("model.max_positions",))
    (trace,), _ = searched("mcts-puct", wordy(CONFIG, context=24), ["17 × 24"], 1000, 0)
    assert trace.cut and trace.limits == ("model.max_positions",)


TWELVE = {"count\n" + "".join(f"{i}\n" for i in range(n)): {f"{n}\n" if n < 11 else "11$": 1.0} for n in range(12)}


@pytest.mark.parametrize("name", ["beam:2", "tree-of-thought", "mcts-puct"])
def test_twelve_steps_are_taken_unless_the_depth_says_otherwise_which_is_told(name: str) -> None:
    def at(depth: int) -> Trace:
        b = StrategyContext(ScriptedModel(TWELVE), ScriptedRewardModel({}, {}), replace(CONFIG, depth=depth), arrive)
        return searched(name, b, ["count"], 10_000, 0)[0][0]

    for depth in (0, 12):
        assert at(depth).points[-1].steps == tuple(map(str, range(12)))
        assert cut_off(at(depth))[::2] == (0, ())
    if name != "mcts-puct":
        assert at(8).points[-1].steps is None
        assert cut_off(at(8))[::2] == (1, ("search.depth",))


def test_a_problem_too_long_for_the_context_gets_no_answer_and_stops_no_other() -> None:
    problems = ["17 × 24", "1" * 50, "17 × 24"]
    everyone = {"greedy": single("greedy", wordy(CONFIG, 40), problems)}
    everyone |= sampled(tuple(SAMPLED), wordy(CONFIG, 40), problems, 200, 0)
    trees = {}
    for name in SEARCHES:
        everyone[name], trees[name] = searched(name, wordy(CONFIG, 40), problems, 200, 0)
    for name, attempts in everyone.items():
        assert [trace.problem for trace in attempts] == problems, name
        assert cut_off(attempts[1]) == (1, 1, ("model.max_positions",)) and attempts[1].points[-1].steps is None
        assert attempts[0].points[-1].steps == attempts[2].points[-1].steps != None  # noqa: E711
    assert all(found[1] is None and found[0] is not None for found in trees.values())


def test_names_are_checked() -> None:
    assert known(tuple(STRATEGIES)) == tuple(STRATEGIES)
    assert known(["beam:8"]) == ("beam:8",)
    for name in ("magic", "beam:x", "beam:0", "beam:", "greedy:2"):
        with pytest.raises(UserError, match=name):
            known([name])
    for name in [name for name, strategy in STRATEGIES.items() if strategy.needs_reward_model]:
        with pytest.raises(UserError, match="needs a reward model"):
            known([name], has_reward_model=False)
    with pytest.raises(UserError, match=r"in_context\.steps"):
        known(["in-context"], has_searcher=False)
