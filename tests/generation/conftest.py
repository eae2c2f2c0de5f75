"""A tiny real decoder with weights that say something (a new one predicts nothing: its logits are all 0)."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.text.tokenizer import END, CharTokenizer

TINY = {"vocab": 12, "d_model": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_ff": 24, "max_positions": 64}


def build_decoder(seed: int = 0, **changes: object) -> Decoder:
    decoder = Decoder(DecoderConfig(**{**TINY, **changes}))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.5, generator=generator)
    with torch.no_grad():
        (decoder.embed if decoder.head is None else decoder.head).weight[END] = 0  # texts of some length
    return decoder


@torch.no_grad()
def recompute(decoder: Decoder, tokens: list[int]) -> torch.Tensor:
    """The hidden states of a whole text in one causal pass."""
    row = torch.tensor([tokens])
    return decoder(row, torch.arange(len(tokens))[None], causal_attend())[0]


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tensors this small are slower with more, and far slower beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_decoder() -> Callable[..., Decoder]:
    return build_decoder


@pytest.fixture(scope="session")
def full_forward() -> Callable[[Decoder, list[int]], torch.Tensor]:
    return recompute


@pytest.fixture(scope="session")
def tokenizer() -> CharTokenizer:
    return CharTokenizer("\n+0123456")  # 9 characters and 2 specials: token 11 of the model stands for nothing


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
