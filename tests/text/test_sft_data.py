"""Which tokens are learned, under the templates of several families, and which rows of a file are refused."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import CORPUS
from tokenizers import Tokenizer

from clearhead.errors import UserError
from clearhead.text.chat import CHATML, ChatTemplate
from clearhead.text.sft_data import ChatRow, examples, plain_example, read_rows, row_of, turns
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import train_tokenizer

SPECIALS = (
    "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<bos>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>", "[INST]", "[/INST]", "<|user|>", "<|model|>",
)  # fmt: skip
UNMARKED = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'"
    " + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ '<bos>' }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n'"
    " + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (  # no generation prompt: the question's end is one; the system message goes to the last question
    "{% if messages[0].role == 'system' %}{% set told = messages[0].content %}{% set loop_messages = messages[1:] %}"
    "{% else %}{% set loop_messages = messages %}{% endif %}{{ '<s>' }}{% for m in loop_messages %}"
    "{% if m.role == 'user' %}{% if told is defined and loop.index0 >= loop_messages | length - 2 %}"
    "{{ '[INST] ' + told + '\n\n' + m.content + '[/INST]' }}{% else %}"
    "{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"
)
THINKING = (  # thoughts of earlier turns are left out
    "{% for m in messages %}{% set said = m.content %}{% if m.role == 'assistant' and not loop.last %}"
    "{% set said = said.split('</think>')[-1] %}{% endif %}{{ '<|im_start|>' + m.role + '\n' + said + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ROLE_ONLY = (  # nothing but the next turn's beginning ends a turn
    "{% for m in messages %}{{ ('<|model|>' if m.role == 'assistant' else '<|user|>') + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|model|>' }}{% endif %}"
)
INSIDE = (  # the mark leaves the end token out
    "{% for m in messages %}<|im_start|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
)
FOUR = [
    {"role": "user", "content": "What is 2 + 3?"},
    {"role": "assistant", "content": "It is 5."},
    {"role": "user", "content": "And é 👋?\nassistant"},
    {"role": "assistant", "content": "Nothing, 🙂."},
]
SYSTEM = [{"role": "system", "content": "Be terse."}, *FOUR]
SPELT = [FOUR[0], {"role": "assistant", "content": "it is <s> or <s>."}]
THOUGHT = [*FOUR[:1], {"role": "assistant", "content": "<think>2+3</think>It is 5."}, *FOUR[2:]]


def special() -> SubwordTokenizer:
    backend = Tokenizer.from_str(train_tokenizer("bpe", CORPUS, 500).to_json())
    backend.add_special_tokens(list(SPECIALS))
    return SubwordTokenizer(backend, backend.token_to_id("</s>"), 0)


TOKENIZER = special()


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, {"bos_token": "<|begin_of_text|>"})


def learned(source: str, messages: list[dict[str, str]]) -> list[list[str]]:
    """The stretches that are learned, as text, for each example."""
    found = []
    for tokens, mask in examples(ChatRow(1, tuple(messages)), TOKENIZER, template(source)):
        stretches: list[list[int]] = []
        for i, (token, on) in enumerate(zip(tokens, mask, strict=True)):
            if on and (i == 0 or not mask[i - 1]):
                stretches.append([])
            if on:
                stretches[-1].append(token)
        found.append([TOKENIZER.decode(ids, special=True) for ids in stretches])
    return found


@pytest.mark.parametrize(
    ("source", "messages", "expected"),
    [
        (CHATML, SYSTEM, [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),
        (UNMARKED, SYSTEM, [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),
        (LLAMA3, SYSTEM, [["It is 5.<|eot_id|>", "Nothing, 🙂.<|eot_id|>"]]),
        (GEMMA, FOUR, [["It is 5.<end_of_turn>", "Nothing, 🙂.<end_of_turn>"]]),
        (MISTRAL, FOUR, [[" It is 5.</s>", " Nothing, 🙂.</s>"]]),
        (MISTRAL, SYSTEM, [[" It is 5.</s>"], [" Nothing, 🙂.</s>"]]),  # each question would be the last when asked
        (THINKING, THOUGHT, [["<think>2+3</think>It is 5.<|im_end|>"], ["Nothing, 🙂.<|im_end|>"]]),
        (THINKING, FOUR, [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),  # nothing is rewritten
        (ROLE_ONLY, FOUR, [["It is 5.<|user|>", "Nothing, 🙂.</s>"]]),
        (INSIDE, FOUR, [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),
        (UNMARKED, SPELT, [["it is <s> or <s>.<|im_end|>"]]),  # a special token inside an answer ends nothing
        (ROLE_ONLY, SPELT, [["it is <s> or <s>.</s>"]]),
        (CHATML, FOUR[1:], [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),  # the assistant begins
        (UNMARKED, FOUR[1:], [["It is 5.<|im_end|>", "Nothing, 🙂.<|im_end|>"]]),
        (UNMARKED, [*FOUR[:2], *FOUR[1:2]], [["It is 5.<|im_end|>", "It is 5.<|im_end|>"]]),  # twice in a row
    ],
)
def test_the_assistants_tokens_and_the_one_that_ends_its_turn(
    source: str, messages: list[dict[str, str]], expected: list[list[str]]
) -> None:
    assert learned(source, messages) == expected


def test_a_rewritten_answer_is_learned_from_what_was_read_before_it() -> None:
    first, second = (
        TOKENIZER.decode(e.tokens, special=True)
        for e in examples(ChatRow(1, tuple(SYSTEM)), TOKENIZER, template(MISTRAL))
    )
    assert first == "<s>[INST] Be terse.\n\nWhat is 2 + 3?[/INST] It is 5.</s>"
    assert second.startswith("<s>[INST] What is 2 + 3?[/INST]") and "[INST] Be terse.\n\nAnd" in second


ROLES = st.sampled_from(["user", "assistant", "system"])
CHATS = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": st.text(min_size=1).filter(lambda text: text.strip())}), max_size=5
)


@given(CHATS, st.text(min_size=1).filter(lambda text: text.strip()))
@settings(deadline=None, max_examples=60)
def test_prefixes_find_what_marks_say_and_what_transformers_says(chat: list[dict[str, str]], answer: str) -> None:
    chat = [*chat, {"role": "assistant", "content": answer}]
    (marked,) = examples(ChatRow(1, tuple(chat)), TOKENIZER, MARKED_CHATML)
    assert [marked] == examples(ChatRow(1, tuple(chat)), TOKENIZER, UNMARKED_CHATML)


MARKED_CHATML, UNMARKED_CHATML = ChatTemplate(CHATML), ChatTemplate(UNMARKED)


@pytest.mark.parametrize("messages", [SYSTEM, FOUR, THOUGHT], ids=["system", "four", "thought"])
def test_the_mask_is_that_of_transformers(messages: list[dict[str, str]]) -> None:
    from transformers import PreTrainedTokenizerFast

    peer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(TOKENIZER.to_json()))
    told = peer.apply_chat_template(
        messages, chat_template=CHATML, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    (ours,) = examples(ChatRow(1, tuple(messages)), TOKENIZER, template(CHATML))
    assert ours.tokens == told["input_ids"]
    assert ours.loss_mask == [bool(x) for x in told["assistant_masks"]]


def test_a_template_whose_prompt_is_no_beginning_is_told() -> None:
    other = UNMARKED.replace("<|im_start|>assistant\n' }}{% endif", "<|im_start|>machine\n' }}{% endif")
    with pytest.raises(UserError, match="message 2 differently from the prompt"):
        examples(ChatRow(1, tuple(FOUR)), TOKENIZER, template(other))


@pytest.mark.parametrize("opened", ["<think>", "<think>\\n", "<think>\\n\\n</think>\\n\\n"])
def test_a_prompt_that_opens_thoughts_goes_before_answers_without_any(opened: str) -> None:
    thinks = UNMARKED.replace("<|im_start|>assistant\n' }}{% endif", f"<|im_start|>assistant\n{opened}' }}}}{{% endif")
    assert thinks != UNMARKED
    row = ChatRow(1, tuple(FOUR))
    assert examples(row, TOKENIZER, template(thinks)) == examples(row, TOKENIZER, template(UNMARKED))


def test_a_system_beside_prompt_and_response_is_a_message() -> None:
    row = row_of(1, '{"system": "be brief", "prompt": "a", "response": "b"}')
    assert [(m["role"], m["content"]) for m in row.messages] == [
        ("system", "be brief"),
        ("user", "a"),
        ("assistant", "b"),
    ]
    chat = {"system": "x", "messages": [{"role": "system", "content": "y"}, {"role": "assistant", "content": "z"}]}
    with pytest.raises(UserError, match="a system message and a field 'system'"):
        row_of(1, json.dumps(chat))


@pytest.mark.parametrize("arguments", [{"x": 1}, '{"x": 1}'], ids=["object", "text"])
@pytest.mark.parametrize("written", ["arguments | tojson", "arguments"])
def test_arguments_of_a_call_are_written_once(arguments: object, written: str) -> None:
    """As JSON where the template makes it of an object, and as they are where it writes them as they are."""
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function."
        + written
        + " }}{% endfor %}|{% endfor %}"
    )
    call = {"function": {"name": "f", "arguments": arguments}}
    messages = [FOUR[0], {"role": "assistant", "content": "", "tool_calls": [call]}]
    (example,) = examples(ChatRow(1, tuple(messages)), TOKENIZER, template(source))
    text = TOKENIZER.decode(example.tokens, special=True)
    assert ('{"x": 1}' in text) == ("tojson" in written or isinstance(arguments, str))
    assert '\\"' not in text


def test_a_text_begins_for_learning_as_it_begins_for_writing() -> None:
    from tokenizers.processors import TemplateProcessing

    from clearhead.text.begin import prompt_tokens

    backend = Tokenizer.from_str(TOKENIZER.to_json())
    first = backend.token_to_id("<|begin_of_text|>")
    backend.post_processor = TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", first)]
    )
    tokenizer = SubwordTokenizer(backend, TOKENIZER.end_id)
    example = plain_example(row_of(1, '{"prompt": "the cat", "response": " sat"}'), tokenizer)
    prompt = prompt_tokens(tokenizer, "the cat")
    assert prompt[0] == first and example.tokens[: len(prompt)] == prompt
    assert example.tokens[1:-1] == tokenizer.encode("the cat sat") and example.tokens[-1] == tokenizer.end_id


def test_without_a_template_the_response_and_the_end_are_learned() -> None:
    tokenizer = CharTokenizer("12+=")
    row = row_of(1, '{"prompt": "1+1=", "response": "2"}')
    assert plain_example(row, tokenizer) == ([2, 4, 2, 5, 3, 1], [False] * 4 + [True] * 2)
    assert list(turns(row, tokenizer, None)) == [("1+1=", tokenizer.encode("1+1="), "1+1=", "2")]
    with pytest.raises(UserError, match="no chat template"):
        plain_example(ChatRow(1, tuple(FOUR)), tokenizer)
    with pytest.raises(UserError, match="special tokens"):
        examples(row, tokenizer, template(CHATML))


def test_tools_reach_the_template_and_calls_need_no_content() -> None:
    source = "{{ tools | tojson }}" + UNMARKED.replace("message['content'] +", "(message['content'] or 'called') +")
    line = {
        "messages": [FOUR[0], {"role": "assistant", "content": None, "tool_calls": [{"name": "add"}]}],
        "tools": [{"name": "add"}],
    }
    row = row_of(1, json.dumps(line))
    (example,) = examples(row, TOKENIZER, template(source))
    assert TOKENIZER.decode(example.tokens, special=True).startswith('[{"name": "add"}]<|im_start|>user')
    assert sum(example.loss_mask) == len(TOKENIZER.encode("called")) + 1


def test_prompts_are_what_the_model_reads_before_each_answer() -> None:
    read, tokens, asked, said = zip(*turns(ChatRow(1, tuple(FOUR)), TOKENIZER, template(CHATML)), strict=True)
    assert read == tuple(TOKENIZER.decode(ids, special=True) for ids in tokens)
    assert asked == ("What is 2 + 3?", "And é 👋?\nassistant")
    assert said == ("It is 5.", "Nothing, 🙂.")
    assert read[0] == "<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n"
    assert read[1].startswith(read[0] + "It is 5.<|im_end|>\n") and read[1].endswith("<|im_start|>assistant\n")


def test_control_tokens_that_a_row_spells_are_text() -> None:
    """A row cannot end its turn and begin others, unless that is asked for; what the assistant thinks stays thought."""
    made = train_tokenizer("bpe", ["user assistant hi the cat"] * 3, 290).backend
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.add_tokens(["<think>", "</think>"])
    tokenizer = SubwordTokenizer(made)
    thinks = template(CHATML + "{# <think></think> #}")
    end, start, think = (made.token_to_id(name) for name in ("<|im_end|>", "<|im_start|>", "<think>"))
    said = "hi <think>x</think><|im_end|><|im_start|>"
    row = ChatRow(1, ({"role": "user", "content": said}, {"role": "assistant", "content": said}))
    for asked, count in ((False, (2, 2, 1)), (True, (4, 4, 2))):
        (found,) = examples(row, tokenizer, thinks, asked)
        assert tuple(found.tokens.count(i) for i in (end, start, think)) == count
        (turn,) = turns(row, tokenizer, thinks, asked)
        assert found.tokens[: len(turn.tokens)] == turn.tokens and not any(found.loss_mask[: len(turn.tokens)])
        answer = [i for i, on in zip(found.tokens, found.loss_mask, strict=True) if on]
        assert answer[-1] == end and tokenizer.decode(answer, special=True) == said + "<|im_end|>"
    whole = ChatRow(1, tuple(FOUR))
    assert examples(whole, TOKENIZER, template(CHATML)) == examples(whole, TOKENIZER, template(CHATML), True)


GOOD = json.dumps({"messages": FOUR})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "not an object"),
        ('{"prompt": "x"}', "neither 'messages' nor 'response'"),
        ('{"text": "x"}', "neither 'messages' nor 'prompt'"),
        ('{"prompt": "x", "response": "  "}', "response is '  '"),
        ('{"prompt": "", "completion": "y"}', "prompt is ''"),
        ('{"messages": []}', r"messages is \[\]"),
        ('{"messages": "hi"}', "messages is 'hi'"),
        ('{"messages": ["hi"]}', "message 1 is 'hi'"),
        ('{"messages": [{"content": "x"}]}', "message 1 has no role"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "no message is the assistant's"),
        ('{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]}', "message 2, of the"),
        ('{"messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": "y"}]}', "message 1, of the"),
        ('{"prompt": "x", "response": "y", "tools": 3}', "tools is 3"),
    ],
)
def test_a_bad_row_is_told_with_its_line(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n")
    rows, wrong = read_rows(path)
    assert [row.line for row in rows] == [1, 4]
    assert len(wrong) == 1 and wrong[0].startswith(f"{path}, line 3: ") and "\n" not in wrong[0]
    with pytest.raises(UserError, match=told):
        row_of(3, line)


def test_what_follows_the_last_answer_is_left_out() -> None:
    assert row_of(1, json.dumps({"messages": [*FOUR, FOUR[0]]})) == ChatRow(1, tuple(FOUR))
    assert ChatRow(1, tuple(SYSTEM)).opening == "What is 2 + 3?"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for content, told in ((b" \n", "is empty"), (b"{}\n\xff", "line 2: this is not UTF-8"), (None, "cannot read")):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=told):
            read_rows(path)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"prompt,response\na,b\n", "a.csv is CSV; write one JSON object a line"),
        ("a.tsv", b"prompt\tresponse\n", "is TSV"),
        ("a.parquet", b"PAR1", "is Parquet"),
        ("a.jsonl", '{"prompt": "a"}'.encode("utf-16-le"), "is binary"),
        ("a.json", b'[{"prompt": "a", "response": "b"}]', "is a JSON array"),
        ("a.jsonl", gzip.compress(b"{}", mtime=0), "is compressed"),
    ],
)
def test_a_file_of_another_kind_is_told_as_what_it_is(name: str, data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=told):
        read_rows(tmp_path / name)
