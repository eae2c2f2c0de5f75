"""Which tokens a run writes in: characters, with bytes for what was never seen, or subwords where they pay.

Subwords are byte-level BPE, learned line by line and digit by digit: a digit, and the end of a step, is always a token
of its own. They pay where texts are long, fall to a third of the tokens, and say much the same words again and again.
Where many words are new, as in ciphers, names or lists to be sorted, it is the letters that matter.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from clearhead.pipeline.data import WORD
from clearhead.tasks.task import KnowsSome, Task
from clearhead.text.prompt_format import STEP_END, direct_prompt, join_steps, steps_prompt
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import train_tokenizer as train_subwords

SAMPLE = 3_000  # training problems of each task that show what tokens there are
HELD_OUT = 200  # problems of each task that show what the tokens are worth
FEWEST = 3  # texts with a character that is not ASCII, for a token of its own
VOCAB = 2048  # subwords at most
MERGED = 20  # times that two subwords must meet to become one
LONG = 200  # characters of a mean document; shorter ones are cheap in characters
FALL = 3.0  # characters to a subword
SEEN = 0.005  # share of the training documents with a common word
COMMON = 0.9  # share of the letters that stand in common words

RESPELLED = 0.05  # share of the training documents with a character that only bytes can spell


def train_tokenizer(tasks: Mapping[str, Task], seed: int, choice: str = "auto") -> Tokenizer:
    """The tokenizer for these tasks. `choice`: "characters", "subwords", or "auto", as `subwords_pay` says.

    A task that can be asked any text gets bytes beside its characters; one that reads its own notation needs none.
    """
    documents = [text for task in tasks.values() for text in solved(task, "train", SAMPLE, seed)]
    any_text = any(isinstance(task, KnowsSome) for task in tasks.values())
    if choice == "subwords":
        return learn_subwords(documents)
    if choice == "auto" and any_text:
        held_out = [text for task in tasks.values() for text in solved(task, "valid", HELD_OUT, seed)]
        if subwords_pay(documents, held_out):
            return learn_subwords(documents)
    documents += [direct_prompt("")] * FEWEST
    if any_text:
        return CharTokenizer.train(documents, byte_fallback=True, fewest=FEWEST)
    for task in tasks.values():
        documents += task.problems("valid", SAMPLE, seed) + task.problems("test", SAMPLE, seed)
    return CharTokenizer.train(documents)


def solved(task: Task, split: str, n: int, seed: int) -> list[str]:
    """Problems of a split, each with a solution and with its bare answer, which the solution need not hold."""
    rng = random.Random(seed)
    texts = []
    for problem in task.problems(split, n, seed):
        steps = task.solve(problem, rng)
        answer = task.answer(problem, steps) or ""
        texts.append(steps_prompt(problem) + join_steps(steps if answer in steps[-1] else [*steps, answer]))
    return texts


def learn_subwords(documents: Sequence[str]) -> SubwordTokenizer:
    lines = (line for text in documents for line in text.split(STEP_END))
    return train_subwords("bpe", lines, VOCAB, "smollm", MERGED)


def subwords_pay(documents: Sequence[str], held_out: Sequence[str]) -> bool:
    """Are held-out documents long, made of words that training documents repeat, and far shorter in subwords?"""
    characters = sum(map(len, held_out))
    if characters < LONG * max(1, len(held_out)) or common_share(documents, held_out) < COMMON:
        return False
    tokens = sum(map(len, learn_subwords(documents).encode_many(held_out)))
    return characters >= FALL * tokens


def common_share(documents: Sequence[str], held_out: Sequence[str]) -> float:
    """The share of the letters of held-out texts that stand in words which many training documents have.

    >>> common_share(["sort bdc", "sort cab"] * 200, ["sort dcb"])
    0.5714285714285714
    """
    counts = Counter(word for text in documents for word in set(WORD.findall(text)))
    words = [word for text in held_out for word in WORD.findall(text)]
    common = sum(len(word) for word in words if counts[word] >= SEEN * len(documents))
    return common / max(1, sum(map(len, words)))


def told(tokenizer: Tokenizer, tasks: Mapping[str, Task], seed: int) -> str:
    """What was chosen, in one line."""
    if isinstance(tokenizer, CharTokenizer):
        others = ", all others in bytes" if tokenizer.byte_fallback else ""
        alphabet = "".join(tokenizer.alphabet.split())
        return f"tokenizer: {len(tokenizer.alphabet)} characters{others}: {alphabet}"
    texts = [text for task in tasks.values() for text in solved(task, "train", HELD_OUT, seed)]
    tokens = sum(map(len, tokenizer.encode_many(texts)))
    return (
        f"tokenizer: {tokenizer.vocab_size:,} subwords, {tokens / len(texts):.0f} to a document "
        f"where characters are {sum(map(len, texts)) / len(texts):.0f}"
    )


def names(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """What to call each token of a text."""
    if isinstance(tokenizer, CharTokenizer):
        return [tokenizer.tokens[i] for i in ids]
    return [tokenizer.decode([i]) for i in ids]


def respelled(tokenizer: Tokenizer) -> float:
    """The share of training documents to respell, so that bytes are trained where nothing else has them."""
    return RESPELLED if isinstance(tokenizer, CharTokenizer) and tokenizer.byte_fallback else 0.0
