"""The language models of a run on text, decoder or recurrent: made new, loaded, and asked to write.

Deliberately not here: training them (text_stages) and measuring them (text_measure).
"""

import numpy as np
import torch

from clearhead.checkpoints import own
from clearhead.generation.decode import Writer
from clearhead.generation.engine import textless
from clearhead.generation.language_model import SampleConfig
from clearhead.generation.sampling import apply_filters, cumulative, draw, uniforms
from clearhead.generation.writing import Writing
from clearhead.models.decoder import Decoder
from clearhead.models.recurrent import Recurrent
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.text_recipe import TextEvaluationConfig, TextRecipe
from clearhead.text.begin import prompt_tokens
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training import checkpoint

LanguageModel = Decoder | Recurrent
AnyTokenizer = CharTokenizer | SubwordTokenizer


def new_model(recipe: TextRecipe, kind: str, vocab: int) -> LanguageModel:
    if kind == "decoder":
        return Decoder(recipe.decoder(vocab), seed=recipe.seed)
    assert kind in ("lstm", "rnn")
    return Recurrent(recipe.recurrent("lstm" if kind == "lstm" else "rnn", vocab), seed=recipe.seed)


def load_kind(run: RunDir, recipe: TextRecipe, kind: str, device: torch.device) -> LanguageModel:
    """A trained model of the run."""
    model = new_model(recipe, kind, load_tokenizer(run).vocab_size)
    tensors, _ = checkpoint.load(run.model(kind))
    own.fill(model, tensors, run.model(kind))
    return model.to(device)


def record_name(kind: str) -> str:
    """What the record and the checkpoint of its training are called."""
    return "pretrain" if kind == "decoder" else f"pretrain-{kind}"


def continuations(
    model: LanguageModel, tokenizer: AnyTokenizer, config: TextEvaluationConfig, prompts: tuple[str, ...]
) -> list[str]:
    """What the model writes after each prompt, the prompt included; after nothing, a text from its beginning."""
    sampling = SampleConfig(temperature=config.temperature, max_tokens=config.sample_tokens)
    begun = [opening(tokenizer, prompt) for prompt in prompts]
    if isinstance(model, Recurrent):
        texts = [tokenizer.decode(_drawn(model, tokenizer, tokens, sampling)) for tokens in begun]
    else:
        writer, most = Writer(model), model.config.max_positions - 1
        texts = ["".join(Writing(writer, tokenizer, tokens[-most:], sampling, seed=0)) for tokens in begun]
    return [prompt + text for prompt, text in zip(prompts, texts, strict=True)]


def opening(tokenizer: AnyTokenizer, prompt: str) -> list[int]:
    """The prompt's tokens; the end of a text before, where there is no prompt."""
    if prompt:
        return prompt_tokens(tokenizer, prompt)
    assert tokenizer.end_id is not None
    return [tokenizer.end_id]


@torch.inference_mode()
def _drawn(model: Recurrent, tokenizer: AnyTokenizer, prompt: list[int], sampling: SampleConfig) -> list[int]:
    """The tokens after a prompt, drawn as a decoder's are; what was read is kept in the states."""
    device = model.head.weight.device
    never = textless(tokenizer, model.config.vocab).to(device)
    written: list[int] = []
    tokens, states = prompt, None
    while len(written) < sampling.max_tokens:
        hidden, states = model.read(torch.tensor([tokens], device=device), states)
        logits = model.logits(hidden[:, -1]).masked_fill(never, float("-inf"))
        at = np.array([len(prompt) + len(written)])
        u = torch.from_numpy(uniforms(np.zeros(1, np.uint64), np.zeros(1, np.int64), at)).to(device)
        tokens = draw(cumulative(apply_filters(logits, sampling)), u).tolist()
        if tokens[0] == tokenizer.end_id:
            break
        written += tokens
    return written
