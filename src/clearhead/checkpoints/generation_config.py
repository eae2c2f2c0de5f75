"""What a folder or a GGUF file says of generation: the tokens that end a text, and how its authors would sample."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from clearhead.errors import UserError, warn
from clearhead.generation.language_model import SamplingParams

GENERATION_CONFIG = "generation_config.json"
UNHEARD: dict[str, Any] = {  # they change what is written and are not used here, with the value that changes nothing
    "top_h": None, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0, "encoder_no_repeat_ngram_size": 0, "bad_words_ids": None,
    "force_words_ids": None, "constraints": None, "suppress_tokens": None, "begin_suppress_tokens": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "sequence_bias": None,
    "exponential_decay_length_penalty": None, "num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0.0,
    "length_penalty": 1.0, "penalty_alpha": None, "dola_layers": None, "guidance_scale": 1.0, "min_length": 0,
    "min_new_tokens": None, "stop_strings": None, "watermarking_config": None, "token_healing": False,
}  # fmt: skip
SAMPLED = {"top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"}  # of them those that count with do_sample alone
WHOLE = {"temperature": 1.0, "top_p": 1.0}  # what whoever says that a model samples means by saying no more

IN_GGUF = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}  # llama.cpp's name: ours
PREFIX = "general.sampling."
# What it reads beside these, with the value that changes nothing: its penalty looks back at the last tokens alone.
UNHEARD_GGUF = {"penalty_repeat": 1.0, "xtc_probability": 0.0, "mirostat": 0, "sequence": ""}


def end_ids(told: Mapping[str, Any], vocab: int, where: Path) -> frozenset[int]:
    """`eos_token_id`: a token, or a list of tokens any of which ends a text."""
    value = told.get("eos_token_id")
    found = value if isinstance(value, list) else [] if value is None else [value]
    for i in found:
        if not isinstance(i, int) or isinstance(i, bool):
            raise UserError(f"{where}: eos_token_id = {i!r:.40} is no token's number; write one without quotes")
    return frozenset(i for i in found if 0 <= i < vocab)  # small models are saved with the number of a large one


def _float(value: float, name: str, where: Path) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UserError(f"{where}: {name} = {value!r:.40} is too large; mend it, or delete it from the file") from None


def sampling(told: Mapping[str, Any], where: Path) -> dict[str, float]:
    """Fields of a SamplingParams, of a generation_config.json. Without do_sample it says nothing of how to draw.

    What else it asks for that would change a text is told in a warning.
    """
    unheard = [
        name for name, neutral in UNHEARD.items()
        if told.get(name) not in (None, neutral, [], {}) and (told.get("do_sample") or name not in SAMPLED)
    ]  # fmt: skip
    if unheard:
        warn(f"{where}: {', '.join(unheard)} cannot be honored; ignored")
    names = {field.name for field in fields(SamplingParams)} - {"max_tokens"}
    if not told.get("do_sample"):
        names = {"repetition_penalty"}
    found = dict(WHOLE) if told.get("do_sample") else {}
    for name in names:
        value = told.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}: {name} = {value!r:.40} is no number; mend it, or delete it from the file")
        if name == "top_k" and not isinstance(value, int):
            raise UserError(f"{where}: top_k = {value} is no whole number; mend it, or delete it from the file")
        found[name] = value if name == "top_k" else _float(value, name, where)
    try:
        SamplingParams(**found)  # type: ignore[arg-type]
    except (UserError, TypeError) as error:
        raise UserError(f"{where}: {error}; mend it, or delete it from the file") from None
    return found


def sampling_of_gguf(metadata: Mapping[str, Any]) -> dict[str, float]:
    """The same of the metadata of a GGUF file."""
    given = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
    if unheard := [key for key, neutral in UNHEARD_GGUF.items() if given.get(key, neutral) != neutral]:
        warn(f"{PREFIX}{f', {PREFIX}'.join(unheard)} cannot be honored; ignored")
    told = {ours: given[key] for key, ours in IN_GGUF.items() if key in given}
    if not told:
        return {}
    if isinstance(told.get("top_k"), int):
        told["top_k"] = max(told["top_k"], 0)  # llama.cpp keeps all tokens for less than 0 too
    return sampling({"do_sample": True, **told}, Path("its metadata"))


def gguf_words(drawn: Mapping[str, float]) -> dict[str, float]:
    """Metadata that says how to draw."""
    return {PREFIX + theirs: drawn[ours] for theirs, ours in IN_GGUF.items() if ours in drawn}
