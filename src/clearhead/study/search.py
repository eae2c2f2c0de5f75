"""Words looked for among questions: whole words by their stems, in both spellings, with the field's short names.

What a query names is a list of concepts: a term of the field in any of its names ("RoPE" is "rotary position
embedding"), or else a word. A question's score is the BM25 of its concepts, words of the question itself counting more
than words of its heading, and these more than words of its answer (Robertson and Zaragoza 2009, section 3.6, weights by
field). Deliberately not here: what a place or a chapter's name means (`book.py`).
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import log

import snowballstemmer

WORD = re.compile(r"[a-z0-9]+")
FENCED = re.compile(r"^[ \t]*```.*?^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"\\[a-zA-Z]+")
SCRIPT = re.compile(r"[_{}$*`]")
K1, B = 2.0, 0.3  # saturation of a count; how much long answers are held against them
TITLE, HEADING, ANSWER = 8.0, 2.0, 1.0  # weights of the fields
DEFINES = 0.5  # of a field's weight more: who types a term alone asks what it is
SHARE = 0.5  # of the best coverage of a query: below it a question is not listed
CLEAR = 1.25  # the best is the answer where it scores this many times the second
TYPO = 0.8  # alike enough to be a slip of the finger
STOPPED = """
    a an and are as at be by can could did do does for from give has have how i in into is it its me my of on
    one or out should so than that the their them then there they this to us was we what when where which while
    who why will with would you your explain derive describe prove show define difference between question basic
    high level knowledge
"""
STOP = frozenset(STOPPED.split())
# Names of one thing. A query that has one of them is looked for by all.
ALIASES: tuple[tuple[str, ...], ...] = (
    ("rope", "rotary", "rotary position embedding", "rotary positional encoding", "rotary embedding"),
    ("gnn", "graph neural network", "graph network", "message passing"),
    ("kv cache", "key value cache", "kv"),
    ("kv head", "key head", "key value head"),
    ("sft", "supervised fine tuning", "instruction tuning"),
    ("fine tuning", "finetuning"),
    ("rag", "retrieval augmented generation", "retrieval"),
    ("rl", "reinforcement learning"),
    ("ml", "machine learning"),
    ("rlhf", "reinforcement learning from human feedback", "learning from human feedback"),
    ("rlvr", "verifiable reward"),
    ("ppo", "proximal policy optimization"),
    ("grpo", "group relative policy optimization"),
    ("gae", "generalized advantage estimation"),
    ("dpo", "direct preference optimization"),
    ("mha", "multi head attention", "multihead attention"),
    ("mqa", "multi query attention"),
    ("gqa", "grouped query attention", "group query attention"),
    ("mla", "multi head latent attention", "latent attention"),
    ("moe", "mixture of expert"),
    ("mlp", "feed forward", "ffn", "feedforward", "multilayer perceptron"),
    ("bpe", "byte pair encoding"),
    ("lstm", "long short term memory"),
    ("rnn", "recurrent network", "recurrent neural network", "recurrence"),
    ("seq2seq", "sequence to sequence", "sequence sequence"),
    ("cnn", "convolutional network", "convolution"),
    ("svm", "support vector machine"),
    ("mle", "maximum likelihood"),
    ("map", "maximum a posteriori"),
    ("mse", "mean squared error", "squared error"),
    ("kl", "kullback leibler"),
    ("sgd", "stochastic gradient descent"),
    ("backprop", "backpropagation", "back propagation"),
    ("bptt", "backpropagation through time"),
    ("layer norm", "layer normalization", "layernorm"),
    ("batch norm", "batch normalization", "batchnorm"),
    ("rms norm", "rmsnorm", "root mean square norm"),
    ("pre transformer", "before the transformer"),
    ("pre norm", "pre ln", "prenorm", "pre layer norm"),
    ("post norm", "post ln", "postnorm", "post layer norm"),
    ("warmup", "warm up"),
    ("learning rate", "lr"),
    ("position encoding", "positional encoding", "position embedding", "positional embedding"),
    ("word2vec", "skip gram", "skipgram"),
    ("lora", "low rank adaptation"),
    ("mcts", "monte carlo tree search"),
    ("cot", "chain of thought", "chain thought"),
    ("tool use", "function calling", "tool calling", "use tool"),
    ("mcp", "model context protocol", "tool protocol"),
    ("llm", "large language model", "language model"),
    ("nll", "negative log likelihood"),
    ("elbo", "evidence lower bound"),
    ("ssm", "state space model", "mamba"),
    ("flash attention", "flashattention"),
    ("top p", "nucleus"),
    ("residual connection", "skip connection", "residual"),
    ("overfit", "over fit"),
    ("over smoothing", "oversmoothing"),
    ("speculative decoding", "speculation", "draft model"),
    ("prompt caching", "prefix caching", "prefix cache"),
    ("paged attention", "pagedattention", "paging"),
    ("mup", "maximal update parametrization"),
    ("fp8", "8 bit floating point"),
    ("bf16", "bfloat16"),
    ("fsdp", "fully sharded", "zero redundancy"),
    ("prm", "process reward model"),
    ("orm", "outcome reward model"),
    ("pass k", "pass at k"),
    ("best of n", "bon"),
    ("loss function", "loss"),
    ("nan", "not a number"),
    ("hyperparameter", "hyper parameter"),
    ("l1", "lasso"),
    ("yarn", "context extension", "rope scaling", "long context"),
    ("gpt", "decoder only"),
    ("ddp", "data parallel"),
)  # fmt: skip

_english = snowballstemmer.stemmer("english")


@dataclass(frozen=True)
class Entry:
    """What can be found: a question, the headings above it from the outermost, and its answer, as Markdown."""

    question: str
    headings: tuple[str, ...]
    answer: str


@cache
def stem(word: str) -> str:
    """A word's stem, the same for its inflections and for British and American spelling.

    >>> [stem(w) for w in ("tokenisers", "tokenizer", "tokenization")], stem("behaviour") == stem("behaviors")
    (['token', 'token', 'token'], True)
    """
    word = re.sub(r"is(?=(?:e[drs]?|ers|ing|ations?)$)", "iz", word) if len(word) > 5 else word
    word = re.sub(r"yse(?=[drs]?$)", "yze", word)
    word = re.sub(r"our(?=s?$|ed$|ing$|al$|able$)", "or", word) if len(word) > 5 else word
    word = re.sub(r"(?<=[aeiou])ll(?=ed$|ing$|er$)", "l", word)
    word = re.sub(r"^(cent|met|fib)re(?=s?$)", r"\1er", word)
    word = {"learnt": "learned", "indices": "index", "matrices": "matrix", "vertices": "vertex"}.get(word, word)
    return str(_english.stemWord(re.sub(r"^([^aeiouy]+[^aeiouys])s$", r"\1", word)))


def stems(text: str) -> list[str]:
    """The stems of a text's words in their order, without those that say nothing; code in fences is left out.

    >>> stems("What is the $L_1$ norm's gradient?")
    ['l1', 'norm', 'gradient']
    """
    return [stem(word) for word in _words(text) if word not in STOP]


def _words(text: str) -> list[str]:
    text = FENCED.sub(" ", text).replace(r"\infty", " infinity").replace("∞", " infinity").replace(r"\sqrt", " sqrt ")
    text = SCRIPT.sub("", COMMAND.sub(" ", text)).replace("'s", "").replace("’s", "")
    plain = unicodedata.normalize("NFKD", text)
    return WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)).lower())


Phrase = tuple[str, ...]
Concept = tuple[Phrase, ...]  # the names of one thing


@cache
def _aliases() -> dict[Phrase, Concept]:
    """For each name, all names of the same thing."""
    return {name: group for names in ALIASES if (group := tuple(tuple(stems(one)) for one in names)) for name in group}


def concepts(words: Sequence[str]) -> list[Concept]:
    """Stems as concepts: the longest names first, what is no name as itself, each once.

    >>> concepts(stems("GNN depth"))[1]
    (('depth',),)
    """
    known = _aliases()
    longest = max(map(len, known))
    found: list[Concept] = []
    at = 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + length])
            if phrase in known or length == 1:
                found.append(known.get(phrase, (phrase,)))
                at += length
                break
    return list(dict.fromkeys(found))


class Index:
    """Entries, ready to be searched."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.titles = [stems(entry.question) for entry in entries]
        self.headings = [stems(" . ".join(entry.headings)) for entry in entries]
        self.answers = [stems(entry.answer) for entry in entries]
        spoken = " ".join(part for entry in entries for part in (entry.question, *entry.headings))
        self.spoken = sorted(set(_words(spoken)))
        self.defines = [entry.question.startswith("What ") for entry in entries]
        fields = (self.titles, self.headings, self.answers)
        self.vocabulary = {word for field in fields for text in field for word in text}
        self.spaced = [[_spaced(words) for words in field] for field in (self.headings, self.answers)]
        self.mean_length = sum(map(len, self.answers)) / max(1, len(entries))

    def search(self, query: str) -> list[tuple[int, float]]:
        """Entries that speak of the query with their scores, the best first.

        Concepts are weighed by how rare they are. Entries that have less than half of what the best one has of the
        query are left out. A word that stands nowhere, beside others that do, is taken for the nearest one that does.
        """
        words = self._spelled(stems(query))
        wanted = concepts(words)
        if not wanted:
            return []
        total = len(self.titles)
        counts = [[self._counts(i, concept) for concept in wanted] for i in range(total)]
        holding = [sum(any(counts[i][c]) for i in range(total)) for c in range(len(wanted))]
        rare = [log(1 + (total - n + 0.5) / (n + 0.5)) for n in holding]
        missing = log(1 + total)
        whole = sum(weight if n else missing for weight, n in zip(rare, holding, strict=True))
        found = []
        for i in range(total):
            has = [any(count) for count in counts[i]]
            coverage = sum(weight for weight, there in zip(rare, has, strict=True) if there) / whole
            if coverage:
                long = self.lengthy(i)
                score = sum(
                    weight * _saturated(TITLE * title + HEADING * bool(heading) + ANSWER * answer / long)
                    for weight, (title, heading, answer) in zip(rare, counts[i], strict=True)
                )
                together = _pairs(words) & _pairs(self.titles[i])
                found.append((i, coverage, score * coverage**2 * (1 + 0.2 * len(together))))
        best = max((coverage for _, coverage, _ in found), default=0.0)
        ranked = [(i, score) for i, coverage, score in found if coverage >= SHARE * best]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))

    def lengthy(self, i: int) -> float:
        """By how much counts of an answer are held to be its length's."""
        return 1 - B + B * len(self.answers[i]) / self.mean_length

    def nearest(self, query: str) -> list[str]:
        """Words of the questions that look like one of the query's."""
        return [near for word in _words(query) for near in difflib.get_close_matches(word, self.spoken, 1, 0.7)]

    def spelled(self, text: str) -> str:
        """The text with words that stand nowhere as the nearest one that does, if others are known."""
        words = [word for word in _words(text) if word not in STOP]
        right = self._spelled([stem(word) for word in words])
        return " ".join(word if stem(word) == one else one for word, one in zip(words, right, strict=True))

    def _spelled(self, words: Sequence[str]) -> list[str]:
        if not any(map(self._known, words)):  # what else it names says that it is of this subject
            return list(words)
        return [word if self._known(word) else self._nearest(word) for word in words]

    def _known(self, word: str) -> bool:
        return word in self.vocabulary or any(word in name for name in _aliases())

    def _nearest(self, word: str) -> str:
        close = difflib.get_close_matches(word, self.vocabulary, 1, TYPO) if len(word) > 3 else []
        return close[0] if close else word

    def _counts(self, i: int, concept: Concept) -> tuple[float, int, int]:
        """How early the concept comes in the question, 1 at its beginning and 0 where it does not (more where the
        question is what it is), and how often it stands in the headings and in the answer, by whichever name."""
        title = self.titles[i]
        first = min((at for name in concept if (at := _first(title, name)) is not None), default=len(title))
        heading, answer = (sum(field[i].count(_spaced(name)) for name in concept) for field in self.spaced)
        early = 1 - first / max(1, len(title))
        return (0.5 + 0.5 * early if early else 0.0) + DEFINES * (not first and self.defines[i]), heading, answer


def web_index(entries: Sequence[Entry]) -> dict[str, object]:
    """What a page needs to search as `Index` does: stems of the words spoken, the names of each term, and the fields.

    Of answers it holds for each stem the entries and how often it stands there, for their length.
    """
    index = Index(entries)
    answers: dict[str, dict[int, float]] = {}
    for i, words in enumerate(index.answers):
        for word, count in Counter(words).items():
            answers.setdefault(word, {})[i] = round(count / index.lengthy(i), 1)
    texts = " ".join(part for entry in entries for part in (entry.question, *entry.headings, entry.answer))
    names = " ".join(name for group in ALIASES for name in group)
    spoken = {word: stem(word) for word in _words(texts + " " + names) if word not in STOP}
    return {
        "stems": {word: one for word, one in sorted(spoken.items()) if one != word},
        "terms": [[" ".join(stems(name)) for name in group] for group in ALIASES],
        "stop": sorted(STOP),
        "titles": [" ".join(words) for words in index.titles],
        "headings": [" ".join(words) for words in index.headings],
        "defines": [int(one) for one in index.defines],
        "answers": answers,
        "weights": [TITLE, HEADING, ANSWER, K1, DEFINES, SHARE],
    }


def is_clear(scores: Sequence[float]) -> bool:
    """Whether the best of descending scores leads far enough to be the answer."""
    return len(scores) == 1 or (len(scores) > 1 and scores[0] >= CLEAR * scores[1])


def _spaced(words: Sequence[str]) -> str:
    """Words as one text, in which a run of them is found as a text, two in a row too."""
    return f" {'  '.join(words)} "


def _first(words: Sequence[str], phrase: Phrase) -> int | None:
    return next((i for i in range(len(words)) if tuple(words[i : i + len(phrase)]) == phrase), None)


def _saturated(count: float) -> float:
    return count * (K1 + 1) / (count + K1)


def _pairs(words: Sequence[str]) -> set[Phrase]:
    return set(pairwise(words))
