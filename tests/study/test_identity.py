"""Cards are found again though words, sections and order change, and what is new is not taken for what is old."""

import random

from clearhead.study.identity import Text, pair

THINGS = ["attention", "a gradient", "perplexity", "dropout", "momentum", "a kernel", "beam search", "entropy"]
ASKED = ["What is {}?", "Why is {} needed when a model is trained?", "How much does {} cost in memory?", "Derive {}."]
QUESTIONS = [form.format(thing) for thing in THINGS for form in ASKED]


def texts(answer: str = "An answer about {} that says {}.") -> list[Text]:
    return [Text((q[:4],), q, answer.format(q.split()[-1], hash(q) % 7)) for q in QUESTIONS]


def test_order_and_sections_do_not_matter() -> None:
    old = texts()
    order = list(range(len(old)))
    random.Random(0).shuffle(order)
    new = [old[i]._replace(section=("elsewhere",)) for i in order]
    assert pair(old, new) == dict(enumerate(order))


def test_small_edits() -> None:
    old = texts("")
    new = [
        text._replace(question=text.question.replace("What is", "Say what is").replace("cost in", "take of"))
        for text in old
    ]
    assert pair(old, new) == {i: i for i in range(len(old))}


def test_a_question_written_anew_above_the_same_answer() -> None:
    old = [
        Text((), "What is entropy?", "The mean surprise of one more draw."),
        Text((), "What is drift?", "A slow change of what is measured."),
    ]
    new = [
        Text((), "Define drift", "A slow change of what is measured."),
        Text((), "How uncertain is a draw?", "The mean surprise of one more draw."),
    ]
    assert pair(old, new) == {0: 1, 1: 0}


def test_what_is_new_is_nobody() -> None:
    old = texts("")
    new = [Text((), "What is a transpose?", ""), Text((), "Derive the normal equations.", ""), Text((), "?", "")]
    assert pair(old, new) == {} == pair([], new) == pair(old, [])


def test_the_same_words_twice() -> None:
    old = [Text(("a",), "Why?", ""), Text(("b",), "Why?", "")]
    assert pair(old, old[::-1]) == {0: 1, 1: 0}
    assert pair(old, [Text(("c",), "Why?", ""), *old]) == {1: 0, 2: 1}
    assert pair(old[:1], [Text(("c",), "Why?", ""), Text(("d",), "Why?", "")]) == {0: 0}


def test_many_leftovers_in_blocks() -> None:
    old = [Text((), f"{i} {i * i} {i * 7919}", "") for i in range(600)]
    new = [text._replace(question=f"{text.question} again") for text in old]
    assert pair(old, new) == {i: i for i in range(600)}
