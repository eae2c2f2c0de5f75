"""The engine: requests come and go at any step, and at every step each of their samples becomes one token longer.

This is the only loop that draws tokens. Deliberately not here: how logits are computed (backends), how a token is drawn
from them (sampling.py), how beams are chosen (beam.py), and text (text_stream.py).
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.errors import UserError
from clearhead.generation.backend import SETTING, Backend, Computed, NoRoom
from clearhead.generation.beam import (
    Candidates,
    Hypothesis,
    best,
    candidates,
    coverage_penalty,
    hypothesis,
    is_over,
)
from clearhead.generation.constraint import Grammar, Unfollowable, masks
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.encoder_decoder import EncoderDecoderBackend
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.recurrent import RecurrentBackend
from clearhead.generation.request import Bias, Request, RequestGroup, Sample, TokenEvent
from clearhead.generation.sampling import (
    Token,
    apply_bias,
    apply_filters,
    cumulative,
    draw,
    uniforms,
    with_logprob,
    with_logprobs,
)
from clearhead.generation.speculation import Draft, Lookup
from clearhead.generation.stopping import FinishReason, StopRule
from clearhead.generation.streaming import decoder_after
from clearhead.generation.trie_backend import TrieBackend
from clearhead.generation.usage import UsageCounter
from clearhead.models.decoder import Decoder
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.recurrent import Recurrent
from clearhead.models.seq2seq import Seq2Seq
from clearhead.models.step import has_kernel
from clearhead.models.translator import attends
from clearhead.text.protocol import Tokenizer

AT_ONCE = 1 << 24  # logits in memory while rows draw
CACHED = 1 << 18  # logits that stay in a core's cache with all that filters make of them
GRAMMARS, RULES = 256, 256  # that are remembered
SEED_BITS = (1 << 64) - 1


class Engine:
    """Requests over one backend. A sample depends on prompt, parameters, seed and index alone, never on its company.

    Its uniform numbers come from the seed, the sample's index and the token's position in the text. Samples that agree
    so far are one row to the model.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer) -> None:
        if tokenizer.vocab_size > backend.vocab:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} tokens but the model only {backend.vocab}; "
                "take both from the same run"
            )
        self.backend, self.tokenizer = backend, tokenizer
        self.usage = UsageCounter()
        self.banned = banned_tokens(tokenizer, backend.vocab).to(backend.device)
        self._account = self.usage.open()
        self._waiting: deque[RequestGroup] = deque()
        self._running: dict[int, RequestGroup] = {}
        self._ended: list[int] = []  # sequences of the samples that ended in the last step
        self._grammars: dict[Constraint, Grammar] = {}
        self._rules: dict[tuple[str, ...], StopRule] = {}
        self._added = 0

    @property
    def unfinished(self) -> int:
        """Requests that wait or run."""
        return len(self._waiting) + len(self._running)

    @property
    def goes_on(self) -> bool:
        """Whether what is written goes on the prompt's text, and is not a text of its own."""
        return not isinstance(self.backend, EncoderDecoderBackend)

    @property
    def promised(self) -> int:
        """Tokens that the requests at work may yet write, for which there is room."""
        return sum(group.promised for group in self._running.values())

    def add(self, request: Request, *, at: int | None = None, account: int | None = None) -> int:
        """The number of a request, which begins at a step that has room for it. UserError if there can never be any.

        `at`: where its prompt ends in the backend, if the caller holds that until it begins. `account`: the row of
        `usage` that pays.
        """
        self.check(request)
        rule, filters = self.rule(request.stop), replace(request.sampling, max_tokens=1)
        account = self._account if account is None else account
        grammar = self.grammar(request.constraint) if request.constraint else None
        group = RequestGroup(self._added, request, self._new(request), filters, rule, account, at, grammar)
        self._waiting.append(group)
        self._added += 1
        return group.id

    def check(self, request: Request) -> None:
        """UserError if the request could never run."""
        length = len(request.prompt_ids)
        room = self.backend.room(length)
        if room < 1:
            raise UserError(
                f"the prompt is {length} tokens long, but the model's context is {self.backend.max_positions}, and "
                f"what it writes must fit too; shorten the prompt by {1 - room} tokens or more"
            )
        if request.coverage_penalty and not (
            isinstance(self.backend, EncoderDecoderBackend) and attends(self.backend.model)
        ):
            raise UserError(
                f"coverage penalty = {request.coverage_penalty} is for a decoder that looks at a source, and this "
                "model's does not; leave it out"
            )
        new = self._new(request)
        self.backend.check(length, request.beams or request.n, new)
        if request.constraint and (shortest := self.grammar(request.constraint).shortest or 0) > new:
            raise UserError(
                f"the shortest text that the constraint allows has {shortest} tokens, but only {new} may be written; "
                f"raise max_tokens, or shorten the prompt"
            )

    def _new(self, request: Request) -> int:
        """Tokens that it may write."""
        return min(request.sampling.max_tokens, self.backend.room(len(request.prompt_ids)))

    def cancel(self, request: int) -> None:
        """Nothing more comes of this request; one that ended, or was never there, is none to cancel."""
        self._waiting = deque(group for group in self._waiting if group.id != request)
        group = self._running.pop(request, None)
        if group is not None:
            self.backend.retain([sample.seq for sample in group.samples])

    def flush(self) -> None:
        """Let go of the samples that ended in the last step, as the next one would."""
        ended, self._ended = self._ended, []
        self.backend.retain(ended)

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        """One token more for every sample that runs; empty only if there are no requests.

        Where it fails, no sample has changed: it may be tried again, or the requests canceled.
        """
        self.flush()
        self._admit()
        rows = [sample for group in self._running.values() for sample in group.samples]
        if not rows:
            return []
        seqs = np.array([sample.seq for sample in rows], np.int64)
        unique, first, row_of = by_kind(rows, *distinct(seqs))
        accounts = np.array([sample.group.account for sample in rows], np.int64)
        self._charge(self.backend.compute(unique), rows, first, accounts)

        parents, tokens, log_p = self._next(rows, unique, row_of)
        at, new = self.backend.advance(seqs[parents], np.array([token.id for token in tokens], np.int64))
        self.backend.release(seqs.tolist())
        self.usage.add(accounts[parents], generated=new, reused=~new)
        longer = [grown(rows[row], *more) for row, *more in zip(parents, tokens, log_p, at.tolist(), strict=True)]
        for group in self._running.values():
            group.steps += 1
        return self._settle(longer, tokens)

    def _admit(self) -> None:
        """Begin the requests that have waited longest, as far as there is room."""
        promised = self.promised
        while self._waiting:
            group = self._waiting[0]
            room = promised + group.promised
            seq = self.backend.open(group.request.prompt_ids, group.width, room, group.at)
            if seq is None:
                if not self._running:
                    raise NoRoom(
                        f"there is no room for a request beside the texts that are held; close some, or raise {SETTING}"
                    )
                return
            self._running[group.id] = self._waiting.popleft()
            group.begin(seq)
            promised = room

    def _charge(
        self, computed: Computed, rows: Sequence[Sample], first: Int[np.ndarray, "U"], accounts: Int[np.ndarray, "N"]
    ) -> None:
        """Who pays for a position is the first row that needed it; what else there is of a prompt was there already."""
        payer = first[computed.by]
        self.usage.add(accounts[payer], computed=1, unique=computed.unique)
        begins = np.array([sample.group.steps == 0 for sample in rows])
        if begins.any():
            prompts = np.array([len(sample.group.request.prompt_ids) for sample in rows])
            self.usage.add(accounts[begins], reused=prompts[begins])
            self.usage.add(accounts[payer[begins[payer]]], reused=-1)

    def _next(
        self, rows: Sequence[Sample], unique: Int[np.ndarray, "U"], row_of: Int[np.ndarray, "N"]
    ) -> tuple[list[int], list[Token], list[float]]:
        """What follows: the row that each longer text grows from, its new token, and of a beam the log p of all."""
        drawn: dict[int, Token] = {}
        beams: dict[int, tuple[Candidates, Float[Tensor, "V"]]] = {}
        for start, logits in self._logits(unique):
            log_p, allowed = logits.log_softmax(-1), logits.masked_fill(self.banned, float("-inf"))
            kinds: dict[tuple[SamplingParams, bool, Bias | None], list[int]] = {}
            for row in np.flatnonzero((row_of >= start) & (row_of < start + len(logits))).tolist():
                group, line = rows[row].group, row_of[row] - start
                if group.request.beams:
                    ahead = self._candidates(logits[line], rows[row])
                    beams[row] = ahead, log_p[line]
                else:
                    kinds.setdefault((group.filters, group.grammar is not None, group.request.bias), []).append(row)
            for (filters, constrained, bias), some in kinds.items():
                lines, samples = row_of[some] - start, [rows[row] for row in some]
                if constrained or bias:  # rows of one text may differ in what they are allowed
                    of_rows = logits[torch.from_numpy(lines).to(logits.device)]
                    if bias:
                        apply_bias(of_rows, bias.added, bias.presence, bias.frequency, [one.ids for one in samples])
                    barred = self._barred(samples) if constrained else self.banned
                    ids = self._draw(of_rows.masked_fill_(barred, -math.inf), np.arange(len(some)), samples, filters)
                    ids = _completed(ids, samples) if constrained else ids
                else:
                    ids = self._draw(allowed, lines, samples, filters)
                show = [rows[row].group.request.top_logprobs for row in some]
                drawn.update(zip(some, with_logprobs(log_p, lines, ids, show), strict=True))

        parents = sorted(drawn)
        tokens, total = [drawn[row] for row in parents], [0.0] * len(parents)
        for group in self._running.values():
            if group.request.beams:
                of = [row for row in beams if rows[row].group is group]
                for i, token, text_log_p in best([beams[row][0] for row in of], group.request.beams):
                    parents.append(of[i])
                    tokens.append(with_logprob(beams[of[i]][1], token, group.request.top_logprobs))
                    total.append(text_log_p)
        return parents, tokens, total

    def _candidates(self, logits: Float[Tensor, "V"], beam: Sample) -> Candidates:
        """What may follow a beam; only what leaves room to complete what its constraint asks for."""
        if beam.matcher is None:
            return candidates(logits, self.banned, beam.log_p, beam.group.request.beams)
        ahead = candidates(logits, self._barred([beam])[0], beam.log_p, beam.group.request.beams)
        kept = torch.tensor(sorted({beam.matcher.completable(i, beam.group.left) for i in ahead.ids.tolist()}))
        log_p = beam.log_p + logits.double().log_softmax(-1)[kept.to(logits.device)]
        return Candidates(log_p, kept.to(logits.device))

    def _barred(self, samples: Sequence[Sample]) -> Bool[Tensor, "N V"]:
        """The tokens that cannot follow these texts, each of which has a constraint."""
        try:
            may = masks([sample.matcher for sample in samples if sample.matcher], self.backend.vocab)
        except Unfollowable as error:
            error.request = samples[error.row].group.id
            raise
        return torch.from_numpy(~may).to(self.banned.device) | self.banned

    def _logits(self, seqs: Int[np.ndarray, "U"]) -> Iterator[tuple[int, Float[Tensor, "N V"]]]:
        """The logits after the sequences, a few lines at a time, and which line is the first of them."""
        V = self.backend.vocab
        size = max(1, AT_ONCE // V)
        few = max(1, CACHED // V) if self.backend.device.type == "cpu" else size
        for start in range(0, len(seqs), size):
            logits = finite(self.backend.logits(seqs[start : start + size]))
            for first in range(0, len(logits), few):
                yield start + first, logits[first : first + few]

    def _draw(
        self,
        allowed: Float[Tensor, "U V"],
        lines: Int[np.ndarray, "N"],
        rows: Sequence[Sample],
        filters: SamplingParams,
    ) -> Int[Tensor, "N"]:
        """A token for each row from its line of logits; rows of one line share what the filters make of it."""
        if filters.greedy and filters.repetition_penalty == 1:
            return allowed.argmax(-1)[torch.from_numpy(lines).to(allowed.device)]
        used, first, of = distinct(lines)
        index = torch.from_numpy(of).to(allowed.device)
        logits = allowed if len(used) == len(allowed) else allowed[torch.from_numpy(used).to(allowed.device)]
        seen = self._seen([rows[i] for i in first.tolist()]) if filters.repetition_penalty != 1 else None
        logits = apply_filters(logits, filters, seen)
        if filters.greedy:
            return logits.argmax(-1)[index]
        u = uniforms(
            np.array([sample.group.request.seed & SEED_BITS for sample in rows], np.uint64),
            np.array([sample.index for sample in rows]),
            np.array([sample.group.length for sample in rows]),
        )
        cdf, on_device = cumulative(logits), torch.from_numpy(u).to(allowed.device)
        n = max(1, AT_ONCE // cdf.shape[1])
        return torch.cat([draw(cdf[i], some) for i, some in zip(index.split(n), on_device.split(n), strict=True)])

    def _seen(self, rows: Sequence[Sample]) -> Bool[Tensor, "N V"]:
        """The tokens of each text, prompt and all."""
        seen = np.zeros((len(rows), self.backend.vocab), bool)
        for line, sample in zip(seen, rows, strict=True):
            line[list(sample.group.request.prompt_ids)] = True
            line[sample.ids] = True
        return torch.from_numpy(seen).to(self.backend.device)

    def _settle(self, samples: Sequence[Sample], tokens: Sequence[Token]) -> list[TokenEvent]:
        """Find out which texts ended, and tell of every new token; of beams when their search is over."""
        events: list[TokenEvent] = []
        going: dict[int, list[Sample]] = {id: [] for id in self._running}
        for sample, token, finish in zip(samples, tokens, self._finishes(samples), strict=True):
            group = sample.group
            if not group.request.beams:
                events.append(TokenEvent(group.id, sample.index, token, finish, sample.seq))
            if finish is None:
                going[group.id].append(sample)
            elif group.request.beams:
                group.found.append(self._hypothesis(sample, finish))
                self.backend.release([sample.seq])
            else:
                self._ended.append(sample.seq)
        for group in list(self._running.values()):
            group.samples = going[group.id]
            if group.request.beams:
                events += self._searched(group)
            if not group.samples:
                del self._running[group.id]
        return events

    def _hypothesis(self, sample: Sample, finish: FinishReason) -> Hypothesis:
        """A text that a beam ended with."""
        request, covered = sample.group.request, 0.0
        if request.coverage_penalty:
            assert isinstance(self.backend, EncoderDecoderBackend)
            covered = request.coverage_penalty * coverage_penalty(self.backend.coverage(sample.seq))
        return hypothesis(sample.tokens, sample.log_p, finish, request.length_penalty, covered)

    def _searched(self, group: RequestGroup) -> list[TokenEvent]:
        """The texts of a beam search, if it is over."""
        request, log_p = group.request, [sample.log_p for sample in group.samples]
        group.found = sorted(group.found, key=lambda found: -found.score)[: request.beams]
        if not is_over(group.found, log_p, request.beams, group.new, request.length_penalty):
            return []
        self.backend.release([sample.seq for sample in group.samples])
        group.samples = []
        return [
            TokenEvent(group.id, i, token, found.finish if left == 0 else None, -1)
            for i, found in enumerate(group.found[: request.n])
            for token, left in zip(found.tokens, reversed(range(len(found.tokens))), strict=True)
        ]

    def _finishes(self, samples: Sequence[Sample]) -> list[FinishReason | None]:
        """Why each text ends with its last token, None for those that go on."""
        found: list[FinishReason | None] = [None] * len(samples)
        rules: dict[StopRule, list[int]] = {}
        for i, sample in enumerate(samples):
            group = sample.group
            if sample.ids[-1] in self.tokenizer.end_ids:
                found[i] = "end"
            elif sample.matcher is not None and sample.matcher.complete:
                found[i] = "complete"
            elif group.steps == group.new:
                found[i] = "tokens" if group.new == group.request.sampling.max_tokens else "context"
            if found[i] not in ("end", "complete") and group.rule.strings:
                rules.setdefault(group.rule, []).append(i)
        for rule, some in rules.items():
            may = rule.may_complete(np.array([samples[i].ids[-1] for i in some]))
            for i in np.array(some)[may].tolist():
                if rule.find(decoder_after(self.tokenizer)(samples[i].ids)) is not None:
                    found[i] = "stop"
        return found

    def text(self, ids: Sequence[int], finish: FinishReason | None, stop: tuple[str, ...]) -> str:
        """What a sample says: without the end, and up to a stop string."""
        decode = decoder_after(self.tokenizer) if self.goes_on else self.tokenizer.decode
        text = decode(ids[: len(ids) - (finish == "end")])
        return text[: self.rule(stop).find(text)] if finish == "stop" else text

    def grammar(self, constraint: Constraint) -> Grammar:
        """A constraint in the tokenizer's tokens; one for all requests that have it."""
        if constraint not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._grammars.clear()
            self._grammars[constraint] = Grammar(constraint, self.tokenizer)
        return self._grammars[constraint]

    def rule(self, stop: tuple[str, ...]) -> StopRule:
        """Where these strings end a text; one rule for all that have them, which remembers the tokens it has met."""
        if stop not in self._rules:
            if len(self._rules) >= RULES:
                self._rules.clear()
            self._rules[stop] = StopRule(self.tokenizer, stop)
        return self._rules[stop]


def backend_for(
    model: Decoder | Recurrent | EncoderDecoder | Seq2Seq, texts: int = 1, kv_memory: int | None = None,
    draft: Draft | None = None, ahead: bool = True,
) -> Backend:  # fmt: skip
    """For so many texts at once, in the model's own type; at most `kv_memory` bytes of keys and values.

    One text is read `ahead` by its draft, or by what it repeats, where that changes no bit of it. UserError where a
    draft was given and cannot be used.
    """
    if draft is not None and (texts > 1 or not isinstance(model, Decoder)):
        raise UserError("a draft is for one text of a decoder at a time; leave the draft out")
    if isinstance(model, EncoderDecoder | Seq2Seq):
        return EncoderDecoderBackend(model, kv_memory)
    if isinstance(model, Recurrent):
        return RecurrentBackend(model, kv_memory)
    if texts == 1:
        if draft is None and ahead and has_kernel(model):
            draft = Lookup()
        return ContiguousBackend(model, kv_memory=kv_memory, draft=draft)
    return TrieBackend(model, model.dtype, kv_memory)


def grown(sample: Sample, token: Token, log_p: float, seq: int) -> Sample:
    """The sample with one token more; a beam may grow into several, so it stays as it was."""
    if not sample.group.request.beams:
        sample.ids.append(token.id)
        sample.seq = seq
        if sample.matcher is not None:
            sample.matcher.consume(token.id)
        return sample
    matcher = sample.matcher and sample.matcher.after(token.id)
    return Sample(sample.group, 0, seq, [*sample.ids, token.id], [*sample.tokens, token], log_p, matcher)


def _completed(ids: Int[Tensor, "N"], samples: Sequence[Sample]) -> Int[Tensor, "N"]:
    """The tokens drawn, or others where these would leave no room to complete what the constraint asks for."""
    taken = []
    for token, sample in zip(ids.tolist(), samples, strict=True):
        assert sample.matcher is not None
        taken.append(sample.matcher.completable(token, sample.group.left))
    return torch.tensor(taken, device=ids.device)


def distinct(
    seqs: Int[np.ndarray, "N"],
) -> tuple[Int[np.ndarray, "U"], Int[np.ndarray, "U"], Int[np.ndarray, "N"]]:
    """The sequences without repetition, in order; where each is first met, and which of them each entry is."""
    if len(seqs) == 1:  # one text at a time, without the price of sorting
        return seqs, np.zeros(1, np.int64), np.zeros(1, np.int64)
    return np.unique(seqs, return_index=True, return_inverse=True)


def by_kind(
    rows: Sequence[Sample], seqs: Int[np.ndarray, "U"], first: Int[np.ndarray, "U"], row_of: Int[np.ndarray, "N"]
) -> tuple[Int[np.ndarray, "U"], Int[np.ndarray, "U"], Int[np.ndarray, "N"]]:
    """What `distinct` gives, with the sequences of rows that draw alike side by side: they are drawn together."""
    if len(seqs) == 1:
        return seqs, first, row_of
    kinds: dict[SamplingParams, int] = {}
    order = np.argsort([kinds.setdefault(rows[i].group.filters, len(kinds)) for i in first], kind="stable")
    return seqs[order], first[order], np.argsort(order)[row_of]


def finite(logits: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """UserError if any is not; their sum is not finite then."""
    if not math.isfinite(float(logits.sum())):
        raise UserError("the model's logits are not finite numbers: its weights are broken; load an earlier checkpoint")
    return logits


def banned_tokens(tokenizer: Tokenizer, vocab: int) -> Bool[Tensor, "V"]:
    """The ids that are never drawn: padding, unless it is also what ends a text, and those beyond the tokenizer's."""
    banned = torch.arange(vocab) >= tokenizer.vocab_size
    if tokenizer.pad_id is not None and tokenizer.pad_id not in tokenizer.end_ids:
        banned[tokenizer.pad_id] = True
    return banned
