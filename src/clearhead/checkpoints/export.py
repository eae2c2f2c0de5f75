"""A model as files that stand for themselves: a folder of Hugging Face, a GGUF file, or a run with other weights.

Deliberately not here: models that no family has; they are told so.
"""

import shutil
from pathlib import Path
from typing import Any

from clearhead.checkpoints import own
from clearhead.checkpoints.generation_config import GENERATION_CONFIG, gguf_words
from clearhead.checkpoints.load import LoadedModel, json_object
from clearhead.errors import UserError
from clearhead.files import whole, write_json, write_text
from clearhead.formats import gguf, safetensors
from clearhead.formats.gguf import is_gguf, read_metadata
from clearhead.models import gguf as llama_cpp
from clearhead.models import pair_families
from clearhead.models.decoder import DecoderConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.gguf import architecture_of
from clearhead.models.huggingface import config_to, family_of, tensors_to
from clearhead.text.char_export import as_subword
from clearhead.text.gguf_export import to_metadata
from clearhead.text.load import load_chat_template
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training import checkpoint

BESIDE = (  # what a folder says about its text
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "generation_config.json",
    "additional_chat_templates/*.jinja",
)  # fmt: skip


def check(loaded: LoadedModel) -> None:
    """UserError, before any work, if such a model has no form to be written in."""
    if not own.is_own(loaded.path):
        family_of(loaded.decoder.config)


def missing_form(config: DecoderConfig) -> str | None:
    """What a decoder cannot be exported as, and why; None where every form can hold it."""
    try:
        architecture_of(config)
    except UserError as error:
        return str(error)
    return None


def write_model(loaded: LoadedModel, folder: Path) -> None:
    """The model as it is in memory, in the form in which it was found. Its weights are written last."""
    if own.is_own(loaded.path):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.toml", "state.json", own.TOKENIZER):
            if (loaded.path / name).is_file():
                copy_file(loaded.path / name, folder / name)
        _, described = checkpoint.load(loaded.path / own.FILES["decoder"])
        checkpoint.save(folder / own.FILES["decoder"], dict(loaded.decoder.state_dict()), described)
        return
    write_folder(loaded, folder)


def write_folder(loaded: LoadedModel, folder: Path) -> None:
    """As a folder of Hugging Face, the weights last."""
    family = family_of_source(loaded)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config_of(loaded))
    write_text_files(loaded, folder)
    write_ends(loaded, folder)
    if isinstance(loaded.model, EncoderDecoder):
        tensors = pair_families.tensors_to(loaded.model, family)
    else:
        tensors = tensors_to(loaded.decoder, family)
    safetensors.write_folder(folder, tensors)


def subword_of(loaded: LoadedModel) -> SubwordTokenizer:
    """Its tokenizer as other programs read one."""
    tokenizer = loaded.tokenizer
    if isinstance(tokenizer, CharTokenizer):
        return as_subword(tokenizer)
    assert isinstance(tokenizer, SubwordTokenizer)
    return tokenizer


def family_of_source(loaded: LoadedModel) -> str:
    source = loaded.path / "config.json"
    if isinstance(loaded.model, EncoderDecoder):
        return pair_families.family_of(loaded.model.config)
    return str(json_object(source)["model_type"]) if source.is_file() else family_of(loaded.decoder.config)


def config_of(loaded: LoadedModel) -> dict[str, Any]:
    """The folder's own config.json, with the type that the weights have now; made anew if there is none."""
    source = loaded.path / "config.json"
    kind = str(next(loaded.model.parameters()).dtype).removeprefix("torch.")
    if isinstance(loaded.model, EncoderDecoder):
        plain = json_object(source) if source.is_file() else pair_families.config_to(loaded.model.config)
    else:
        plain = json_object(source) if source.is_file() else config_to(loaded.decoder.config)
        plain["tie_word_embeddings"] = loaded.decoder.config.tied  # a file may have a head of its own all the same
    plain.pop("torch_dtype", None)
    plain.pop("quantization_config", None)
    if loaded.tokenizer.end_id is not None:
        plain.setdefault("eos_token_id", loaded.tokenizer.end_id)
    return {**plain, "dtype": kind}


def write_text_files(loaded: LoadedModel, folder: Path) -> None:
    """Tokenizer and chat template: those of a folder as they are, others in its words."""
    source = loaded.text_path or loaded.path
    for name in BESIDE if source.is_dir() and not own.is_own(source) else ():
        for file in sorted(source.glob(name)):
            (folder / name).parent.mkdir(exist_ok=True)
            copy_file(file, folder / file.relative_to(source))
    if not (folder / "tokenizer.json").is_file():
        write_text(folder / "tokenizer.json", subword_of(loaded).to_json())
    if not (folder / "tokenizer_config.json").is_file():
        write_json(folder / "tokenizer_config.json", tokenizer_config(loaded))
    if loaded.template is not None and load_chat_template(folder) is None:  # the base's, beside an adapter's tokenizer
        write_text(folder / "chat_template.jinja", loaded.template.source)


def write_ends(loaded: LoadedModel, folder: Path) -> None:
    """All that ends an answer, and how to draw one, where the files that were copied do not say it."""
    file, ends = folder / GENERATION_CONFIG, sorted(loaded.tokenizer.end_ids)
    told = json_object(file) if file.is_file() else {}
    if loaded.sampling and not told:
        told = {"do_sample": True, **loaded.sampling}
        write_json(file, told)
    stated = told.get("eos_token_id", json_object(folder / "config.json").get("eos_token_id"))
    if set(ends) - ({stated} if isinstance(stated, int) else set(stated or ())):
        write_json(file, {**told, "eos_token_id": ends if len(ends) > 1 else ends[0]})


def tokenizer_config(loaded: LoadedModel) -> dict[str, Any]:
    told: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if loaded.template is not None:
        told |= loaded.template.tokens
        named = {"default": loaded.template.source, "tool_use": loaded.template.tool_use}
        several = [{"name": name, "template": source} for name, source in named.items() if source is not None]
        told["chat_template"] = loaded.template.source if len(several) == 1 else several
    tokenizer = subword_of(loaded)
    for name, i in (("eos_token", tokenizer.end_id), ("pad_token", tokenizer.pad_id)):
        if i is not None:
            told.setdefault(name, tokenizer.backend.id_to_token(i))
    return told


def copy_file(source: Path, target: Path) -> None:
    with whole(target) as part:
        shutil.copyfile(source, part)


def write_gguf(loaded: LoadedModel, path: Path, kind: str) -> None:
    """One file with weights, tokenizer and chat template. `kind`: one of `gguf.WRITTEN`, for the matrices."""
    metadata = llama_cpp.metadata_of(loaded.decoder.config)
    name = Path(loaded.name).name.removesuffix(".gguf") or "model"
    told = {**metadata, "general.name": name, **gguf_words(loaded.sampling), **text_metadata(loaded)}
    tensors = llama_cpp.tensors_to(loaded.decoder, metadata["general.architecture"])
    gguf.write(path, told, {key: tensor.float().cpu().numpy() for key, tensor in tensors.items()}, kind)


def text_metadata(loaded: LoadedModel) -> dict[str, Any]:
    """Tokenizer and chat template: those of a GGUF file as they are, others in its words."""
    if is_gguf(loaded.path) and loaded.text_path is None:
        return {k: v for k, v in read_metadata(loaded.path).items() if k.startswith("tokenizer.")}
    return to_metadata(subword_of(loaded), loaded.template, loaded.decoder.config.vocab)
