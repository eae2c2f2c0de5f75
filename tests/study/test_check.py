"""Each fault is found where it is, and nothing is found where there is none."""

from clearhead.study.book import Chapter, Found, all_of
from clearhead.study.check import answers, check, gap
from clearhead.study.examples import GUIDE as FOLDER
from clearhead.study.notes import parse

NOTES = """# T
1) Why is attention divided by the root of its width?
2) What is dropout?
    <details><summary>Answer</summary>
     Test
    </details>
3) What is a norm?
    A length, $\\\\|x\\\\|_2$ and $$\\sqrt{\\sum x_i^2}$$, costs \\$5.
    TODO
4) Broken?
    One $x and no more.
5) Braces?
    $\\frac{1}{2$ here
6) Code?
    ```python
    def f(:
    ```
7) Open?
    ```
    for ever
"""


def book_of(text: str) -> list[Found]:
    return all_of(Chapter(7, "x", "X", parse(text).items))


GUIDE = book_of("# Transformers\n## Scores\n1) Why are attention scores divided by the root of the width?\n    x\n")


def test_what_is_found_and_where() -> None:
    found = check(parse(NOTES), GUIDE)
    assert [(finding.kind, finding.line) for finding in found] == [
        ("unanswered", 2), ("placeholder", 3), ("to do", 9), ("mathematics", 10), ("mathematics", 12), ("code", 14),
        ("code", 18),
    ]  # fmt: skip
    assert found[0].place == "7.1" and found[0].guide.startswith("Why are attention scores")
    assert not found[1].guide
    assert "cannot be read" in found[5].text and "never ends" in found[6].text


ASKED = {  # in other words and in British spelling -> chapter and number
    "Regularisation For what reason is dropout useful?": ("Regularization", 3),
    "Optimisers Explain Adam": ("Optimization algorithms", 3),
    "Tokenisers Explain byte pair encoding, step by step": ("Tokenization", 2),
    "LSTM What are its gates for?": ("RNNs and LSTMs", 4),
    "Decoding What do top-k and nucleus sampling do?": ("Sequence-to-sequence models", 3),
    "Flash Attention How can tiles do when the softmax needs a whole row?": ("FlashAttention", 2),
    "KV cache How much memory does it need?": ("The KV cache", 2),
    "Calculus prove the chain rule": ("Calculus and optimization", 2),
}
ELSEWHERE = (
    "Sourdough How long does a dough rest?",
    "Rome Who was the first emperor?",
    "Biology What is the function of mitochondria?",
    "Databases What is the difference between snapshot isolation and serializability?",
    "this wants a better example",
)


def test_the_guide_answers_other_words_and_not_everything() -> None:
    guide = [item for path in sorted(FOLDER.glob("*.md")) for item in parse(path.read_text(encoding="utf-8")).items]
    found = answers([*ASKED, *ELSEWHERE], guide)
    got = {text: item and (item.section[0], item.number) for text, item in zip(ASKED, found, strict=False)}
    assert got == ASKED
    assert found[len(ASKED) :] == [None] * len(ELSEWHERE)
    assert answers(["x"], []) == [None] and answers([], guide) == []


def test_the_headings_above_say_what_a_todo_is_about() -> None:
    guide = book_of("# Cats\n1) What do they eat?\n    Fish.\n\n# Dogs\n1) What do they eat?\n    Bones.\n")
    found = check(parse("# Pets\n## Dogs\n1) Bark?\n    Yes. TODO what they eat\n"), guide)
    assert [(finding.place, finding.guide) for finding in found] == [("7.2", "What do they eat?")]


READ = """# T
1) Only a remark?
    TODO: more questions here
2) Compute the sum:
   - x = 1
   - y = 2
3) Compute the sum:
   - x = 1
   So it is 1.
4) Which are they?
   - one
   - two
5) In a fold?
   <details><summary>Answer</summary>
    Test
   </details>
6) In an empty fold?
   <details><summary>Answer</summary>
   </details>
7) Answered, with a remark?
    Yes. TODO better example
"""


def test_questions_are_counted_as_a_reader_counts() -> None:
    kinds = {item.number: gap(item) for item in parse(READ).items}
    assert kinds == {1: "unanswered", 2: "unanswered", 3: "", 4: "", 5: "placeholder", 6: "placeholder", 7: ""}


def test_a_remark_that_only_points_is_read_with_what_stands_around_it() -> None:
    guide = book_of(
        "# Norms\n1) What is a norm?\n    x\n2) Prove the triangle inequality.\n    x\n3) Dropout?\n    x\n"
    )
    notes = (
        "# Norms\n1) Its properties?\n    3. Triangle inequality: ... (TODO can explore these with more questions)\n"
    )
    assert [finding.place for finding in check(parse(notes), guide)] == ["7.2"]
    said = "# Norms\n1) Its properties?\n    Triangle inequality. TODO something about dropout\n"
    assert [finding.place for finding in check(parse(said), guide)] == ["7.3"]
