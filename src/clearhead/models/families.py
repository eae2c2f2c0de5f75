"""The families of Hugging Face that are read: what each fixes, and every key of its config.json with its default.

A key is used by models.huggingface, or is FIXED to the values that change nothing, or is HARMLESS, or it is told. The
defaults are those of the configuration classes of transformers, which decide what a file means that leaves a key out.
"""

from collections.abc import Mapping
from typing import Any

from clearhead.config import nearest
from clearhead.errors import UserError, warn

LLAMA = {
    "norm": "rms",
    "positions": "rotary",
    "mlp": "swiglu",
    "qk_norm": False,
    "block": "pre",
    "norm_weight": "plain",
}
GPT = {"norm": "layer", "positions": "learned", "mlp": "gelu", "qk_norm": False, "norm_weight": "plain", "bias": "all"}
GEMMA = {**LLAMA, "mlp": "geglu", "norm_weight": "one_plus", "bias": "none", "embed_scale": True}
FAMILIES: dict[str, dict[str, Any]] = {  # what of a DecoderConfig is the same in all models of a family
    "gpt2": {**GPT, "block": "pre"},
    "openai-gpt": {**GPT, "block": "post"},
    "llama": LLAMA,
    "mistral": {**LLAMA, "bias": "none"},
    "qwen2": {**LLAMA, "bias": "qkv"},
    "qwen3": {**LLAMA, "bias": "none", "qk_norm": True},
    "gemma": GEMMA,
    "gemma2": {**GEMMA, "block": "sandwich"},
    "gemma3_text": {**GEMMA, "block": "sandwich", "qk_norm": True},
}
# The same of an EncoderDecoderConfig.
BART = {
    "norm": "layer", "block": "post", "bias": "all", "positions": "learned", "embed_norm": True, "norm_eps": 1e-5,
    "attention_scale": 0.0, "head_scale": False, "tied": True,
}  # fmt: skip
ENCODER_DECODERS: dict[str, dict[str, Any]] = {
    "t5": {
        "norm": "rms", "block": "pre", "bias": "none", "positions": "relative", "embed_norm": False,
        "attention_scale": 1.0, "embed_scale": False, "head_bias": False, "max_positions": 0,
    },
    "bart": BART,
    "marian": {**BART, "positions": "halves", "embed_norm": False},
}  # fmt: skip
ARCHITECTURES = {
    "t5": "T5ForConditionalGeneration", "bart": "BartForConditionalGeneration", "marian": "MarianMTModel",
    "gpt2": "GPT2LMHeadModel", "openai-gpt": "OpenAIGPTLMHeadModel", "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
    "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM",
}  # fmt: skip

_ALL = {  # of every class
    "is_causal": True, "is_encoder_decoder": False, "per_layer_config": None, "quantization_config": None,
    "compression_config": None,
}  # fmt: skip
_GPT = {
    **_ALL, "n_embd": 768, "n_layer": 12, "n_head": 12, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
}  # fmt: skip
_LLAMA = {
    **_ALL, "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu",
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "rope_parameters": None,
    "rope_scaling": None, "rope_theta": 10_000.0, "partial_rotary_factor": None,
    "original_max_position_embeddings": None,
}  # fmt: skip
_QWEN = {
    **_LLAMA, "vocab_size": 151936, "intermediate_size": 22016, "num_key_value_heads": 32,
    "max_position_embeddings": 32768, "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28,
    "layer_types": None,
}  # fmt: skip
_GEMMA = {
    **_LLAMA, "vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192, "tie_word_embeddings": True, "attention_bias": False,
    "use_bidirectional_attention": None,
}  # fmt: skip
_GEMMA2 = {
    **{key: value for key, value in _GEMMA.items() if key != "hidden_act"}, "hidden_size": 2304,
    "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
    "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256, "sliding_window": 4096,
    "layer_types": None, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0,
}  # fmt: skip
_BART = {
    **{key: value for key, value in _ALL.items() if not key.startswith("is_")}, "vocab_size": 50265, "d_model": 1024,
    "encoder_layers": 12, "decoder_layers": 12, "encoder_attention_heads": 16, "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096, "activation_function": "gelu", "scale_embedding": False,
    "max_position_embeddings": 1024, "pad_token_id": 1, "decoder_start_token_id": 2, "tie_word_embeddings": True,
    "normalize_before": None, "add_final_layer_norm": None, "add_bias_logits": None, "forced_bos_token_id": None,
    "encoder_no_repeat_ngram_size": None, "is_decoder": False,
}  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {  # of every key that is used or FIXED, as transformers has it
    "t5": {
        **{key: value for key, value in _ALL.items() if not key.startswith("is_")}, "vocab_size": 32128,
        "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_decoder_layers": None, "num_heads": 8,
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "relu", "pad_token_id": 0, "decoder_start_token_id": None, "tie_word_embeddings": True,
        "forced_bos_token_id": None, "is_decoder": False, "scale_decoder_outputs": None,
    },
    "bart": _BART,
    "marian": {
        **_BART, "vocab_size": 58101, "pad_token_id": 58100, "decoder_start_token_id": 58100,
        "share_encoder_decoder_embeddings": True, "decoder_vocab_size": None, "static_position_embeddings": None,
    },
    "gpt2": {
        **_GPT, "vocab_size": 50257, "n_positions": 1024, "n_inner": None, "activation_function": "gelu_new",
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
    },
    "openai-gpt": {**_GPT, "vocab_size": 40478, "n_positions": 512, "afn": "gelu"},
    "llama": {**_LLAMA, "attention_bias": False, "mlp_bias": False},
    "mistral": {
        **_LLAMA, "intermediate_size": 14336, "num_key_value_heads": 8, "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "qwen2": _QWEN,
    "qwen3": {**_QWEN, "head_dim": 128, "attention_bias": False},
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": {
        **_GEMMA2, "vocab_size": 262208, "max_position_embeddings": 131072, "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0, "sliding_window_pattern": 6, "final_logit_softcapping": None,
        "attn_logit_softcapping": None, "use_bidirectional_attention": False,
    },
}  # fmt: skip
_ENCODER = {**_ALL, "is_causal": False}
_BERT = {
    **_ENCODER, "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "tie_word_embeddings": True, "is_decoder": False, "add_cross_attention": False,
    "position_embedding_type": "absolute",
}  # fmt: skip
_ROBERTA = {**_BERT, "pad_token_id": 1}
ENCODERS: dict[str, dict[str, Any]] = {  # the same of the encoders
    "bert": _BERT,
    "roberta": {**_ROBERTA, "vocab_size": 50265},
    "xlm-roberta": _ROBERTA,
    "distilbert": {
        **_ENCODER, "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768,
        "hidden_dim": 3072, "activation": "gelu", "tie_word_embeddings": True,
    },
}  # fmt: skip
DEFAULTS |= ENCODERS
ALIASES = {  # other names of a key, which the family's class takes as well
    "gpt2": {
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    },
}  # fmt: skip
ALIASES["openai-gpt"] = ALIASES["gpt2"]
ALIASES["t5"] = {
    "hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers", "head_dim": "d_kv",
}  # fmt: skip
ALIASES["bart"] = ALIASES["marian"] = {
    "num_attention_heads": "encoder_attention_heads", "hidden_size": "d_model", "num_hidden_layers": "encoder_layers",
}  # fmt: skip
FIXED: dict[str, tuple[Any, ...]] = {  # the values that can be honored; the first is what a message asks for
    "attention_bias": (False, None), "mlp_bias": (False, None), "use_bidirectional_attention": (False, None),
    "scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False, None),
    "add_cross_attention": (False, None), "is_causal": (True,), "partial_rotary_factor": (1.0, None),
    "per_layer_config": (None, {}), "quantization_config": (None, {}), "compression_config": (None, {}),
    "is_encoder_decoder": (False, None), "is_decoder": (False, None), "position_embedding_type": ("absolute", None),
    "forced_bos_token_id": (None,), "encoder_no_repeat_ngram_size": (None, 0), "normalize_before": (False, None),
    "add_final_layer_norm": (False, None), "add_bias_logits": (False, None),
    "share_encoder_decoder_embeddings": (True, None), "static_position_embeddings": (True, None),
}  # fmt: skip
ENCODER_FIXED: dict[str, tuple[Any, ...]] = {"is_causal": (False, None)}
HARMLESS = {  # they describe the file, training, other heads, or tokens, which the text's own readers take up
    "model_type", "architectures", "transformers_version", "_name_or_path", "name_or_path", "_commit_hash", "dtype",
    "torch_dtype", "use_cache", "initializer_range", "attn_implementation", "_attn_implementation",
    "_attn_implementation_autoset", "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "hidden_dropout",
    "classifier_dropout", "pretraining_tp", "gradient_checkpointing", "bos_token_id", "eos_token_id", "pad_token_id",
    "sep_token_id", "cls_token_id", "decoder_start_token_id", "id2label", "label2id", "num_labels", "problem_type",
    "output_attentions", "output_hidden_states", "return_dict", "return_dict_in_generate", "use_return_dict",
    "chunk_size_feed_forward", "tokenizer_class", "prefix", "finetuning_task", "task_specific_params", "is_decoder",
    "cache_implementation", "n_ctx", "predict_special_tokens", "n_special", "summary_type", "summary_use_proj",
    "summary_activation", "summary_proj_to_labels", "summary_first_dropout", "reorder_and_upcast_attn",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "qa_dropout", "seq_classif_dropout",
    "sinusoidal_pos_embds", "_sliding_window_pattern", "is_llama_config", "unsloth_fixed", "unsloth_version",
    "transformers.js_config",
}  # fmt: skip
# Read by classes before and after a family's own, and by none for it: what they say is said by another key.
OLD = {"gemma": {"hidden_activation"}, "gemma2": {"hidden_act"}, "gemma3_text": {"hidden_act"}}
# How transformers would write with it, which here the request says, and what concerns training or earlier classes.
_BESIDE = {
    "is_encoder_decoder", "forced_eos_token_id", "max_length", "min_length", "num_beams", "length_penalty",
    "early_stopping", "no_repeat_ngram_size", "bad_words_ids", "activation_dropout", "classif_dropout",
    "encoder_layerdrop", "decoder_layerdrop", "init_std", "normalize_embedding", "extra_pos_embeddings", "save_step",
    "dropout_rate", "initializer_factor", "n_positions", "dense_act_fn", "is_gated_act", "output_past",
}  # fmt: skip
OLD |= dict.fromkeys(ENCODER_DECODERS, _BESIDE)
TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh")  # names of one approximation
SHOWN = 5  # unknown keys in a warning


def filled(plain: Mapping[str, Any], families: Mapping[str, Any] = FAMILIES) -> dict[str, Any]:
    """A config.json of one of the families with its default for each key that it leaves out.

    UserError for a family that is not read here and for a key that cannot be honored. Keys that the family's class does
    not know change nothing there either; they are told in a warning.
    """
    family = str(plain.get("model_type"))
    if family in ENCODERS and family not in families:
        raise UserError(f"model_type = {family!r} is an encoder, which reads and does not write; use clearhead embed")
    if family in FAMILIES and family not in families:
        raise UserError(f"model_type = {family!r} is no encoder; those of {', '.join(families)} embed texts")
    if family not in families:
        raise UserError(f"model_type = {family!r} is not a family read here{nearest(family, families)}")
    aliases = ALIASES.get(family, {})
    given = {aliases.get(key, key): value for key, value in plain.items()}
    for key, values in (FIXED | ENCODER_FIXED if family in ENCODERS else FIXED).items():
        if key in DEFAULTS[family] and key in given and given[key] not in values:
            cannot(key, given[key], str(values[0]).lower() if isinstance(values[0], bool) else str(values[0]))
    known = DEFAULTS[family].keys() | HARMLESS | OLD.get(family, set())
    unknown = [key for key, value in given.items() if key not in known and value not in (None, False, "", [], {})]
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        warn(f"config.json: no {family} model reads {', '.join(map(repr, unknown[:SHOWN]))}{more}; ignored")
    return {**DEFAULTS[family], **given}


def cannot(key: str, value: Any, possible: str) -> None:
    """UserError for a setting that would change numbers and that no decoder here has."""
    raise UserError(f"{key} = {value!r:.80} cannot be honored; only {possible} can")
