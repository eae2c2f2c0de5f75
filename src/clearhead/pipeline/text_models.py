"""The language models of a run on text, decoder or recurrent: made new, and asked to write.

Deliberately not here: training them (text_stages), loading them (checkpoints.own) and measuring them (text_measure).
"""

from typing import get_args

from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import TextStream
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.encoder import EncoderConfig
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.nn.recurrent import Cell
from clearhead.pipeline.text_recipe import TextEvaluationConfig, TextRecipe
from clearhead.text.begin import prompt_tokens
from clearhead.text.protocol import Tokenizer

TextModel = Decoder | Recurrent


def new_model(recipe: TextRecipe, kind: str, vocab: int) -> TextModel:
    if kind == "decoder":
        return Decoder(recipe.decoder(vocab), seed=recipe.seed)
    return Recurrent(recipe.recurrent(cell_of(kind), vocab), seed=recipe.seed)


def new_recall_model(recipe: TextRecipe, kind: str) -> TextModel:
    """For the test of memory."""
    config = recipe.recall
    if kind == "decoder":
        return Decoder(config.decoder(), seed=recipe.seed)
    return Recurrent(config.recurrent(cell_of(kind)), seed=recipe.seed)


def cell_of(kind: str) -> Cell:
    cells: tuple[Cell, ...] = get_args(Cell)
    return next(cell for cell in cells if cell == kind)


def config_of(recipe: TextRecipe, kind: str, vocab: int) -> DecoderConfig | RecurrentConfig | EncoderConfig:
    """Its shape; an encoder reads one token more, the mask."""
    return recipe.encoder(vocab + 1) if kind == "encoder" else new_model(recipe, kind, vocab).config


def log_name(kind: str) -> str:
    """What the log and the checkpoint of its training are called."""
    return "pretrain" if kind == "decoder" else f"pretrain-{kind}"


def continuations(
    model: TextModel,
    tokenizer: Tokenizer,
    config: TextEvaluationConfig,
    prompts: tuple[str, ...],
    kv_memory: int | None = None,
) -> list[str]:
    """What the model writes after each prompt, the prompt included; after nothing, a text from its beginning."""
    sampling = SamplingParams(temperature=config.temperature, max_tokens=config.sample_tokens)
    begun = [opening(tokenizer, prompt) for prompt in prompts]
    engine = Engine(backend_for(model, kv_memory=kv_memory), tokenizer)
    most = engine.backend.max_positions - 1
    texts = ["".join(TextStream(engine, Request(tokens[-most:], sampling))) for tokens in begun]
    return [prompt + text for prompt, text in zip(prompts, texts, strict=True)]


def opening(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The prompt's tokens; the end of a text before, where there is no prompt."""
    if prompt:
        return prompt_tokens(tokenizer, prompt)
    assert tokenizer.end_id is not None
    return [tokenizer.end_id]
