"""Training text: drawn from training problems alone, in both ways of asking, with every character known."""

import random

import pytest

from clearhead.errors import UserError
from clearhead.pipeline.data import Source, calls_of, document, encode, hidden, load_tasks, source
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.tokens import train_tokenizer
from clearhead.text.packing import Document
from clearhead.text.tokenizer import END, PAD, CharTokenizer

RECIPE = parse(
    {"tasks": {"multiplication": {"share": 3.0}, "sums": {"source": "multiplication", "practice": 1.0, "share": 1.0}}}
)
TASKS = load_tasks(RECIPE)


@pytest.fixture(scope="module")
def drawn() -> Source:
    return source(TASKS, RECIPE.tasks, 0.25, "train", seed=0)


def test_only_training_problems_are_drawn(drawn: Source) -> None:
    test = set(TASKS["multiplication"].problems("test", 10**6, 0)) | set(
        TASKS["multiplication"].problems("valid", 10**6, 0)
    )
    asked = {drawn.draw(random.Random(i)).prompt[:-1] for i in range(2000)}
    assert not asked & test
    assert "17 × 24" in test


def test_shares_and_direct_answers_come_in_proportion(drawn: Source) -> None:
    rng = random.Random(1)
    solved = [drawn.draw(rng) for _ in range(4000)]
    direct = [s for s in solved if s.prompt.endswith("⇒")]
    assert len(direct) / len(solved) == pytest.approx(0.25, abs=0.03)
    assert all("=" not in s.solution and "\n" not in s.solution for s in direct), "the bare answer"
    whole = sum("×" in s.prompt and "+" not in s.prompt for s in solved) / len(solved)
    assert whole == pytest.approx(0.75 * 0.33, abs=0.03)  # the second task has single lines only


def test_the_tokenizer_knows_every_problem_that_will_be_asked() -> None:
    tokenizer = train_tokenizer(TASKS, 0)
    for split in ("train", "valid", "test"):
        for problem in TASKS["multiplication"].problems(split, 200, 3):
            tokenizer.encode(problem + "⇒\n" + "\n".join(TASKS["multiplication"].solve(problem, random.Random(0))))


def test_hidden_problems_keep_their_length_what_asks_and_their_solution() -> None:
    whole, rng = Document([5, 6, 7, 8, 3], [9, 1]), random.Random(0)
    drawn = [hidden(whole, 0.5, rng) for _ in range(400)]
    assert 140 < sum(found == whole for found in drawn) < 320
    for found in drawn:
        assert found.solution == whole.solution and found.prompt[-1] == 3
        assert all(token in (PAD, before) for token, before in zip(found.prompt, whole.prompt, strict=True))
    assert {sum(token == PAD for token in found.prompt) for found in drawn} == {0, 1, 2, 3, 4}


def test_nothing_hidden_draws_nothing() -> None:
    rng = random.Random(0)
    whole = Document([5, 6, 3], [9, 1])
    assert hidden(whole, 0.0, rng) is whole
    assert rng.random() == random.Random(0).random()


def test_a_document_learns_the_solution_and_its_end(drawn: Source) -> None:
    tokenizer = train_tokenizer(TASKS, 0)
    solved = drawn.draw(random.Random(0))
    document = encode(tokenizer, solved)
    assert tokenizer.decode(document.prompt) == solved.prompt
    assert tokenizer.decode(document.solution) == solved.solution
    assert document.solution[-1] == END


def test_a_document_that_is_too_long_is_drawn_again(drawn: Source) -> None:
    tokenizer = train_tokenizer(TASKS, 0)

    def lengths(most: int) -> list[int]:
        found = [document(tokenizer, drawn, most, random.Random(i)) for i in range(300)]
        return [len(one.prompt) + len(one.solution) for one in found]

    assert max(lengths(1000)) > 20 >= max(lengths(20)) > 15
    with pytest.raises(UserError, match=r"longer than 3 tokens; give shorter problems, or raise data\.max_length"):
        document(tokenizer, drawn, 3, random.Random(0))


def test_what_tools_give_is_marked_in_documents_and_answered_while_writing() -> None:
    recipe = parse({"tasks": {"market": {}, "game24": {}}})
    tasks = load_tasks(recipe)
    drawn = source(tasks, recipe.tasks, 0.0, "train", 0)
    tokenizer = CharTokenizer("".join(map(chr, range(32, 127))) + "→\n", byte_fallback=True)
    calls = calls_of(tasks)
    assert calls is not None and calls_of({"game24": tasks["game24"]}) is None
    seen = set()
    for i in range(40):
        solved = drawn.draw(random.Random(i))
        document = encode(tokenizer, solved)
        seen.add(solved.calls)
        given = tokenizer.decode([t for t, g in zip(document.solution, document.given, strict=False) if g])
        results = [line.partition("→")[2] for line in solved.solution.split("\n")[:-1]] if solved.calls else []
        assert given == "".join(f"{result}\n" for result in results)
        text = solved.prompt
        for line, result in zip(solved.solution.split("\n"), results, strict=False):
            assert calls.respond(text + line.partition("→")[0] + "→") == result
            text += line + "\n"
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("more", "told"), [({"align": {"method": "dpo"}}, "DPO"), ({"in_context": {"steps": 9}}, "one text")]
)
def test_what_cannot_go_with_tools_is_told(more: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        load_tasks(parse({"tasks": {"market": {}}, **more}))
