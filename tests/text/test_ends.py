"""Which tokens end an answer, in whatever words a model says it."""

import pytest

from clearhead.text.chat import CHATML, ChatTemplate
from clearhead.text.ends import NAMES, turn_ends
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}END\n{% endfor %}"


def tokenizer(*names: str, end: str = "<|endoftext|>") -> SubwordTokenizer:
    made = train_tokenizer("bpe", ["the cat"] * 3, 270).backend
    made.add_special_tokens([end, "<|im_start|>", *names])
    return SubwordTokenizer(made, made.token_to_id(end))


@pytest.mark.parametrize("name", [*NAMES, "<custom/end>", "[SEP]"])
def test_the_token_behind_an_answer_ends_it(name: str) -> None:
    """By its name, and by a trial where nobody knows the name."""
    known = tokenizer(name)
    expected = known.backend.token_to_id(name)
    assert turn_ends(known, ChatTemplate(TURNS.replace("END", name))) == {expected}


def test_a_name_that_the_template_does_not_write_is_no_end() -> None:
    known = tokenizer("<|im_end|>", "<|eot_id|>")
    assert turn_ends(known, ChatTemplate(CHATML)) == {known.backend.token_to_id("<|im_end|>")}


def test_a_named_eos_is_enough() -> None:
    known = tokenizer("</s>", end="</s>")
    source = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
    assert turn_ends(known, ChatTemplate(source, {"eos_token": "</s>"})) == {known.end_id}


def test_a_part_of_a_turn_is_no_end_where_calls_are() -> None:
    known = tokenizer("<|end|>", "<|return|>", "<|call|>")
    found = turn_ends(known, ChatTemplate(TURNS.replace("END", "<|end|><|return|><|call|>")))
    assert known.backend.token_to_id("<|end|>") not in found and len(found) == 2


def test_a_template_that_takes_no_such_chat_says_nothing() -> None:
    assert turn_ends(tokenizer(), ChatTemplate("{{ raise_exception('no') }}")) == frozenset()
