"""The local engine: a `LanguageModel` whose texts lie in one trie, so that search computes every beginning once.

Deliberately not here: the loop that draws tokens (engine.py); this opens prompts, and says what grew from them.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int

from clearhead.errors import UserError
from clearhead.generation import calls
from clearhead.generation.backend import in_halves
from clearhead.generation.calls import Calls, Row
from clearhead.generation.engine import Engine, finite
from clearhead.generation.language_model import Constraint, Continuation, SamplingParams
from clearhead.generation.nodes import NodeRef, Opened
from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason
from clearhead.generation.trie import ROOT
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder
from clearhead.text.begin import prompt_tokens
from clearhead.text.protocol import Tokenizer


class LocalEngine(Opened):
    """The texts of one decoder, frozen as it is now. Equal samples are one node, and nothing is read twice."""

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype | None = None,
        kv_memory: int | None = None,
        max_batch_tokens: int = 4096,
        tools: Calls | None = None,
    ) -> None:
        self.tokenizer, self.calls = tokenizer, tools
        self.max_positions = decoder.config.max_positions
        self.backend = TrieBackend(decoder, dtype, kv_memory, max_batch_tokens)
        self.engine = Engine(self.backend, tokenizer)
        self.trie, self.cache = self.backend.trie, self.backend.cache
        super().__init__(self.trie, self.engine.usage)

    def fits(self, prompt: str) -> bool:
        """Does the context hold the prompt and a token more?"""
        return len(prompt_tokens(self.tokenizer, prompt)) < self.max_positions

    def open(self, prompts: Sequence[str]) -> list[int]:
        """One node for each prompt, each the root of a tree of its own. Nothing is computed before it is needed."""
        return self.open_tokens([prompt_tokens(self.tokenizer, prompt) for prompt in prompts])

    def open_tokens(self, texts: Sequence[Sequence[int]]) -> list[int]:
        """The same for prompts that are tokens already."""
        for text in texts:
            if not len(text):
                raise UserError("an empty prompt has nothing to continue; give at least one character")
            if len(text) > self.max_positions:
                self._check_length(self.tokenizer.decode(text[-40:]), len(text))
        self.backend.need(sum(map(len, texts)))
        slots = self.trie.insert(np.full(len(texts), ROOT), texts)
        return self._nodes.acquire(slots.tolist(), [self._usage.open() for _ in texts])

    def slots(self, nodes: Sequence[int]) -> Int[np.ndarray, "N"]:
        """Where the nodes lie in `trie`, for another model that reads the same texts."""
        return np.array([ref.slot for ref in self._nodes.find(nodes)], np.int32)

    def tokens(self, node: int) -> list[int]:
        """The whole text of a node, prompt included."""
        return self.trie.tokens(int(self.slots([node])[0])).tolist()

    def extend(
        self,
        nodes: Sequence[int],
        n: int,
        sampling: SamplingParams,
        seeds: Sequence[int],
        stop: str | tuple[str, ...] | None = "\n",
        constraint: Constraint | None = None,
    ) -> list[list[Continuation]]:
        """n samples for each node, in order; several stop strings may be given.

        With one seed, a text that is sampled in several steps is the text that it would have been in one.
        """
        stops = () if stop is None else (stop,) if isinstance(stop, str) else stop
        if n < 1:
            raise UserError(f"n = {n} samples cannot be drawn; n must be at least 1")
        if len(seeds) != len(nodes):
            raise UserError(f"{len(nodes)} nodes need as many seeds, not {len(seeds)}")
        rows = [Row(node, sampling, seed) for node, seed in zip(nodes, seeds, strict=True)]
        if self.calls is None or constraint is not None:
            return self.draw(rows, n, stops, constraint)
        return calls.extend(self, self.calls, rows, n, stops)

    def draw(
        self, rows: Sequence[Row], n: int, stops: tuple[str, ...], constraint: Constraint | None = None
    ) -> list[list[Continuation]]:
        """n samples of each row, without tools."""
        refs = self._unfinished([row.node for row in rows])
        entry_of: dict[int, int] = {}
        drawn: defaultdict[tuple[int, int], list[Token]] = defaultdict(list)
        texts: dict[tuple[int, int], Continuation] = {}
        try:
            for entry, (ref, row) in enumerate(zip(refs, rows, strict=True)):
                ids = self.trie.tokens(ref.slot).tolist()
                if len(ids) < self.max_positions:
                    request = Request(ids, row.sampling, row.seed, stops, n, constraint=constraint)
                    entry_of[self.engine.add(request, at=ref.slot, account=ref.tree)] = entry
                else:
                    for sample in range(n):
                        texts[entry, sample] = self._continuation(ref, ref.slot, [], "context", stops)
            while self.engine.unfinished:
                for event in self.engine.step():
                    key = entry_of[event.request], event.sample
                    drawn[key].append(event.token)
                    if event.finish is not None:
                        ref = refs[key[0]]
                        texts[key] = self._continuation(ref, event.seq, drawn.pop(key), event.finish, stops)
        except BaseException:
            for request_id in entry_of:
                self.engine.cancel(request_id)
            self.release([text.node for text in texts.values()])
            raise
        finally:
            self.engine.flush()
            self.backend.forget()  # what nobody refers to is gone, whoever else writes like that
        return [[texts[entry, sample] for sample in range(n)] for entry in range(len(rows))]

    def append(self, node: int, text: str) -> tuple[int, int] | None:
        """The node behind a text that goes on the node's, and its tokens; None where the context has no room for it."""
        (ref,) = self._unfinished([node])
        ids = self.tokenizer.encode_after(text)
        if int(self.trie.depth[ref.slot]) + 1 + len(ids) > self.max_positions:
            return None
        self.backend.need(len(ids))
        (slot,) = self.trie.insert(np.array([ref.slot], np.int32), [ids]).tolist()
        return self._nodes.acquire([slot], [ref.tree])[0], len(ids)

    def written(self, node: int) -> str:
        """The whole text of a node, prompt included."""
        return self.tokenizer.decode(self.tokens(node))

    def generate(
        self, prompts: Sequence[str], sampling: SamplingParams, n: int, seeds: Sequence[int]
    ) -> list[list[Continuation]]:
        """n whole texts for each prompt; their nodes are released already."""

        def written(some: Sequence[tuple[str, int]]) -> list[list[Continuation]]:
            roots = self.open([prompt for prompt, _ in some])
            try:
                return self.extend(roots, n, sampling, [seed for _, seed in some], stop=None)
            finally:
                self.close(roots)

        return in_halves(written, list(zip(prompts, seeds, strict=True)))

    @torch.inference_mode()
    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        refs, tokens = self._unfinished(nodes), [self.tokenizer.encode_after(text) for text in texts]
        at = np.array([ref.slot for ref in refs], np.int32)
        tree = np.array([ref.tree for ref in refs], np.int64)
        before = self.trie.depth[at] + 1
        for text, ids, length in zip(texts, tokens, before.tolist(), strict=True):
            self._check_length(text, length + len(ids))
        self.backend.need(sum(map(len, tokens)))
        ends = self.trie.insert(at, [ids[:-1] for ids in tokens])  # the last token is predicted, not read
        self.trie.acquire(ends)
        try:
            computed = self.cache.compute(ends)
            self._usage.add(tree, reused=self.trie.depth[ends] + 1)
            self._usage.add(tree[computed.by], computed=1, unique=computed.unique, reused=-1)
            return [
                self._log_likelihood(self.trie.paths[end, first - 1 : first - 1 + len(ids)], ids)
                for end, first, ids in zip(ends, before, tokens, strict=True)
            ]
        finally:
            self.trie.release(ends)

    def _log_likelihood(self, slots: Int[np.ndarray, "T"], tokens: Sequence[int]) -> float:
        """Sum of log p(tokens[i] | text that ends at slots[i])."""
        log_p = finite(self.cache.logits(slots)).log_softmax(-1)
        return log_p[range(len(tokens)), list(tokens)].double().sum().item()

    def _unfinished(self, nodes: Sequence[int]) -> list[NodeRef]:
        refs = self._nodes.find(nodes)
        for node, ref in zip(nodes, refs, strict=True):
            if ref.slot != ROOT and int(self.trie.token[ref.slot]) in self.tokenizer.end_ids:
                raise UserError(f"the text of node {node} has ended; only a continuation that is not done can go on")
        return refs

    def _continuation(
        self, root: NodeRef, slot: int, tokens: Sequence[Token], finish: FinishReason, stop: tuple[str, ...]
    ) -> Continuation:
        ids = [token.id for token in tokens]
        return Continuation(
            node=self._nodes.acquire([slot], [root.tree])[0],
            text=self.engine.text(ids, finish, stop),
            logprob=sum(token.logprob for token in tokens),
            tokens=len(ids),
            done=finish == "end",
            truncated=finish in ("tokens", "context"),
        )

    def _check_length(self, text: str, length: int) -> None:
        if length > self.max_positions:
            raise UserError(
                f"the text that ends in {text[-40:]!r} is {length} tokens long, but the model's context is "
                f"{self.max_positions}; shorten it, or train with a larger max_positions"
            )
