"""What files beside tokenizer.json say of tokens, beginnings, ends and templates: transformers reads them as we do."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from clearhead.errors import Ignored, UserError
from clearhead.text.load import load_chat_template, load_tokenizer
from clearhead.text.subword import SubwordTokenizer

TEXTS = ("hi<|im_end|>there", "<|im_start|>user\nhi <|im_end|>\n", "<s>the cat</s>", " a <tool> b<x>", "<|pad|><sep>")
CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


def backend(bos: bool = False) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        ["the cat"],
        trainers.BpeTrainer(vocab_size=256, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )
    made.add_special_tokens(["<s>"])
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    return made


def token(content: str, special: bool = True, **flags: Any) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
            "special": special, **flags}  # fmt: skip


FILES: dict[str, dict[str, dict[str, Any]]] = {
    "nothing": {},
    "added_tokens_decoder": {CONFIG: {"eos_token": "<|im_end|>", "added_tokens_decoder": {
        "257": token("<|im_start|>"), "258": token("<|im_end|>"), "259": token("<tool>", special=False)}}},
    "strips": {CONFIG: {"added_tokens_decoder": {"257": token("<|im_end|>", lstrip=True, rstrip=True)}}},
    "additional_special_tokens": {CONFIG: {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}},
    "extra_special_tokens": {CONFIG: {"extra_special_tokens": ["<|im_start|>", "<x>"]}},
    "named tokens": {CONFIG: {"eos_token": "</s>",
                              "pad_token": token("<|pad|>", __type="AddedToken"), "sep_token": "<sep>"}},
    "model's own": {CONFIG: {"extra_special_tokens": {"tool_token": "<tool>"}, "x_token": "<x>"}},
    "added_tokens.json": {ADDED: {"<|im_end|>": 258, "<|im_start|>": 257}, CONFIG: {}},
    MAP: {MAP: {"eos_token": "</s>", "additional_special_tokens": ["<x>"]}},
    "both of them": {MAP: {"eos_token": token("<|im_end|>")}, ADDED: {"<|im_end|>": 257},
                     CONFIG: {"eos_token": "<s>"}},
    "a map that a decoder overrules": {MAP: {"eos_token": "<x>"}, CONFIG: {
        "eos_token": "<|im_end|>", "added_tokens_decoder": {"257": token("<|im_end|>")}}},
    "add_bos_token": {CONFIG: {"bos_token": "<s>", "add_bos_token": True}},
    "add_eos_token": {CONFIG: {"bos_token": "<s>", "eos_token": "</s>", "add_eos_token": True}},
    "both ends": {CONFIG: {"bos_token": "<s>", "eos_token": "</s>", "add_eos_token": True, "add_bos_token": True}},
    "add_bos_token is false": {CONFIG: {"bos_token": "<s>", "add_bos_token": False}},
    "add_bos_token without one": {CONFIG: {"add_bos_token": True}},
}  # fmt: skip


def write(folder: Path, files: dict[str, dict[str, Any]], bos: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    backend(bos).save(str(folder / "tokenizer.json"))
    usual = {CONFIG: {}}
    for name, told in (usual | files).items():
        kind = {"tokenizer_class": "PreTrainedTokenizerFast"} if name == CONFIG else {}
        (folder / name).write_text(json.dumps({**kind, **told}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("case", FILES)
def test_the_ids_of_transformers(case: str, bos: bool, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write(tmp_path / "x", FILES[case], bos)
    theirs = AutoTokenizer.from_pretrained(str(folder))
    ours = load_tokenizer(folder)
    assert isinstance(ours, SubwordTokenizer)
    for text in TEXTS:
        assert ours.encode(text, special=True) == theirs.encode(text, add_special_tokens=False), text
        assert ours.encode(text, special=True, add_special_tokens=True) == theirs.encode(text), text
    if theirs.eos_token_id is not None:
        assert ours.end_id == theirs.eos_token_id
    assert set(theirs.all_special_ids) <= set(ours.specials)


def test_a_token_with_another_number_is_told(tmp_path: Path) -> None:
    files = {CONFIG: {"added_tokens_decoder": {"300": token("<x>")}}}
    with pytest.raises(UserError, match="'<x>' is number 300, but it is 257 there; take both from one place"):
        load_tokenizer(write(tmp_path, files))


def test_dropout_is_for_learning(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", {})
    fields = json.loads((folder / "tokenizer.json").read_text())
    want = load_tokenizer(folder).encode("the cat the cat")
    (folder / "tokenizer.json").write_text(json.dumps({**fields, "model": {**fields["model"], "dropout": 1.0}}))
    with pytest.warns(Ignored, match=r"its dropout of 1.0 is for learning"):
        assert load_tokenizer(folder).encode("the cat the cat") == want


def test_settings_that_nobody_reads_are_told(tmp_path: Path) -> None:
    with pytest.warns(Ignored, match="'split_by_moon' says what tokenizer.json does not do; ignored"):
        load_tokenizer(write(tmp_path, {CONFIG: {"split_by_moon": True, "legacy": False}}))
    with pytest.raises(UserError, match="split_special_tokens = true cannot be honored; only false can"):
        load_tokenizer(write(tmp_path, {CONFIG: {"split_special_tokens": True}}))
    with pytest.warns(Ignored, match="'add_bos_token' says what tokenizer.json does not do; ignored"):
        load_tokenizer(write(tmp_path, {CONFIG: {"bos_token": "<s>", "add_bos_token": True}}))


TEMPLATES: dict[str, Any] = {
    "tools are none": "{% if tools is not none %}{{ tools|length }} tools {% endif %}{{ messages[0].content }}",
    "documents": "{% if documents is none %}no documents {% endif %}{{ documents|tojson }}",
    "named": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with {{ tools[0].name }}"}],
    "tokens": "{{ bos_token }}{{ eos_token }}{{ tool_token }}{{ x_token }}",
    "nothing said": "{% for m in messages %}{{ m.role }}{% if m.content is defined %}+{% endif %}{% endfor %}",
}


@pytest.mark.parametrize("tools", [None, [{"name": "f"}]], ids=["plain", "tools"])
@pytest.mark.parametrize("case", TEMPLATES)
@pytest.mark.parametrize("where", ["config", "files"])
def test_the_texts_of_transformers(where: str, case: str, tools: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    told = {"bos_token": "<s>", "eos_token": "</s>", "extra_special_tokens": {"tool_token": "<tool>"}, "x_token": "<x>"}
    folder = write(
        tmp_path / "x",
        {CONFIG: told | ({"chat_template": TEMPLATES[case]} if where == "config" else {})},
    )
    if where == "files":
        several = (
            TEMPLATES[case] if isinstance(TEMPLATES[case], list) else [{"name": "default", "template": TEMPLATES[case]}]
        )
        (folder / "additional_chat_templates").mkdir()
        for one in several:
            default = one["name"] == "default"
            file = "chat_template.jinja" if default else f"additional_chat_templates/{one['name']}.jinja"
            (folder / file).write_text(one["template"])
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}]
    template = load_chat_template(folder)
    assert template is not None
    want = AutoTokenizer.from_pretrained(str(folder)).apply_chat_template(chat, tools=tools, tokenize=False)
    assert template.render(chat, **({"tools": tools} if tools else {})).text == want


def test_copies_are_the_same_tokenizer(tmp_path: Path) -> None:
    ours = load_tokenizer(write(tmp_path, FILES["added_tokens_decoder"]))
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert again.encode(TEXTS[1], special=True) == ours.encode(TEXTS[1], special=True)
        assert (again.end_ids, again.pad_id, again.specials) == (ours.end_ids, ours.pad_id, ours.specials)


def test_a_token_beyond_the_embedding_is_told_where_a_text_has_it(tmp_path: Path) -> None:
    import dataclasses

    ours = dataclasses.replace(load_tokenizer(write(tmp_path, FILES["added_tokens_decoder"])), embedded=258)
    assert ours.encode("<|im_start|>hi<|im_end|>")  # spelled as text
    with pytest.raises(UserError, match=r"'<\|im_end\|>', which the tokenizer has and the model does not"):
        ours.encode("<|im_start|>hi<|im_end|>", special=True)


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "Qwen2Tokenizer"])
def test_a_vocabulary_and_its_merges_are_a_tokenizer(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False, initial_alphabet=alphabet
    )
    made.train_from_iterator(["the cat sat on the mat", "é 123"] * 3, trainer)
    told = json.loads(made.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(told["vocab"]))
    merges = "\n".join(merge if isinstance(merge, str) else " ".join(merge) for merge in told["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    (tmp_path / CONFIG).write_text(json.dumps({"tokenizer_class": kind}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    ours, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(str(tmp_path))
    assert isinstance(ours, SubwordTokenizer)
    for text in (*TEXTS, "the cat sat\n\n  on 1234 mats, it's e\u0301 \u00e9", "<|endoftext|>"):
        assert ours.encode(text, special=True) == theirs.encode(text, add_special_tokens=False), text
    assert ours.end_id == theirs.eos_token_id
