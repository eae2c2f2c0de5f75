"""Beam search over tokens: the likeliest texts and not samples, along the engine's trie, so nothing is computed twice.

Deliberately not here: beam search over steps of reasoning, which a reward model guides (reasoning/beam.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from clearhead.errors import UserError
from clearhead.generation.engine import LocalEngine
from clearhead.generation.stopping import StopRule
from clearhead.generation.streaming import decoder_after


class Hypothesis(NamedTuple):
    """A text that ended or reached the limit: its node, how many tokens it has, log p, and log p / length_penalty."""

    node: int
    tokens: int
    log_p: float
    score: float
    ended: bool  # by its end or by a stop string


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6)^α, by which log p is divided: longer texts have a lower one. Wu et al. 2016, equation 14.

    >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
    (1.0, 2.0)
    """
    return ((5 + length) / 6) ** alpha


@torch.inference_mode()
def beam_search(
    engine: LocalEngine, node: int, beams: int, limit: int, alpha: float = 0.0, stop: Sequence[str] = ()
) -> list[Hypothesis]:
    """Up to `beams` texts after a node, best score first: the `beams` likeliest beginnings of every length are kept.

    Those that end leave the beam, and the next ones move up. The search is over when no beginning can beat the texts
    that ended: log p only falls, and no penalty divides it by more than the one at the limit. The nodes are the
    caller's to release. Sutskever et al. 2014, section 3.2.
    """
    if beams < 1 or limit < 1 or not 0 <= alpha < float("inf"):
        raise UserError(f"beams = {beams} and limit = {limit} must be at least 1, length penalty = {alpha} at least 0")
    rule, trie = StopRule(engine.tokenizer, stop), engine.trie
    (root,) = engine.slots([node])
    start = int(trie.depth[root]) + 1
    limit = min(limit, engine.max_positions - start)
    at, log_p = np.array([root], np.int32), np.zeros(1)
    trie.hold(at)
    found: list[Hypothesis] = []
    try:
        for length in range(1, limit + 1):
            parents, tokens, grown = best(engine, at, log_p, beams)
            children = trie.children(at[parents], tokens)
            trie.hold(children)
            trie.release(at)
            at, log_p = children, grown
            over = np.array([_over(engine, rule, slot, start) for slot in at.tolist()], bool)
            leaves = over | (length == limit)
            for i in np.flatnonzero(leaves).tolist():
                score = float(log_p[i]) / length_penalty(length, alpha)
                (left,) = engine.at_slots([int(at[i])], node)
                found.append(Hypothesis(left, length, float(log_p[i]), score, bool(over[i])))
            trie.release(at[leaves])
            at, log_p = at[~leaves], log_p[~leaves]
            found.sort(key=lambda hypothesis: -hypothesis.score)
            engine.release([hypothesis.node for hypothesis in found[beams:]])
            del found[beams:]
            hope = log_p.max(initial=-np.inf) / length_penalty(limit, alpha)
            if not len(at) or (len(found) == beams and found[-1].score >= hope):
                break
    except BaseException:
        engine.release([hypothesis.node for hypothesis in found])
        raise
    finally:
        trie.release(at)
    return found


def best(
    engine: LocalEngine, at: Int[np.ndarray, "N"], log_p: Float[np.ndarray, "N"], count: int
) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """The likeliest texts that are one token longer: which text each grew from, by which token, and its log p."""
    logits = engine.cache.logits(at)
    if not logits.isfinite().all():
        raise UserError("the model's logits are not finite numbers: its weights are broken; load others")
    steps = logits.double().log_softmax(-1).masked_fill(engine.never, float("-inf"))
    total = (torch.from_numpy(log_p).to(steps.device)[:, None] + steps).flatten()
    values, index = total.topk(min(count, int(total.isfinite().sum())))
    index = index.cpu()
    parents, tokens = index // logits.shape[1], (index % logits.shape[1]).int()
    return parents.numpy(), tokens.numpy(), values.cpu().numpy()


def _over(engine: LocalEngine, rule: StopRule, slot: int, start: int) -> bool:
    """Whether a text has its end or a stop string."""
    last = engine.trie.token[slot]
    if int(last) in engine.tokenizer.end_ids:
        return True
    if not rule.may_complete(np.array([last]))[0]:
        return False
    return rule.find(decoder_after(engine.tokenizer)(engine.trie.tokens(slot)[start:].tolist())) is not None
