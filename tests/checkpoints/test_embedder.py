"""Vectors of texts, held to the transformers library with each pooling written out anew."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders import MODULES, write, write_encoder

import clearhead
from clearhead.agents.vectors import Embedding, VectorStore
from clearhead.checkpoints.embedder import Embedder, load_embedder
from clearhead.checkpoints.load import MINILM, packaged
from clearhead.errors import Ignored, UserError

TEXTS = ["the cat sat.", "a", "", "the king is walking home, is he?", "the dog sat."]
CPU = torch.device("cpu")


def load(folder: Path) -> Embedder:
    return load_embedder(str(folder), CPU)


def theirs(folder: Path, texts: list[str], pooling: str, most: int) -> np.ndarray:
    """One text at a time, so that no padding has a part in it."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=most, return_tensors="pt", padding=False).input_ids
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0]
        found.append(
            {
                "cls": hidden[0], "mean": hidden.mean(0), "max": hidden.max(0).values, "lasttoken": hidden[-1],
                "mean_sqrt_len_tokens": hidden.sum(0) / len(hidden) ** 0.5,
            }[pooling]
        )  # fmt: skip
    return torch.stack(found).numpy()


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken", "mean_sqrt_len_tokens"])
def test_each_pooling_is_what_the_library_s_states_give(tmp_path: Path, pooling: str) -> None:
    folder = write_encoder(tmp_path / "m", MODULES[:2], {"pooling_mode": pooling, "word_embedding_dimension": 32})
    found = load(folder).embed(TEXTS)
    assert np.abs(found - theirs(folder, TEXTS, pooling, 24)).max() < 1e-5
    assert found.std() > 0.1


def test_several_poolings_stand_side_by_side_and_normalized_vectors_have_length_1(tmp_path: Path) -> None:
    told = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": False}
    model = load(write_encoder(tmp_path / "m", pooling=told))
    found = model.embed(TEXTS)
    assert found.shape == (5, 64) and model.dimension == 64
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    both = np.concatenate([theirs(model.path, TEXTS, pooling, 24) for pooling in ("cls", "mean")], 1)
    assert np.abs(found - both / np.linalg.norm(both, axis=1, keepdims=True)).max() < 1e-6


def test_a_vector_does_not_depend_on_the_company(tmp_path: Path) -> None:
    model = load(write_encoder(tmp_path / "m"))
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    assert np.abs(model.embed(TEXTS) - alone).max() < 1e-6
    assert model.embed([]).shape == (0, 32)


def test_a_long_text_is_cut_as_the_library_cuts_it_and_that_is_told(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m", MODULES[:2], most=10)
    long = "the king is walking home to the other king"
    with pytest.warns(Ignored, match="1 of 2 texts have more than the 10 tokens"):
        found = load(folder).embed([long, "a"])
    assert np.abs(found - theirs(folder, [long, "a"], "mean", 10)).max() < 1e-5


def test_the_context_is_the_limit_where_no_file_names_one(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    (folder / "sentence_bert_config.json").unlink()
    assert load(folder).max_tokens == 40


def test_prompts(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    plain = load(folder).embed(["query: cat", "passage: cat", "cat"])
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "passage": "passage: "}})
    model = load(folder)
    assert np.allclose(model.queries(["cat"]), plain[:1]) and np.allclose(model.documents(["cat"]), plain[1:2])
    assert np.allclose(model.embed(["cat"]), plain[2:], atol=1e-6)
    usual = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    write(folder / "config_sentence_transformers.json", usual)
    assert np.allclose(load(folder).embed(["cat"]), plain[:1])
    write(folder / "1_Pooling" / "config.json", {"pooling_mode": "mean", "include_prompt": False})
    with pytest.raises(UserError, match="leaves its prompt out of the pooling"):
        load(folder).embed(["cat"])


def test_without_a_word_about_pooling_the_mean_is_taken_and_told(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m", modules=())
    with pytest.warns(Ignored, match="does not say how texts become vectors; the mean of their tokens"):
        model = load(folder)
    assert np.abs(model.embed(TEXTS) - theirs(folder, TEXTS, "mean", 40)).max() < 1e-5


@pytest.mark.parametrize(
    ("file", "data", "told"),
    [
        ("modules.json", [{"path": "", "type": "a.Transformer"}, {"path": "1", "type": "a.Dense"}], "> Dense; only"),
        ("modules.json", [{"path": "../other", "type": "a.Transformer"}], "a folder outside of its own"),
        ("modules.json", {"path": ""}, "is no list of modules"),
        ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "asks for weightedmean"),
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "asks for median"),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "layers": 4}, "layers = 4 cannot be honored"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "asks for no pooling"),
        ("sentence_bert_config.json", {"query_length": 4}, "query_length = 4 cannot be honored"),
        ("config.json", {"model_type": "gpt2"}, "is no encoder"),
    ],
)
def test_what_is_not_had_is_refused_in_a_line(tmp_path: Path, file: str, data: Any, told: str) -> None:
    folder = write_encoder(tmp_path / "m")
    write(folder / file, data)
    with pytest.raises(UserError) as error:
        load(folder)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_it_is_loaded_by_name_and_serves_an_agent_s_memory(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = clearhead.load(write_encoder(tmp_path / "m"))
    assert isinstance(model, Embedder)
    store = VectorStore(embedding=Embedding(model.name, model.embed))
    store.add("fact", TEXTS[3:])
    assert store.nearest("the dog sat", 1, 0.5) == ["the dog sat."]
    with pytest.raises(UserError, match="put the one into a list"):
        model.embed("the cat")  # type: ignore[arg-type]


def test_a_word_in_its_context(tmp_path: Path) -> None:
    model = load(write_encoder(tmp_path / "m", MODULES[:2]))
    words = [("the cat sat.", 4, 7), ("is the cat home?", 7, 10), ("the cat sat.", 4, 7)]
    first, other, again = model.in_context(words)
    assert np.allclose(first, again, atol=1e-6) and not np.allclose(first, other, atol=1e-2)
    ids = model.ids(["the cat sat."])
    assert np.allclose(first, model.hidden(ids)[2:5].mean(0).numpy(), atol=1e-6), "[CLS] the c ##a ##t ..."
    with pytest.raises(UserError, match="no token of ' ' is among the 24"):
        model.in_context([("the cat", 3, 4)])


def minilm_is_installed() -> bool:
    try:
        return packaged(MINILM).is_dir()
    except UserError:
        return False


@pytest.mark.skipif(not minilm_is_installed(), reason="`make models` installs it")
def test_minilm_s_cosines_are_the_library_s() -> None:
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell.", "x " * 400]
    with pytest.warns(Ignored, match="1 of 4 texts"):
        found = load_embedder(MINILM, CPU).embed(texts)
    expected = theirs(packaged(MINILM), texts, "mean", 256)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(found @ found.T - expected @ expected.T).max() < 1e-6
    assert 0.6 < found[0] @ found[1] < 0.7 and found[0] @ found[2] < 0.2
