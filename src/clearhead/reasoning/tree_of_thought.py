"""Tree of thoughts (Yao et al. 2023): deliberate search in which the model itself, or a reward model, scores thoughts.

Its breadth-first form is a beam that ranks states by the newest value alone, so that is what runs. What is
deliberately not here: the prompts that let a model propose and scorer; they are the problem's `propose` and `value`.
"""

import numpy as np

from clearhead.reasoning import beam
from clearhead.reasoning.lockstep import Choose, Result, Run, SearchProblem, best_done
from clearhead.reasoning.tree import ROOT
from clearhead.reasoning.votes import last


def breadth_first(problem: SearchProblem, *, keep: int, depth: int, choose: Choose = best_done) -> Result:
    """ToT-BFS (algorithm 1): all proposals of a level compete, the `keep` best states (their b) go on."""
    return beam.search(problem, width=keep, depth=depth, aggregate=last, choose=choose)


def depth_first(
    problem: SearchProblem, *, threshold: float, depth: int, solutions: int | None = None, choose: Choose = best_done
) -> Result:
    """ToT-DFS (algorithm 2): follow the best child; a child whose value is not above the threshold is pruned.

    A root ends when `solutions` are finished (None: never for that reason), its budget is spent, or nothing is left.
    """
    run = Run(problem, last, choose)
    stacks = [[ROOT] if leaves else [] for leaves in run.tree.open[:, ROOT].tolist()]
    while True:
        rows = [row for row, stack in enumerate(stacks) if stack and run.affordable(row, 1)]
        rows = [row for row in rows if solutions is None or run.tree.done[row].sum() < solutions]
        if not rows:
            return run.result()
        at, nodes = np.array(rows), np.array([stacks[row].pop() for row in rows])
        run.expand(at, nodes)
        run.backup(at, nodes)
        for row, node in zip(rows, nodes.tolist(), strict=True):
            tree = run.tree
            values = {
                child: tree.raw_value[row, child] for child in tree.children(row, node) if not tree.done[row, child]
            }
            if tree.depth[row, node] + 1 < depth:
                kept = [child for child in values if values[child] > threshold]
                stacks[row] += sorted(kept, key=lambda child: (values[child], -child))  # the best on top
