"""The local engine: a `LanguageModel` served from one decoder and the trie of everything it has read and written.

Deliberately not here: how a position is computed (cache.py), how a token is drawn (sampling.py), and scheduling:
all rows of a call advance together, a token at a time, and rows that agree so far are one row to the decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from torch import Tensor

from clearhead.errors import UserError
from clearhead.generation.cache import KVCache, frozen_copy
from clearhead.generation.language_model import Continuation, SampleConfig, Usage
from clearhead.generation.ledger import Ledger
from clearhead.generation.nodes import Nodes, Place
from clearhead.generation.sampling import Token, apply_filters, cumulative, described, draw, uniforms
from clearhead.generation.stopping import StopRule
from clearhead.generation.streaming import decoder_after
from clearhead.generation.trie import ROOT, SlotFlags, TokenTrie
from clearhead.models.decoder import Decoder
from clearhead.text.protocol import Tokenizer

DRAWN_AT_ONCE = 1 << 24  # cumulative probabilities in memory while rows draw
SEED_BITS = (1 << 64) - 1


@dataclass
class _Rows:
    """The samples of one call, one entry each."""

    at: Int[np.ndarray, "N"]  # slot of the last token
    tree: Int[np.ndarray, "N"]
    seed: UInt64[np.ndarray, "N"]
    sample: Int[np.ndarray, "N"]
    tokens: Int[np.ndarray, "N T"]
    count: Int[np.ndarray, "N"]
    logprob: Float[np.ndarray, "N"]
    done: Bool[np.ndarray, "N"]
    stopped: Bool[np.ndarray, "N"]


class LocalEngine:
    """The texts of one decoder, frozen as it is now. Equal samples are one node, and nothing is read twice.

    A token's uniform number comes from the seed, the sample's index and the token's position in the text, so a text
    that is sampled in several steps with one seed is the text that it would have been in one.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype | None = None,
        max_batch_tokens: int = 4096,
    ) -> None:
        config = decoder.config
        if tokenizer.vocab_size > config.vocab:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} tokens but the model only {config.vocab}; "
                "take both from the same run"
            )
        self.tokenizer = tokenizer
        self.max_positions = config.max_positions
        self.trie = TokenTrie(config.vocab)
        self.cache = KVCache(frozen_copy(decoder, dtype), self.trie, max_batch_tokens)
        self._nodes = Nodes(self.trie)
        self._ledger = Ledger()
        self._generated = SlotFlags(self.trie)  # tokens that were sampled, not only read
        self._rules: dict[str | tuple[str, ...] | None, StopRule] = {}
        self.never = textless(tokenizer, config.vocab).to(self.cache.device)

    def fits(self, prompt: str) -> bool:
        """Does the context hold the prompt and a token more?"""
        return len(self.tokenizer.encode(prompt)) < self.max_positions

    def open(self, prompts: Sequence[str]) -> list[int]:
        """One node for each prompt, each the root of a tree of its own. Nothing is computed before it is needed."""
        return self.open_tokens([self.tokenizer.encode(prompt) for prompt in prompts])

    def open_tokens(self, texts: Sequence[Sequence[int]]) -> list[int]:
        """The same for prompts that are tokens already."""
        for text in texts:
            if not len(text):
                raise UserError("an empty prompt has nothing to continue; give at least one character")
            if len(text) > self.max_positions:
                self._check_length(self.tokenizer.decode(text[-40:]), len(text))
        slots = self.trie.insert(np.full(len(texts), ROOT), texts)
        return self._nodes.give(slots.tolist(), [self._ledger.open() for _ in texts])

    def fork(self, node: int) -> int:
        (place,) = self._nodes.find([node])
        return self._nodes.give([place.slot], [place.tree])[0]

    def release(self, nodes: Sequence[int]) -> None:
        for tree in self._nodes.take(nodes):
            self._ledger.close(tree)

    def close(self, nodes: Sequence[int]) -> None:
        """Release every reference to every node of the opened prompts that these nodes grew from."""
        self.release(self._nodes.of_trees({place.tree for place in self._nodes.find(nodes)}))

    def usage(self, node: int | None = None) -> Usage:
        return self._ledger.total if node is None else self._ledger.usage(self._nodes.find([node])[0].tree)

    def slots(self, nodes: Sequence[int]) -> Int[np.ndarray, "N"]:
        """Where the nodes lie in `trie`, for another model that reads the same texts."""
        return np.array([place.slot for place in self._nodes.find(nodes)], np.int32)

    def at_slots(self, slots: Sequence[int], node: int) -> list[int]:
        """New references to places in `trie`, in the tree that `node` is in; to be released like all others."""
        (place,) = self._nodes.find([node])
        return self._nodes.give(slots, [place.tree] * len(slots))

    def tokens(self, node: int) -> list[int]:
        """The whole text of a node, prompt included."""
        return self.trie.tokens(int(self.slots([node])[0])).tolist()

    @torch.inference_mode()
    def described(self, node: int, count: int, show: int) -> list[Token]:
        """The last `count` tokens of a node's text, with their probabilities and the `show` likeliest in each place."""
        tokens, (slot,) = self.tokens(node), self.slots([node])
        before = self.trie.paths[slot, len(tokens) - count - 1 : len(tokens) - 1]
        return [described(*row, show) for row in zip(self._logits(before), tokens[len(tokens) - count :], strict=True)]

    @torch.inference_mode()
    def extend(
        self,
        nodes: Sequence[int],
        n: int,
        sampling: SampleConfig,
        seeds: Sequence[int],
        stop: str | tuple[str, ...] | None = "\n",
    ) -> list[list[Continuation]]:
        """n samples for each node, in order; several stop strings may be given."""
        rows, rule = self._rows(nodes, n, sampling, seeds), self._stop_rule(stop)
        try:
            for step in range(sampling.max_tokens):
                going = ~(rows.done | rows.stopped) & (self.trie.depth[rows.at] + 1 < self.max_positions)
                active = np.flatnonzero(going)
                if not len(active):
                    break
                self._advance(rows, active, sampling, reads_prefix=step == 0)
                self._mark_stopped(rows, active, rule)
            given = self._nodes.give(rows.at.tolist(), rows.tree.tolist())
        except BaseException:
            self.trie.hold(rows.at)  # let go of what was written so far
            self.trie.release(rows.at)
            raise
        written = [self._continuation(rows, i, node, rule) for i, node in enumerate(given)]
        return [written[i : i + n] for i in range(0, len(written), n)]

    def generate(
        self, prompts: Sequence[str], sampling: SampleConfig, n: int, seeds: Sequence[int]
    ) -> list[list[Continuation]]:
        """n whole texts for each prompt; their nodes are released already."""
        roots = self.open(prompts)
        try:
            return self.extend(roots, n, sampling, seeds, stop=None)
        finally:
            self.close(roots)

    @torch.inference_mode()
    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        places, tokens = self._unfinished(nodes), [self.tokenizer.encode(text) for text in texts]
        at = np.array([place.slot for place in places], np.int32)
        tree = np.array([place.tree for place in places], np.int64)
        before = self.trie.depth[at] + 1
        for text, ids, length in zip(texts, tokens, before.tolist(), strict=True):
            self._check_length(text, length + len(ids))
        ends = self.trie.insert(at, [ids[:-1] for ids in tokens])  # the last token is predicted, not read
        self.trie.hold(ends)
        try:
            computed = self.cache.compute(ends)
            self._ledger.add(tree, reused=self.trie.depth[ends] + 1)
            self._ledger.add(tree[computed.by], computed=1, unique=computed.unique, reused=-1)
            return [
                self._log_likelihood(self.trie.paths[end, first - 1 : first - 1 + len(ids)], ids)
                for end, first, ids in zip(ends, before, tokens, strict=True)
            ]
        finally:
            self.trie.release(ends)

    def _log_likelihood(self, slots: Int[np.ndarray, "T"], tokens: Sequence[int]) -> float:
        """Sum of log p(tokens[i] | text that ends at slots[i])."""
        log_p = self._logits(slots).log_softmax(-1)
        return log_p[range(len(tokens)), list(tokens)].double().sum().item()

    def _unfinished(self, nodes: Sequence[int]) -> list[Place]:
        places = self._nodes.find(nodes)
        for node, place in zip(nodes, places, strict=True):
            if place.slot != ROOT and int(self.trie.token[place.slot]) in self.tokenizer.end_ids:
                raise UserError(f"the text of node {node} has ended; only a continuation that is not done can go on")
        return places

    def _rows(self, nodes: Sequence[int], n: int, sampling: SampleConfig, seeds: Sequence[int]) -> _Rows:
        places = self._unfinished(nodes)
        if n < 1:
            raise UserError(f"n = {n} samples cannot be drawn; n must be at least 1")
        if len(seeds) != len(nodes):
            raise UserError(f"{len(nodes)} nodes need as many seeds, not {len(seeds)}")
        N = len(nodes) * n
        return _Rows(
            at=np.repeat(np.array([place.slot for place in places], np.int32), n),
            tree=np.repeat(np.array([place.tree for place in places], np.int64), n),
            seed=np.repeat(np.array([seed & SEED_BITS for seed in seeds], np.uint64), n),
            sample=np.tile(np.arange(n), len(nodes)),
            tokens=np.zeros((N, min(sampling.max_tokens, self.max_positions)), np.int32),
            count=np.zeros(N, np.int64),
            logprob=np.zeros(N),
            done=np.zeros(N, bool),
            stopped=np.zeros(N, bool),
        )

    def _advance(self, rows: _Rows, active: Int[np.ndarray, "M"], sampling: SampleConfig, reads_prefix: bool) -> None:
        """Draw the next token of the active rows."""
        at, tree = rows.at[active], rows.tree[active]
        slots, first, inverse = np.unique(at, return_index=True, return_inverse=True)
        computed = self.cache.compute(slots)
        payer = tree[first][computed.by]
        self._ledger.add(payer, computed=1, unique=computed.unique)
        if reads_prefix:
            self._ledger.add(tree, reused=self.trie.depth[at] + 1)
            self._ledger.add(payer, reused=-1)

        logits = self._logits(slots)
        u = uniforms(rows.seed[active], rows.sample[active], self.trie.depth[at] + 1)
        seen = self._seen(slots) if sampling.repetition_penalty != 1 else None
        token = self._draw(logits, inverse, u, sampling, seen)
        rows.logprob[active] += logits.log_softmax(-1).cpu().numpy()[inverse, token]
        rows.tokens[active, rows.count[active]] = token
        rows.count[active] += 1
        rows.done[active] = np.isin(token, list(self.tokenizer.end_ids))
        rows.at[active] = self.trie.children(at, token)

        reached, first = np.unique(rows.at[active], return_index=True)
        new = ~self._generated[reached]
        self._generated.set(reached)
        self._ledger.add(tree, reused=1)
        self._ledger.add(tree[first[new]], generated=1, reused=-1)

    def _logits(self, slots: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        logits = self.cache.logits(slots)
        if not logits.isfinite().all():
            raise UserError(
                "the model's logits are not finite numbers: its weights are broken; load an earlier checkpoint"
            )
        return logits

    def _draw(
        self,
        logits: Float[Tensor, "N V"],
        row_of: Int[np.ndarray, "M"],
        u: Float[np.ndarray, "M"],
        sampling: SampleConfig,
        seen: Bool[Tensor, "N V"] | None,
    ) -> Int[np.ndarray, "M"]:
        """A token for each row from its row of logits, never one that stands for no text."""
        cdf = cumulative(apply_filters(logits.masked_fill(self.never, float("-inf")), sampling, seen))
        index, u_on = torch.from_numpy(row_of).to(cdf.device), torch.from_numpy(u).to(cdf.device)
        n = max(1, DRAWN_AT_ONCE // cdf.shape[1])
        drawn = [draw(cdf[i], numbers) for i, numbers in zip(index.split(n), u_on.split(n), strict=True)]
        return torch.cat(drawn).cpu().numpy()

    def _seen(self, slots: Int[np.ndarray, "N"]) -> Bool[Tensor, "N V"]:
        """The tokens of the text that ends at each slot."""
        seen = np.zeros((len(slots), self.trie.vocab), bool)
        for row, slot in zip(seen, slots.tolist(), strict=True):
            row[self.trie.tokens(slot)] = True
        return torch.from_numpy(seen).to(self.cache.device)

    def _mark_stopped(self, rows: _Rows, active: Int[np.ndarray, "M"], rule: StopRule) -> None:
        last = rows.tokens[active, rows.count[active] - 1]
        for i in active[rule.may_complete(last)].tolist():
            rows.stopped[i] = rule.find(self._text(rows, i)) is not None

    def _continuation(self, rows: _Rows, i: int, node: int, rule: StopRule) -> Continuation:
        text, done, stopped = self._text(rows, i), bool(rows.done[i]), bool(rows.stopped[i])
        return Continuation(
            node=node,
            text=text[: rule.find(text)] if stopped else text,
            logprob=float(rows.logprob[i]),
            tokens=int(rows.count[i]),
            done=done,
            truncated=not (done or stopped),
        )

    def _text(self, rows: _Rows, i: int) -> str:
        """What row i has written, without the end token."""
        return decoder_after(self.tokenizer)(rows.tokens[i, : rows.count[i] - rows.done[i]].tolist())

    def _stop_rule(self, stop: str | tuple[str, ...] | None) -> StopRule:
        if stop not in self._rules:
            self._rules[stop] = StopRule(self.tokenizer, stop)
        return self._rules[stop]

    def _check_length(self, text: str, length: int) -> None:
        if length > self.max_positions:
            raise UserError(
                f"the text that ends in {text[-40:]!r} is {length} tokens long, but the model's context is "
                f"{self.max_positions}; shorten it, or train with a larger max_positions"
            )


def textless(tokenizer: Tokenizer, vocab: int) -> Bool[Tensor, "V"]:
    """The ids that are never drawn: padding, unless it is also what ends a text, and those beyond the tokenizer's."""
    never = torch.arange(vocab) >= tokenizer.vocab_size
    if tokenizer.pad_id is not None and tokenizer.pad_id not in tokenizer.end_ids:
        never[tokenizer.pad_id] = True
    return never
