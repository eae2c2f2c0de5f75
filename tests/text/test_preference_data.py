"""Rows of preferences and of prompts: what they may be, and what is refused in a line."""

import json
from typing import Any

import pytest
from chatty import write_model

from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.errors import UserError
from clearhead.text.preference_data import asked_tokens, pair_row, pair_tokens, prompt_row


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    import torch

    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return load_model(str(folder), torch.device("cpu"))


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SAME = [
    {"prompt": "Which?", "chosen": "red", "rejected": "blue"},
    {"prompt": [user("Which?")], "chosen": [said("red")], "rejected": [said("blue")]},
    {"prompt": [user("Which?")], "chosen": "red", "rejected": "blue"},
    {"chosen": [user("Which?"), said("red")], "rejected": [user("Which?"), said("blue")]},
]


def test_all_forms_of_a_pair_are_the_same_tokens(chatty: LoadedModel) -> None:
    found = [pair_tokens(pair_row(1, json.dumps(row)), chatty.tokenizer, chatty.template) for row in SAME]
    assert found == [found[0]] * 4
    prompt, chosen, rejected = found[0]
    decoded = [chatty.tokenizer.decode(list(ids)) for ids in (prompt, chosen, rejected)]
    assert "Which?" in decoded[0] and "red" in decoded[1] and "blue" in decoded[2]
    assert chosen[-1] == rejected[-1] == chatty.tokenizer.end_id or chosen[-1] in chatty.tokenizer.end_ids
    asked = asked_tokens(prompt_row(1, json.dumps({"prompt": "Which?"})), chatty.tokenizer, chatty.template)
    assert asked[1] == prompt, "what is asked when answers are drawn is what stands before an answer in a pair"


def test_only_the_last_answer_is_chosen_or_rejected(chatty: LoadedModel) -> None:
    earlier = [user("Hello"), said("green"), user("Which?")]
    row = {"prompt": earlier, "chosen": "red", "rejected": "blue", "system": "Be short."}
    prompt, chosen, _ = pair_tokens(pair_row(1, json.dumps(row)), chatty.tokenizer, chatty.template)
    text = chatty.tokenizer.decode(list(prompt))
    assert "green" in text and "Be short." in text and "green" not in chatty.tokenizer.decode(list(chosen))


def test_a_prompt_keeps_the_fields_of_its_line() -> None:
    row = prompt_row(3, json.dumps({"messages": [user("Which?"), said("red")], "answer": "red"}))
    assert row.messages == (user("Which?"),) and row.fields["answer"] == "red" and row.opening == "Which?"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "a", "chosen": "b"}, "no 'rejected'"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "the same"),
        ({"chosen": "b", "rejected": "c"}, "there is no prompt"), ([1], "not an object"),
        ({"chosen": [user("a"), said("b")], "rejected": [user("x"), said("c")]}, "do not share their prompt"),
        ({"chosen": [said("b")], "rejected": [said("c")]}, "do not share their prompt"),
        ({"prompt": "a", "chosen": [user("b")], "rejected": "c"}, "must be the assistant's"),
        ({"prompt": "a", "chosen": 3, "rejected": "c"}, "chosen is 3"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "prompt"),
        ({"prompt": "a", "chosen": "", "rejected": "c"}, "must be text that is not empty"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "tools": "x"}, "tools"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_told(row: Any, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        pair_row(1, json.dumps(row))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "told"),
    [({"text": "a"}, "'prompt'"), ({"messages": [said("a")]}, "nothing is asked"), ({"messages": []}, "messages is")],
)
def test_what_is_no_prompt_is_told(row: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        prompt_row(1, json.dumps(row))
