"""The tokens of a run: characters and bytes, or subwords where they pay; digits and ends of steps are always single."""

import json
import random
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.alignment.reward import scored_document
from clearhead.alignment.rollouts import LabeledPath
from clearhead.pipeline.data import Solved, respell
from clearhead.pipeline.tokens import (
    common_share,
    learn_subwords,
    names,
    respelled,
    subwords_pay,
    told,
    train_tokenizer,
)
from clearhead.tasks import load
from clearhead.text.prompt_format import step_tokens
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import END, CharTokenizer

TEMPLATE = (
    "The customer with the number {a} ordered several boxes of green apples in the month of {month}, and the "
    "warehouse sent {b} of them on the following day. After the delivery the customer returned {c} boxes because "
    "the apples were damaged. How many boxes of apples did the customer keep in the end?"
)
RNG = random.Random(0)
STORIES = [
    TEMPLATE.format(a=RNG.randrange(999), b=RNG.randrange(99), c=RNG.randrange(9), month=RNG.choice(("May", "June")))
    + f"\nkept={RNG.randrange(99)}"
    for _ in range(400)
]
SUBWORDS = learn_subwords(STORIES)
TOKENIZERS = [SUBWORDS, CharTokenizer("".join(sorted(set("".join(STORIES)))), byte_fallback=True)]
ANY = st.text() | st.text(alphabet="ab 1\n\r\t'.⇒\u2028") | st.sampled_from(STORIES)

each = pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["subwords", "characters"])


@each
@settings(deadline=None)
@given(text=ANY)
def test_any_text_comes_back(tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@each
@settings(deadline=None)
@given(a=ANY, b=ANY)
def test_the_end_of_a_step_is_a_token_of_its_own(tokenizer, a: str, b: str) -> None:
    (end,) = tokenizer.encode("\n")
    assert tokenizer.encode(a + "\n" + b) == [*tokenizer.encode(a), end, *tokenizer.encode(b)]


@each
@settings(deadline=None)
@given(number=st.integers(0), text=ANY)
def test_digits_are_single(tokenizer, number: int, text: str) -> None:
    digits = [tokenizer.encode(digit)[0] for digit in str(number)]
    assert tokenizer.encode(str(number)) == digits
    for token in tokenizer.encode(f"{text}{number}"):
        assert sum(char in string.digits for char in tokenizer.decode([token])) <= 1


@each
def test_the_reward_model_reads_where_a_step_ends(tokenizer) -> None:
    steps = ("kept 3 boxes", "kept=4")
    pieces = step_tokens(tokenizer, "How many boxes?", steps, done=True)
    assert pieces[1][-1:] == tokenizer.encode("\n")
    assert pieces[2][-1] == END
    written = tokenizer.encode("How many boxes?\nkept 3 boxes\nkept=4")
    assert [token for piece in pieces for token in piece] == [*written, END]
    scored = scored_document(tokenizer, LabeledPath("How many boxes?", steps, True, (0.25, 0.5, 1.0)))
    assert [scored.tokens[i] for i in np.flatnonzero(np.array(scored.process) >= 0)] == [
        tokenizer.encode("\n")[0],
        tokenizer.encode("\n")[0],
        END,
    ]


def test_subwords_pay_for_long_texts_that_repeat_their_words() -> None:
    assert subwords_pay(STORIES[:300], STORIES[300:])
    assert SUBWORDS.vocab_size < 600, "nothing is merged that hardly occurs"


def test_subwords_do_not_pay_for_short_texts_or_for_new_words() -> None:
    rng = random.Random(1)
    words = [" ".join("".join(rng.choices("abcdefgh", k=6)) for _ in range(40)) for _ in range(400)]
    assert not subwords_pay([text[:80] for text in STORIES[:300]], [text[:80] for text in STORIES[300:]])
    assert not subwords_pay([f"Please sort: {w}" for w in words[:300]], [f"Please sort: {w}" for w in words[300:]])
    assert common_share(words[:300], words[300:]) < 0.1
    assert common_share(STORIES[:300], STORIES[300:]) == 1


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory):
    path: Path = tmp_path_factory.mktemp("stories") / "rows.jsonl"
    rows = [text.split("\nkept=") for text in dict.fromkeys(STORIES)]
    lines = {problem: json.dumps({"problem": problem, "answer": answer}) for problem, answer in rows}
    path.write_text("\n".join(lines.values()), encoding="utf-8")
    return {"stories": load(f"file:{path}")}


def test_the_choice(stories) -> None:
    chosen = train_tokenizer(stories, 0)
    assert isinstance(chosen, SubwordTokenizer)
    assert "subwords" in told(chosen, stories, 0)
    characters = train_tokenizer(stories, 0, "characters")
    assert isinstance(characters, CharTokenizer)
    assert characters.byte_fallback
    assert "all others in bytes" in told(characters, stories, 0)
    assert isinstance(train_tokenizer({"m": load("multiplication")}, 0, "subwords"), SubwordTokenizer)


def test_a_task_with_a_notation_of_its_own_needs_no_bytes() -> None:
    tokenizer = train_tokenizer({"m": load("multiplication")}, 0)
    assert isinstance(tokenizer, CharTokenizer)
    assert not tokenizer.byte_fallback
    assert respelled(tokenizer) == 0
    assert "bytes" not in told(tokenizer, {"m": load("multiplication")}, 0)


def test_names_of_tokens() -> None:
    tokenizer = CharTokenizer("ab", byte_fallback=True)
    assert names(tokenizer, tokenizer.encode("aé")) == ["a", "<0xC3>", "<0xA9>"]
    assert "".join(names(SUBWORDS, SUBWORDS.encode(STORIES[0]))) == STORIES[0]


@settings(deadline=None)
@given(st.integers())
def test_a_word_is_respelled_the_same_in_problem_and_solution(seed: int) -> None:
    solved = respell(Solved("Ann (Anna) has 3\n", "Ann: 3"), random.Random(seed))
    changed = [(a, b) for a, b in zip("Ann (Anna) has 3\n", solved.prompt, strict=True) if a != b]
    assert len(changed) == 1
    assert solved.solution == solved.prompt[:3] + ": 3", "the word stands in both, and no other one is touched"
    assert respell(Solved("1+1\n", "2"), random.Random(seed)) == Solved("1+1\n", "2")
