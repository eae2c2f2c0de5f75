"""A tiny BERT of random weights as a folder that sentence-transformers would write."""

import json
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from clearhead.models.bert import config_to, tensors_to
from clearhead.models.encoder import Encoder, EncoderConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = string.ascii_lowercase + string.digits + ".,?"
VOCABULARY = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "##ing"]
MODULES = ("Transformer", "Pooling", "Normalize")


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordPiece({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.add_special_tokens(list(SPECIAL))
    made.enable_truncation(8)  # as published files have it, for a use that is over
    made.enable_padding(length=8)
    return made


def write_encoder(
    folder: Path, modules: tuple[str, ...] = MODULES, pooling: dict[str, Any] | None = None, most: int = 24,
    **config: Any,
) -> Path:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    shape = {"d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 48, "max_positions": 40, "token_types": 2}
    encoder = Encoder(EncoderConfig(vocab=len(VOCABULARY), **{**shape, **config}))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.15 * torch.randn(weight.shape, generator=generator))
    save_file(tensors_to(encoder), folder / "model.safetensors")
    write(folder / "config.json", config_to(encoder.config))
    tokenizer().save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"})
    if modules:
        where = ("", "1_Pooling", "2_Normalize")
        kinds = [
            {"path": at, "type": f"sentence_transformers.models.{kind}"}
            for at, kind in zip(where, modules, strict=False)
        ]
        write(folder / "modules.json", kinds)
        write(folder / "1_Pooling" / "config.json", pooling or {"pooling_mode_mean_tokens": True})
        write(folder / "sentence_bert_config.json", {"max_seq_length": most, "do_lower_case": False})
    return folder


def write(file: Path, data: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(data), encoding="utf-8")
