"""A run on text whose model is an encoder: it learns, is measured, and its folder is a BERT that others read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_text import write_text_recipe

from clearhead.checkpoints.embedder import load_embedder, load_encoder
from clearhead.cli.main import main
from clearhead.text.packing import IGNORE_INDEX, Batch
from clearhead.training.jsonl_log import read

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    recipe = write_text_recipe(folder)
    text = recipe.read_text(encoding="utf-8")  # what is compared is of models that predict the next token
    recipe.write_text(text[: text.index("[recall]")] + text[text.index("[evaluation]") :], encoding="utf-8")
    settings = ("model.kind=encoder", "pretrain.adam_lr=0.01")
    told = [part for setting in settings for part in ("--set", setting)]
    assert main(["run", str(recipe), "--out", str(folder / "run"), *told]) == 0
    return folder / "run"


def test_it_learns_to_fill_in(run: Path) -> None:
    evals = [event for event in read(run / "pretrain-encoder.jsonl") if event["kind"] == "eval"]
    assert evals[-1]["held_out_loss"] < 0.8 * evals[0]["held_out_loss"]
    found = json.loads((run / "evaluation" / "encoder.json").read_text(encoding="utf-8"))
    assert found["accuracy"] > 0.3 and found["loss"] == pytest.approx(evals[-1]["held_out_loss"], rel=0.3)
    assert found["filled"] and all(f"[{gap['guess']}]" in gap["text"] for gap in found["filled"])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Masked tokens" in page and "of the tokens that are hidden" in page


def test_its_folder_is_a_bert_that_transformers_reads(run: Path) -> None:
    import transformers

    encoder = load_encoder(run / "encoder", CPU)
    model = transformers.BertForMaskedLM.from_pretrained(run / "encoder").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "encoder")
    assert tokenizer.mask_token_id == encoder.config.vocab - 1
    ids = torch.tensor([tokenizer("the [MASK] sees the bird.").input_ids])
    with torch.no_grad():
        assert torch.allclose(encoder.logits(encoder(ids)), model(ids).logits, atol=1e-4)
    found = load_embedder(str(run / "encoder"), CPU).embed(["the cat sees the dog.", "the cat sees the bird."])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_gap_shows_its_own_document_alone() -> None:
    from clearhead.models.encoder import Encoder, EncoderConfig
    from clearhead.pipeline.text_encoder import filled_in
    from clearhead.text.tokenizer import CharTokenizer

    tokenizer = CharTokenizer("abcdef")
    a, mask = tokenizer.encode("a")[0], tokenizer.vocab_size
    model = Encoder(EncoderConfig(mask + 1, d_model=16, n_heads=2, d_ff=16, n_layers=1, max_positions=8))
    tokens = np.array([[a, a + 1, mask, a + 3, a + 4, a + 5]])
    targets = np.where(tokens == mask, a + 2, IGNORE_INDEX)
    batch = Batch(tokens, np.array([[0, 0, 1, 2, 0, 1]]), np.array([[1, 2, 2, 2, 3, 3]]), targets)
    (gap,) = filled_in(model, tokenizer, batch)
    assert gap == {"text": f"b[{gap['guess']}]d", "truth": "c", "guess": gap["guess"]}
