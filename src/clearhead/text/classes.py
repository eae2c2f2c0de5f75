"""What transformers 5 makes of a tokenizer.json by the class that is named beside it.

Some classes keep its vocabulary, merges and added tokens alone, and have all other parts of their own. What comes of
that is what those models are used and measured with, so it counts here too, and a line says where the file differs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clearhead.errors import UserError, warn
from clearhead.text.patterns import GPT2, QWEN2

Part = dict[str, Any]
Vocabulary = Mapping[str, int]

AS_IT_IS = "PreTrainedTokenizerFast"  # the class that reads a tokenizer.json as it is
BY_FAMILY = {  # where no class is named
    "gpt2": "GPT2Tokenizer", "openai-gpt": "OpenAIGPTTokenizer", "qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer",
    "gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "gemma3_text": "GemmaTokenizer",
}  # fmt: skip
ALWAYS_BY_FAMILY, NEVER = {"qwen2"}, {"mistral"}  # whatever class is named
UNREAD = {  # they have parts of their own as well, which are not repeated here
    "AlbertTokenizer", "BarthezTokenizer", "BigBirdTokenizer", "BlenderbotTokenizer", "CLIPTokenizer",
    "CamembertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer", "EsmcTokenizer", "FunnelTokenizer",
    "HerbertTokenizer", "LasrTokenizer", "LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer", "LayoutXLMTokenizer",
    "LukeTokenizer", "MBart50Tokenizer", "MBartTokenizer", "MLukeTokenizer", "MPNetTokenizer", "NllbTokenizer",
    "NougatTokenizer", "PegasusTokenizer", "Qwen3_5Tokenizer", "ReformerTokenizer", "RemBertTokenizer",
    "RobertaTokenizer", "SeamlessM4TTokenizer", "Siglip2Tokenizer", "SplinterTokenizer", "T5Tokenizer",
    "Tipsv2Tokenizer", "UdopTokenizer", "VideoPrismTokenizer", "WhisperTokenizer", "XGLMTokenizer",
    "XLMRobertaTokenizer", "XLNetTokenizer",
}  # fmt: skip
PARTS = ("normalizer", "pre_tokenizer", "decoder", "post_processor")
MODEL = ("ignore_merges", "byte_fallback", "end_of_word_suffix")  # and what of a model decides its merges
NO_MATTER = {"trim_offsets", "pair"}  # fields of parts that change no ids of one text
CUT_AS_BYTES = [  # what a byte-level step does by itself if it is let
    {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    for expression in (GPT2, r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
]
END = "<|endoftext|>"
DEFAULT_TOKENS: dict[str, dict[str, str]] = {  # what the classes have where a file says nothing
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "CodeLlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "GemmaTokenizer": {
        "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
    },
    "GPT2Tokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), END),
    "CodeGenTokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), END),
    "GPTNeoXTokenizer": {**dict.fromkeys(("bos_token", "eos_token", "unk_token"), END), "pad_token": "<|padding|>"},
    "Qwen2Tokenizer": dict.fromkeys(("eos_token", "unk_token", "pad_token"), END),
    "OpenAIGPTTokenizer": {"unk_token": "<unk>"},
    "BertTokenizer": {
        "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    },
    "CohereTokenizer": {
        "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>", "unk_token": "<UNK>", "sep_token": "<SEP>",
        "pad_token": "<PAD>", "cls_token": "<CLS>", "mask_token": "<MASK_TOKEN>",
    },
}  # fmt: skip
FILL_IN = ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>", "<FILL_ME>")  # special tokens that CodeLlama's class adds


def class_of(family: str, named: str, byte_level: bool) -> str:
    """The class that reads a folder: by its model's family, the class that its files name, and whether it is of bytes.

    >>> class_of("llama", "LlamaTokenizerFast", False), class_of("qwen3", "", True)
    ('LlamaTokenizer', 'Qwen2Tokenizer')
    """
    name, own = named.removesuffix("Fast"), BY_FAMILY.get(family)
    if family in NEVER or (name == "LlamaTokenizer" and byte_level and family not in ALWAYS_BY_FAMILY):
        return AS_IT_IS
    if own is not None and (family in ALWAYS_BY_FAMILY or not name):
        return own
    return name or AS_IT_IS


def as_class(name: str, fields: Part, told: Mapping[str, Any], listed: Any, where: str) -> Part:
    """A tokenizer.json as that class reads it; `told` is what tokenizer_config.json says, `where` names the file.

    `listed` has the numbers of the added tokens where tokenizer_config.json gives them: then there are no others.
    A warning where the class has other parts than the file; UserError where its model is of another kind.
    """
    if name in UNREAD:
        warn(f"{where} is read as it is; the class named beside it, {name}, has parts of its own in transformers 5")
    model = fields.get("model")
    if name not in CLASSES or not isinstance(model, Mapping):
        return fields
    added = fields.get("added_tokens") or []
    own = CLASSES[name](dict(model["vocab"]) | {token["content"]: token["id"] for token in added}, told)
    if (kind := model.get("type", own["model"]["type"])) != own["model"]["type"]:
        raise UserError(
            f"{where} is a {kind} and its class {name} a {own['model']['type']}; set tokenizer_class in "
            f"tokenizer_config.json to {AS_IT_IS!r} and it is read as it is"
        )
    other = [part for part in PARTS if part in own and _plain(fields.get(part)) != _plain(own[part])]
    other += [key for key in MODEL if (model.get(key) or None) != (own["model"].get(key) or None)]
    if other:
        warn(f"{where}: {', '.join(other)} by its class {name}, as in transformers 5; {AS_IT_IS!r} keeps the file's")
    kept = {key: model[key] for key in ("vocab", "merges") if key in model}
    if isinstance(listed, Mapping):
        added = [token for token in added if str(token["id"]) in listed]
    return {**fields, **own, "model": own["model"] | kept, "added_tokens": added}


def _plain(part: Any) -> Any:
    """A part without what changes no ids, so that two ways to write the same one are equal."""
    if not isinstance(part, Mapping):
        return [_plain(each) for each in part] if isinstance(part, list) else part
    if part.get("type") == "Sequence":
        inside = _plain(next((value for key, value in part.items() if key != "type"), None))
        if isinstance(inside, list) and len(inside) == 2 and inside[0] in CUT_AS_BYTES:
            return {**inside[1], "use_regex": True} if inside[1].get("use_regex") is False else inside
        return inside[0] if isinstance(inside, list) and len(inside) == 1 else inside
    usual = {"use_regex": True} if part.get("type") == "ByteLevel" else {}
    return {key: _plain(value) for key, value in {**usual, **part}.items() if key not in NO_MATTER}


def _bpe(**said: Any) -> Part:
    usual = {"dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {"type": "BPE", "continuing_subword_prefix": None, "end_of_word_suffix": None, **usual, **said}


def _spaced(prefix: bool) -> Part:
    """From the sign for a space and bytes to text, without the space that the first word begins with."""
    steps: list[Part] = [_replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    return {"type": "Sequence", "decoders": steps + strip}


def _replace(this: str, by: str) -> Part:
    return {"type": "Replace", "pattern": {"String": this}, "content": by}


def _sequence(*steps: Part) -> Part:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def _bytes(told: Mapping[str, Any], use_regex: bool = True) -> Part:
    prefix = bool(told.get("add_prefix_space"))
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


BYTES_BACK = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def _token(told: Mapping[str, Any], name: str, usual: str) -> str:
    given = told.get(name, usual)
    return str(given.get("content") if isinstance(given, Mapping) else given)


def _framed(pieces: list[str], vocabulary: Vocabulary) -> Part:
    """Tokens around the text, which is called A; a second text is for models that are not read here."""
    single = [{"Sequence" if piece == "A" else "SpecialToken": {"id": piece, "type_id": 0}} for piece in pieces]
    tokens = [piece for piece in pieces if piece != "A"]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in tokens},
    }


def _llama(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    prefix = told.get("add_prefix_space") is not False
    scheme = "never" if not prefix else "always" if told.get("legacy") else "first"
    cut = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
    model = _bpe(fuse_unk=True, byte_fallback=True)
    return {"model": model, "normalizer": None, "pre_tokenizer": cut, "decoder": _spaced(prefix)}


def _code_llama(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    own = _llama(vocabulary, {**told, "legacy": False})
    model = {**own["model"], "unk_token": _token(told, "unk_token", "<unk>")}
    begin = _token(told, "bos_token", "<s>")
    framed = {"post_processor": _framed([begin, "A"], vocabulary)} if begin in vocabulary else {}
    return {**own, **framed, "model": model, "decoder": _spaced(True)}


def _gemma(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    cut = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    model = _bpe(fuse_unk=True, byte_fallback=True, unk_token=_token(told, "unk_token", "<unk>"))
    return {"model": model, "normalizer": _replace(" ", "▁"), "pre_tokenizer": cut, "decoder": _spaced(False)}


def _gpt2(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    return {"model": _bpe(), "normalizer": None, "pre_tokenizer": _bytes(told), "decoder": BYTES_BACK}


def _gpt_neox(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    return {**_gpt2(vocabulary, told), "normalizer": {"type": "NFC"}, "post_processor": None}


def _qwen2(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    split = {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}
    return {
        **_gpt2(vocabulary, told),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": _sequence(split, _bytes(told, use_regex=False)),
    }


def _cohere(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    digits = {"type": "Digits", "individual_digits": True}
    return {
        **_gpt2(vocabulary, told),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": _sequence(digits, _bytes(told)),
    }


def _openai_gpt(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    return {
        "model": _bpe(end_of_word_suffix="</w>", unk_token=_token(told, "unk_token", "<unk>")),
        "normalizer": _bert_normalizer(),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
    }


def _bert_normalizer(chinese: Any = True, strip: Any = None, lower: Any = True) -> Part:
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": bool(chinese),
            "strip_accents": strip, "lowercase": bool(lower)}  # fmt: skip


def _bert(vocabulary: Vocabulary, told: Mapping[str, Any]) -> Part:
    flags = (told.get("tokenize_chinese_chars", True), told.get("strip_accents"), told.get("do_lower_case", True))
    first, last = _token(told, "cls_token", "[CLS]"), _token(told, "sep_token", "[SEP]")
    unknown = _token(told, "unk_token", "[UNK]")
    return {
        "model": {
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        },
        "normalizer": _bert_normalizer(*flags),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "post_processor": _framed([first, "A", last], {first: 2, last: 3, **vocabulary}),
    }  # fmt: skip


CLASSES: dict[str, Callable[[Vocabulary, Mapping[str, Any]], Part]] = {
    "LlamaTokenizer": _llama, "CodeLlamaTokenizer": _code_llama, "GemmaTokenizer": _gemma, "GPT2Tokenizer": _gpt2,
    "CodeGenTokenizer": _gpt2, "GPTNeoXTokenizer": _gpt_neox, "Qwen2Tokenizer": _qwen2, "CohereTokenizer": _cohere,
    "OpenAIGPTTokenizer": _openai_gpt, "BertTokenizer": _bert,
}  # fmt: skip
