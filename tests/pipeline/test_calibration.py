"""The calibration stage: candidates in groups, their scores put together, and what auto.json then says."""

import json
from pathlib import Path

from clearhead.alignment.calibration import Calibration
from clearhead.config import build
from clearhead.pipeline.calibration import chosen, merged, together_tried
from clearhead.reasoning.auto import CANDIDATES
from clearhead.reasoning.samples import SAMPLED
from clearhead.reasoning.strategies import strategy_of


def test_candidates_that_share_samples_are_tried_together() -> None:
    judged, alone = together_tried(has_reward_model=True, has_searcher=True), together_tried(has_reward_model=False)
    assert sorted(name for group in judged for name in group) == sorted(CANDIDATES)
    assert all(len({strategy_of(name).needs_reward_model for name in group}) == 1 for group in judged), (
        "tokens of the reward model are paid"
    )
    assert all(len(group) == 1 or set(group) <= set(SAMPLED) for group in judged)
    lacking = [strategy_of(name) for group in alone for name in group]
    assert not any(strategy.needs_reward_model or strategy.needs_searcher for strategy in lacking)


def test_scores_are_put_together_the_cheaper_first() -> None:
    pieces = [{"mcts-puct": {"9": [1.0], "100": [1.0]}}, {"greedy": {"9": [0.0], "100": [0.0]}}]
    found = merged(pieces)
    assert list(found) == ["greedy", "mcts-puct"] and list(found["greedy"]) == [9, 100]
    told = chosen(found, None)
    assert told["problems"] == 1 and told["calibration"] is None
    assert told["why"] == "auto is mcts-puct from 9 tokens on: 100% of the held-out problems, greedy 0%"


def test_a_run_leaves_a_file_for_each_group_and_one_for_all(tiny_run: Path) -> None:
    told = json.loads((tiny_run / "auto.json").read_text())
    able = [name for name in CANDIDATES if not strategy_of(name).needs_searcher]
    for task, entry in told.items():
        fitted = json.loads((tiny_run / "calibration" / f"{task}.json").read_text())
        assert entry["calibration"] == fitted and build(Calibration, fitted)
        pieces = [*(tiny_run / "calibration").glob(f"{task}-*.json")]
        scores = merged(json.loads(path.read_text()) for path in pieces)
        assert len(pieces) == len(together_tried(has_reward_model=True)) and list(scores) == able
        assert {len(each) for by_budget in scores.values() for each in by_budget.values()} == {entry["problems"]}
        assert chosen(scores, fitted) == entry
