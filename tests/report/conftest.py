"""A made-up but believable run: what the report is tested with and looked at.

`python tests/report/conftest.py report.html` writes it as a page.
"""

import copy
import itertools
import json
import math
import random
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clearhead.report import write

Data = dict[str, Any]


def node(text: str, visits: int, value: float, *children: Data, prior: float = 0.5, **more: Any) -> Data:
    reward = round(min(0.99, max(0.01, value + 0.04)), 2)
    return {
        "text": text,
        "visits": visits,
        "value": value,
        "prior": prior,
        "reward": reward,
        "children": list(children),
        **more,
    }


def product_tree() -> Data:
    right = node("=408", 17, 0.96, prior=0.97, chosen=True, done=True, correct=True)
    slip = node("=398", 2, 0.08, prior=0.02, done=True, correct=False)
    carried = node("=340+68", 19, 0.91, right, slip, prior=0.88, chosen=True, correct=True)
    wrong_part = node(
        "=340+64", 3, 0.11, node("=404", 2, 0.06, prior=0.95, done=True, correct=False), prior=0.09, correct=False
    )
    by_tens = node("17×24=17×20+17×4", 23, 0.83, carried, wrong_part, prior=0.81, chosen=True, correct=True)
    other = node("=408", 3, 0.7, prior=0.7, done=True, correct=True)
    turned = node("17×24=10×24+7×24", 6, 0.58, node("=240+168", 4, 0.66, other, prior=0.6, correct=True), prior=0.13)
    turned["correct"] = True
    lost = node(
        "17×24=17×20+17×14", 3, 0.07, node("=340+238", 2, 0.05, prior=0.9, correct=False), prior=0.06, correct=False
    )
    return {
        "title": "What is 17 × 24?",
        "problem": "17 × 24",
        "strategy": "Tree search, 32 simulations",
        "answer": "408",
        "root": node("", 32, 0.74, by_tens, turned, lost, prior=1.0),
    }


def number_tree(problem: str, seed: int) -> Data:
    """A tree over the Game of 24 whose steps are real arithmetic."""
    rng = random.Random(seed)

    def grow(numbers: list[Fraction], visits: int, path: bool) -> list[Data]:
        pairs = list(itertools.combinations(range(len(numbers)), 2))
        children: list[Data] = []
        left = visits
        for k in range(min(11, len(pairs) * 3)):
            if left <= 0:
                break
            i, j = rng.choice(pairs)
            a, b = max(numbers[i], numbers[j]), min(numbers[i], numbers[j])
            sign = rng.choice("+-×÷") if b else "+"
            result = {"+": a + b, "-": a - b, "×": a * b, "÷": a / b if b else a}[sign]
            rest = sorted([n for m, n in enumerate(numbers) if m not in (i, j)] + [result])
            share = max(1, round(left * rng.uniform(0.25, 0.6))) if k < 10 else left
            left -= share
            tail = ":" + " ".join(map(str, rest)) if len(rest) > 1 else ""
            below = grow(rest, share - 1, path and not children) if len(rest) > 1 else []
            value = round(rng.betavariate(3, 2) if path and not children else rng.betavariate(1, 4), 3)
            child = node(f"{a}{sign}{b}={result}{tail}", share, value, *below, prior=round(rng.random() / (k + 1), 3))
            child |= {
                "chosen": path and not children,
                "done": len(rest) == 1,
                "correct": result == 24 if len(rest) == 1 else None,
            }
            children.append(child)
        return children

    root = node("", 96, 0.41, *grow([Fraction(n) for n in problem.split()], 95, True), prior=1.0)
    return {
        "title": "A puzzle it nearly lost",
        "problem": problem,
        "strategy": "Tree search, 96 simulations",
        "answer": None,
        "root": root,
    }


def curve(steps: int, start: float, end: float, seed: int, batch: int = 16_384) -> list[Data]:
    rng = random.Random(seed)
    return [
        {
            "step": step,
            "tokens": step * batch,
            "loss": (
                end
                + (start - end) * math.exp(-step / (0.12 * steps))
                + rng.gauss(0, 0.02) * (0.3 + math.exp(-step / 90))
            ),
            "lr": 3e-3 * min(1, step / 50) * (1 - step / (steps + 1)),
        }
        for step in range(1, steps + 1)
    ]


def strategies(top: float, gain: float, cost: float, seed: int, n: int = 200) -> list[Data]:
    rng = random.Random(seed)

    def point(budget: int, accuracy: float, generated: float, reward: float) -> Data:
        accuracy = round(min(1, max(0, accuracy)) * n) / n
        half = 1.96 * math.sqrt(max(accuracy * (1 - accuracy), 0.004) / n)
        return {
            "budget": budget,
            "accuracy": accuracy,
            "low": max(0.0, accuracy - half),
            "high": min(1.0, accuracy + half),
            "generated": generated,
            "reward": reward,
            "seconds": (generated + 0.3 * reward) / 2100,
        }

    def line(
        name: str, label: str, unit: str, budgets: list[int], rise: float, judge: float, late: float = 0.0
    ) -> Data:
        found: list[Data] = []
        for k, budget in enumerate(budgets):
            grown = top + rise * (1 - math.exp(-0.5 * k)) - (late if k == 0 else 0) + rng.gauss(0, 0.01)
            found.append(point(budget, grown, cost * budget, judge * cost * budget))
        return {"name": name, "label": label, "unit": unit, "points": found, **told(found, "solution")}

    def told(found: list[Data], cut_unit: str) -> Data:
        """What the whole runs tell of a strategy."""
        right, change = round(300 * found[-1]["accuracy"]), found[-1]["accuracy"] - found[0]["accuracy"]
        gone = found[-1]["accuracy"] - top
        wrong = 300 - right
        slips = [wrong // 10, wrong // 5, wrong // 4]
        return {
            "cut": wrong // 10 * 8, "drawn": 2400, "cut_unit": cut_unit,
            "limits": [{"setting": "search.solution_tokens", "value": 160}],
            "kinds": dict(
                zip(["right", "cut off", "malformed", "near miss", "wrong"], [right, *slips, wrong - sum(slips)],
                    strict=True)
            ),
            "gain": {"estimate": change, "low": change - 0.04, "high": change + 0.04},
            "against_first": {"estimate": gone, "low": gone - 0.05, "high": gone + 0.05},
        }  # fmt: skip

    return [
        {"name": "direct", "label": "Direct answer", "unit": "sample", "points": [point(1, 0.4 * top, 0.3 * cost, 0)]},
        {"name": "greedy", "label": "First try", "unit": "sample", "points": [point(1, top, cost, 0)]},
        line("vote", "Majority vote", "samples", [2, 4, 8, 16, 32, 64], 0.36 * gain, 0, late=0.03),
        line("best-of-n", "Best of n by reward", "samples", [2, 4, 8, 16, 32, 64], 0.72 * gain, 1.0),
        line("beam", "Beam search", "beams", [2, 4, 8, 16], 0.82 * gain, 1.1, late=0.02),
        line("halving", "Sequential halving", "simulations", [8, 16, 32, 64], 0.7 * gain, 1.15, late=0.07),
        line("tot", "Tree of thoughts, own confidence", "beams", [2, 4, 8, 16], 0.3 * gain, 0.0, late=0.05),
        line("mcts", "Tree search", "simulations", [4, 8, 16, 32, 64], gain, 1.15, late=0.11),
        line("best-of-n-outcome", "Best of N, outcome model", "samples", [2, 4, 8, 16, 32], -0.8 * top, 1.0),
    ]


def attention_maps(text: str, layers: int, heads: int, seed: int) -> list[Any]:
    """Maps of the kinds that trained heads show: tokens at a distance, equal ones, the first, digits, neighbors."""
    rng = random.Random(seed)
    T = len(text)

    def row(t: int, kind: int, back: int, sharp: float) -> list[float]:
        scores = []
        for s in range(t + 1):
            near = {0: s == t - back, 1: text[s] == text[t], 2: s == 0, 3: text[s].isdigit(), 4: abs(t - s) < 4}[kind]
            scores.append(math.exp(sharp * near + 0.5 * rng.gauss(0, 1)))
        return [round(score / sum(scores), 4) for score in scores] + [0.0] * (T - t - 1)

    return [
        [[row(t, (i + j) % 5, 1 + 2 * i + j, 2.5 + rng.random() * 2) for t in range(T)] for j in range(heads)]
        for i in range(layers)
    ]


def attempt(text: str) -> tuple[list[str], str | None, bool]:
    """ "10-4=6:5 6 6, 6×5=30:6 30, 30-6=24 ✓ (10-4)×5-6" -> (steps, answer or None, is it right)."""
    steps, right, answer = re.split(" (✓|✗) ?", text)
    return steps.split(", "), answer or None, right == "✓"


def example(problem: str, first: str, searched: str) -> Data:
    greedy_steps, greedy_answer, greedy_ok = attempt(first)
    search_steps, search_answer, search_ok = attempt(searched)
    return {
        "problem": problem,
        "greedy_steps": greedy_steps,
        "greedy_answer": greedy_answer,
        "greedy_ok": greedy_ok,
        "search_steps": search_steps,
        "search_answer": search_answer,
        "search_ok": search_ok,
    }


def answers() -> list[Data]:
    """Single answers of a strategy, given beside expected."""
    shown = [
        ("17 × 24", "408", None, "17×24=17×20+17×", "cut off"),
        ("31 × 92", "2852", None, None, "cut off"),
        ("48 × 52", "2496", "=2 4 9 6", None, "malformed"),
        ("67 × 89", "5963", "5953", None, "near miss"),
        ("12 × 96", "1152", "1142", None, "near miss"),
        ("88 × 77", "6776", "616", None, "wrong"),
        ("12 × 12", "144", "144", None, None),
    ]
    counts = {"cut off": 2, "malformed": 1, "near miss": 12, "wrong": 1, "right": 184}
    keys = ("problem", "expected", "given", "ended", "kind")
    return [
        {"strategy": name, "counts": counts, "shown": [dict(zip(keys, answer, strict=True)) for answer in shown]}
        for name in ("mcts", "greedy")
    ]


SOLVED = "17 × 24\n17×24=17×20+17×4\n=340+68\n=408"
EXAMPLES = {
    "game24": [
        (
            "4 5 6 10",
            "10-4=6:5 6 6, 6×5=30:6 30, 30-6=24 ✓ (10-4)×5-6",
            "10-4=6:5 6 6, 6×5=30:6 30, 30-6=24 ✓ (10-4)×5-6",
        ),
        ("3 3 8 8", "8×3=24:3 8 24, 8-3=5:5 24, 24-5=19 ✗", "8÷3=8/3:3 8/3 8, 3-8/3=1/3:1/3 8, 8÷1/3=24 ✓ 8÷(3-8÷3)"),
        ("2 3 5 12", "12×2=24:3 5 24, 5-3=2:2 24, 24-2=22 ✗", "12-2=10:3 5 10, 10×5=50:3 50, 50-3=47 ✗"),
        (
            "1 5 5 5",
            "5×5=25:1 5 25, 25-5=20:1 20, 20+1=21 ✗",
            "1÷5=1/5:1/5 5 5, 5-1/5=24/5:24/5 5, 24/5×5=24 ✓ (5-1÷5)×5",
        ),
        ("1 4 5 6", "6-5=1:1 1 4, 4+1=5:1 5, 5+1=6 ✗", "5÷4=5/4:1 5/4 6, 5/4-1=1/4:1/4 6, 6÷1/4=24 ✓ 6÷(5÷4-1)"),
        ("2 4 4 6", "6×4=24:2 4 24, 4-2=2:2 24, 24-2=22 ✗", "4-2=2:2 4 6, 6×2=12:4 12, 12+4=16 ✗"),
    ],
    "multiplication": [
        ("67 × 89", "67×89=67×80+67×9, =5360+593, =5953 ✗ 5953", "67×89=67×80+67×9, =5360+603, =5963 ✓ 5963"),
        ("12 × 96", "12×96=12×90+12×6, =1080+72, =1152 ✓ 1152", "12×96=12×90+12×6, =1080+62, =1142 ✗ 1142"),
    ],
}


def aligned(rounds: int) -> Data:
    """A policy that learned from its own answers: reward, KL and length grow, and a task is solved more often."""

    def interval(estimate: float) -> Data:
        return {"estimate": estimate, "low": estimate - 0.03, "high": estimate + 0.03}

    gained = {"before": interval(0.62), "after": interval(0.71), "gain": interval(0.09)}
    return {
        "method": "GRPO",
        "reward": "checker",
        "rounds": [
            {"number": i, "reward": 0.6 + 0.01 * i, "kl": 0.05 * i, "entropy": 0.5, "length": 30.0 + i}
            for i in range(rounds)
        ],
        "tasks": {"game24": {"greedy": gained, "sampled": gained}},
        "samples": [{"step": i + 1, "text": f"4 5 6 10\n{i}"} for i in range(rounds)],
    }


def make_report_data(steps: int = 1400, layers: int = 4, heads: int = 5, text: str = SOLVED) -> Data:
    """The whole report; tests take a smaller one, of the same shape."""
    points = curve(steps, 3.3, 0.34, 1)
    evals = [
        {
            "step": step,
            "tokens": step * 16_384,
            "loss": 0.36 + 2.9 * math.exp(-step / 170),
            "accuracy": {
                "game24": 0.31 / (1 + math.exp(-(step - 800) / 130)),
                "multiplication": 0.93 / (1 + math.exp(-(step - 450) / 80)),
            },
        }
        for step in range(100, 1401, 100)
    ]
    written = [
        (1, "4 5 6 10\n7×÷9/:3 8=+\n=-4 ×20"),
        (100, "4 5 6 10\n5+4=4:1 6 10\n10-6=6:1 1"),
        (300, "4 5 6 10\n6-4=2:2 5 10\n10-5=6:2 6\n6×2=14"),
        (500, "4 5 6 10\n6-4=2:2 5 10\n10-5=5:2 5\n5×2=10"),
        (700, "4 5 6 10\n10-5=5:4 5 6\n6-5=1:1 4\n4×1=4"),
        (900, "4 5 6 10\n10-4=6:5 6 6\n6×5=30:6 30\n30+6=36"),
        (1100, "4 5 6 10\n10-4=6:5 6 6\n6×5=30:6 30\n30-6=24"),
        (1400, "4 5 6 10\n10-4=6:5 6 6\n6×5=30:6 30\n30-6=24"),
    ]
    rng = random.Random(4)
    bins = [0.04, 0.14, 0.26, 0.35, 0.46, 0.55, 0.64, 0.76, 0.86, 0.96]
    counts = [2140, 910, 512, 331, 260, 244, 270, 392, 810, 1890]
    calibration = [
        {"predicted": p, "observed": min(1, max(0, p - 0.09 * math.sin(3.1 * p) + rng.gauss(0, 0.015))), "count": c}
        for p, c in zip(bins, counts, strict=True)
    ]
    return {
        "run": {
            "name": "demo",
            "started": "2026-03-14T10:21:00",
            "seconds": 633.0,
            "seed": 7,
            "command": "clearhead run recipes/demo.toml --set run.seed=7",
            "versions": {"python": "3.12.9", "torch": "2.13.0", "clearhead": "0.1.0"},
            "machine": {"cpu": "Intel(R) Xeon(R) Platinum 8481C", "cores": 8, "memory": 16 * 2**30, "device": "cpu"},
            "recipe": {
                "run": {"name": "demo", "seed": 7},
                "model": {"preset": "small", "n_layers": 6, "d_model": 160},
                "train": {"steps": 1400, "lr": 0.003, "warmup": 50, "optimizer": "muon", "batch_tokens": 16_384},
                "search": {"simulations": [4, 8, 16, 32, 64], "temperature": 1.0, "exploration": None},
            },
            "stages": [
                {"name": "examples", "seconds": 4.2},
                {"name": "training", "seconds": 361.0},
                {"name": "step labels", "seconds": 74.0},
                {"name": "reward model", "seconds": 58.5},
                {"name": "evaluation", "seconds": 131.0},
                {"name": "report", "seconds": 0.9},
            ],
        },
        "model": {
            "parameters": 1_843_200,
            "flops_per_token": 11_300_000,
            "config": {
                "vocab": 27,
                "d_model": 160,
                "n_layers": 6,
                "n_heads": 5,
                "n_kv_heads": 5,
                "d_ff": 432,
                "max_positions": 128,
                "norm": "rms",
                "positions": "rotary",
                "mlp": "swiglu",
                "qk_norm": True,
                "tied": False,
                "rope_theta": 10_000.0,
            },
            "alphabet": [*"\n 0123456789+-×÷=:/", "<end>", "<pad>"],
            "training_tokens": 1400 * 16_384,
            "training_seconds": 361.0,
            "tokens_per_second": 63_500.0,
        },
        "tasks": [
            {
                "name": "game24",
                "title": "Game of 24",
                "noun": "hard Game of 24 puzzles",
                "statement": "Make 24 from four numbers, using each once, with + − × and ÷.",
                "train_examples": 1_020,
                "test_problems": 200,
                "example_problem": "4 5 6 10",
                "example_solution": ["10-4=6:5 6 6", "6×5=30:6 30", "30-6=24"],
            },
            {
                "name": "multiplication",
                "title": "Multiplication",
                "noun": "products of two-digit numbers",
                "statement": "Multiply two numbers of up to two digits, in writing.",
                "train_examples": 8_000,
                "test_problems": 400,
                "example_problem": "17 × 24",
                "example_solution": ["17×24=17×20+17×4", "=340+68", "=408"],
            },
        ],
        "preflight": {
            "tasks": {
                "game24": {"rows in the file": 1_362, "rows used": 1_360, "longest problem": 11, "with steps": "all"},
                "multiplication": {"problems to train on": 8_000, "longest problem": 7, "times each is seen": 9.5},
            },
            "run": {"context": 128, "tokens of a row": 256},
            "seconds": 570,
            "warnings": ["search.step_tokens = 8 is below the longest step, 12, and will cut such solutions off"],
            "intake": ["game24: 1,362 rows, 1,360 used: all with steps", "game24: 2 exact duplicates merged"],
        },
        "rows_curve": {
            "points": [
                {"rows": 2_000, "accuracy": 0.42, "low": 0.37, "high": 0.47},
                {"rows": 4_000, "accuracy": 0.71, "low": 0.66, "high": 0.75},
                {"rows": 8_000, "accuracy": 0.93, "low": 0.9, "high": 0.95},
            ],
        },
        "training": {"curve": points, "evals": evals, "samples": [{"step": s, "text": t} for s, t in written]},
        "reward": {
            "curve": [{k: v for k, v in p.items() if k != "lr"} for p in curve(steps, 0.69, 0.31, 2)],
            "evals": [
                {"step": step, "tokens": step * 16_384, "loss": loss}
                for step, loss in ((steps // 4, 0.42), (steps // 2, 0.4), (steps, 0.61))
            ],
            "labels": {
                "count": 7_759,
                "positive": 0.437,
                "cut": 12,
                "drawn": 9_000,
                "limits": [{"setting": "rollouts.max_tokens", "value": 96}],
            },
            "quality": {
                "game24": {
                    "within": {
                        "pairs": 1_204,
                        "right_first": 0.881,
                        "low": 0.853,
                        "high": 0.906,
                        "by_depth": [
                            {"depth": 1, "right_first": 0.702, "pairs": 1_204},
                            {"depth": 2, "right_first": 0.837, "pairs": 1_198},
                            {"depth": 3, "right_first": 0.968, "pairs": 1_150},
                        ],
                    },
                    "auc_process": 0.884,
                    "auc_outcome": 0.917,
                    "label_auc": 0.931,
                    "brier": 0.131,
                    "calibration": calibration,
                    "first_error": {"accuracy": 0.642, "n": 380},
                    "by_depth": [
                        {"depth": 1, "auc": 0.731, "n": 2_600},
                        {"depth": 2, "auc": 0.874, "n": 2_580},
                        {"depth": 3, "auc": 0.968, "n": 2_579},
                    ],
                }
            },
        },
        "evaluation": {
            "game24": {
                "problems": 200,
                "seeds": 3,
                "first": "greedy",
                "search": "mcts",
                "strategies": strategies(0.31, 0.61, 33.0, 3),
                "auto": {
                    "choices": [
                        {"budget": 600, "strategy": "mcts", "accuracy": 0.874, "low": 0.81, "high": 0.92},
                    ],
                    "reward_model_helps": True,
                    "why": "the reward model ranks 88% of pairs right on held-out problems",
                },
                "comparison": {
                    "a": "mcts",
                    "b": "vote",
                    "tokens_a": 2_270,
                    "tokens_b": 2_112,
                    "difference": 0.315,
                    "low": 0.243,
                    "high": 0.387,
                },
                "engine": {"computed": 1_204_331, "unique": 1_204_331, "reused": 5_418_020},
            },
            "multiplication": {
                "problems": 400,
                "seeds": 3,
                "strategies": strategies(0.93, 0.06, 24.0, 5, n=400),
                "answers": answers(),
                "comparison": {
                    "a": "mcts",
                    "b": "vote",
                    "tokens_a": 1_660,
                    "tokens_b": 1_536,
                    "difference": 0.008,
                    "low": -0.011,
                    "high": 0.027,
                },
                "engine": {"computed": 804_118, "unique": 804_118, "reused": 2_950_400},
            },
        },
        "alignment": aligned(12),
        "in_context": {"curve": points, "evals": evals},
        "in_context_align": {key: value for key, value in aligned(6).items() if key != "tasks"},
        "trees": [product_tree(), number_tree("1 5 5 5", 11)],
        "examples": {task: [example(*texts) for texts in shown] for task, shown in EXAMPLES.items()},
        "attention": {
            "title": "17 × 24, solved",
            "tokens": list(text),
            "layers": attention_maps(text, layers, heads, 6),
        },
    }


MADE = json.loads(json.dumps(make_report_data(30, 2, 2, "7 × 8\n=56")))  # as it comes out of a file


@pytest.fixture
def report_data() -> Data:
    """A fresh copy, free to be bent."""
    return copy.deepcopy(MADE)


if __name__ == "__main__":
    write(make_report_data(), Path(sys.argv[1]))
