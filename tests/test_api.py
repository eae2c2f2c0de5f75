"""The Python face: every line of its pages runs, and each call agrees with what stands behind it."""

import copy
import pickle
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from chatty import write_model
from torch import nn

import clearhead
from clearhead.checkpoints.load import smollm2
from clearhead.reasoning.lockstep import Proposal
from clearhead.training import checkpoint

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "chatty")


@pytest.fixture(scope="module")
def model(folder: Path) -> clearhead.Model:
    return clearhead.load(folder)


def code(page: str) -> str:
    return "\n".join(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_every_line_of_the_pages_runs(
    page: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code(page).replace('"smollm2"', repr(str(folder))), page, "exec"), {})
    assert " 1.0" in capsys.readouterr().out, "the puzzle at the end is solved"


def smollm2_is_installed() -> bool:
    try:
        return smollm2().is_file()
    except clearhead.UserError:
        return False


@pytest.mark.skipif(not smollm2_is_installed(), reason="`make models` installs it")
def test_smollm2_from_python() -> None:
    model = clearhead.load("smollm2")
    assert model.generate("The capital of France is", max_tokens=3).startswith(" Paris")
    right, wrong = (model.logprobs(f"The capital of France is {city}").sum() for city in ("Paris", "Rome"))
    assert right > wrong


def test_nothing_heavy_is_imported_before_it_is_used(run_python: Callable[..., str]) -> None:
    told = run_python(
        "import sys, clearhead\nprint('search' in dir(clearhead), clearhead.UserError.__name__, 'torch' in sys.modules)"
    )
    assert told.split() == ["True", "UserError", "False"]
    with pytest.raises(AttributeError, match="no attribute 'lod'; it has Decoder"):
        clearhead.lod  # noqa: B018


def test_what_a_model_writes_and_how_probable_it_finds_it(model: clearhead.Model) -> None:
    written = model.generate("w1 w2", max_tokens=6)
    assert written == model.generate(model.ids("w1 w2"), max_tokens=6, temperature=0.0)
    assert written == "".join(model.stream("w1 w2", max_tokens=6))
    drawn = model.samples("w1 w2", 3, temperature=1.0, max_tokens=6, seed=4)
    assert drawn[0] == model.generate("w1 w2", temperature=1.0, max_tokens=6, seed=4) and len(set(drawn)) > 1

    ids = model.ids("w1 w2 w3")
    logits = model.logits(ids)
    assert logits.shape == (len(ids), model.decoder.config.vocab)
    by_hand = [logits[i].log_softmax(-1)[ids[i + 1]].item() for i in range(len(ids) - 1)]
    assert model.logprobs(ids).tolist() == pytest.approx(by_hand)
    maps = model.attentions(ids)
    config = model.decoder.config
    assert [tuple(layer.shape) for layer in maps] == [(config.n_heads, len(ids), len(ids))] * config.n_layers
    assert all(torch.allclose(layer.sum(-1), torch.ones(config.n_heads, len(ids))) for layer in maps)
    assert all(float(layer.triu(1).abs().max()) == 0 for layer in maps), "nobody looks ahead"


def test_a_chat_is_that_of_its_messages(model: clearhead.Model) -> None:
    assert model.chat("hello", max_tokens=5) == model.chat([{"role": "user", "content": "hello"}], max_tokens=5)
    with pytest.raises(clearhead.UserError, match="the last message of a chat must be the user's"):
        model.chat([{"role": "assistant", "content": "hello"}])
    with pytest.raises(clearhead.UserError, match="'temprature' is no setting of sampling"):
        model.generate("w1", temprature=1.0)


def test_a_decoder_of_ones_own_is_a_model(tmp_path: Path) -> None:
    """While it learns as well: what it said before is not taken for what it says now."""
    text = "abcd" * 60
    tokenizer = clearhead.Tokenizer.train([text], vocab_size=32, kind="char")
    sizes = {"d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 2, "d_ff": 32}
    decoder = clearhead.Decoder(clearhead.DecoderConfig(vocab=tokenizer.vocab_size, **sizes))  # type: ignore[arg-type]
    mine = clearhead.Model(decoder, tokenizer)
    before = mine.generate("abc", max_tokens=6)
    clearhead.train(decoder, tokenizer.encode(text), steps=40, batch_size=8, seq_len=24, lr=0.02, callbacks=[])
    assert before != "dabcda" == mine.generate("abc", max_tokens=6)
    again = clearhead.load(mine.save(tmp_path / "mine"))
    assert again.generate("abc", max_tokens=6) == "dabcda"
    assert torch.equal(again.logits("abca"), mine.logits("abca"))
    with pytest.raises(clearhead.UserError, match=r"give its tokenizer too: Model\(decoder, tokenizer\)"):
        clearhead.Model(decoder)


@pytest.mark.parametrize(
    ("ids", "settings", "told"),
    [
        ([1, 2, 99] * 40, {}, r"token ids from 1 to 99 are not all among the 16 of the model"),
        ([1, 2, -1] * 40, {}, r"token ids from -1 to 2"),
        ([1, 2, 3] * 40, {"step": 2}, r"step is not a setting; did you mean 'steps'"),
        ([1, 2, 3] * 40, {"rows": 2}, r"rows is called batch_size now"),
        ([1.0, 2.0] * 40, {}, "float64 is no array of token ids"),
    ],
)
def test_a_training_that_cannot_be_meant(ids: list, settings: dict, told: str) -> None:
    decoder = clearhead.Decoder(
        clearhead.DecoderConfig(vocab=16, d_model=8, n_layers=1, n_heads=1, n_kv_heads=1, d_ff=8)
    )
    with pytest.raises(clearhead.UserError, match=told):
        clearhead.train(decoder, ids, **{"seq_len": 8, "callbacks": [], **settings})


def test_a_saved_model_is_the_same_one(model: clearhead.Model, tmp_path: Path) -> None:
    again = clearhead.load(model.save(tmp_path / "copy"))
    assert torch.equal(again.logits("w1 w2 w3"), model.logits("w1 w2 w3"))
    with pytest.raises(clearhead.UserError, match="is not empty"):
        model.save(tmp_path / "copy")


def test_workers_can_be_handed_a_tokenizer(model: clearhead.Model) -> None:
    for copied in (pickle.loads(pickle.dumps(model.tokenizer)), copy.deepcopy(model.tokenizer)):
        assert copied.encode("w1 w2") == model.tokenizer.encode("w1 w2")


SIZES = {"d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 2, "d_ff": 32}


def tiny() -> clearhead.Decoder:
    return clearhead.Decoder(clearhead.DecoderConfig(vocab=12, **SIZES), seed=0)


def test_training_on_an_array_a_function_and_an_iterator() -> None:
    ids = np.tile(np.arange(12), 40)
    settings = {"steps": 12, "batch_size": 4, "seq_len": 8, "callbacks": (), "compile": "off", "dtype": "float32"}
    losses: list[float] = []
    decoder = clearhead.train(tiny(), ids, **{**settings, "callbacks": [lambda e: losses.append(e.get("loss", 9.0))]})
    assert losses[-1] < losses[1], "it learns to count"

    def drawn(i: int) -> np.ndarray:
        rng = np.random.default_rng([0, i])
        return ids[rng.integers(0, len(ids) - 8, 4)[:, None] + np.arange(9)]

    for data in (drawn, map(drawn, count())):
        same = clearhead.train(tiny(), data, **settings)
        assert all(torch.equal(a, b) for a, b in zip(same.parameters(), decoder.parameters(), strict=True))


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    settings = {"steps": 6, "batch_size": 2, "seq_len": 4, "callbacks": (), "save_every": 2, "compile": "off"}
    ids = np.tile(np.arange(12), 9)
    clearhead.train(tiny(), ids, checkpoint=tmp_path / "whole", **settings)

    def stop(event: dict) -> None:
        if event["kind"] == "step" and event["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clearhead.train(tiny(), ids, checkpoint=tmp_path / "c", **{**settings, "callbacks": [stop]})
    clearhead.train(tiny(), ids, checkpoint=tmp_path / "c", **settings)
    ours, theirs = (checkpoint.load(tmp_path / name)[0] for name in ("c", "whole"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.arange(8), "8 tokens are too few for rows of 8"),
        (np.zeros((3, 4), int), "is no array of token ids"),
        (np.zeros(99), "is no array of token ids"),
        (iter([np.arange(5)]), "a batch of shape .5,. holds no rows"),
    ],
)
def test_data_that_cannot_be_learned_from(data: object, told: str) -> None:
    with pytest.raises(clearhead.UserError, match=told):
        clearhead.train(tiny(), data, steps=2, batch_size=2, seq_len=8, callbacks=(), compile="off")


def test_lora_on_anybodys_module() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2)))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    before = net(x)
    clearhead.add_lora(net, clearhead.LoraConfig(rank=2))
    assert torch.equal(net(x), before), "an update begins at nothing"
    trained = {name.split(".")[-2] for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {"a", "b"}
    only = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    clearhead.add_lora(only, clearhead.LoraConfig(rank=2, targets=("1",)))
    assert isinstance(only[0], nn.Linear) and not isinstance(only[1], nn.Linear)
    with pytest.raises(clearhead.UserError, match=r"'q' is no part of this model .* choose among 0, 1"):
        clearhead.add_lora(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), clearhead.LoraConfig(targets=("q",)))


def digits(state: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(*state, n) for n in range(1, 10)]


def near(state: tuple[int, ...]) -> float:
    return max(0.0, 1 - abs(30 - sum(state)) / 30)


@pytest.mark.parametrize("strategy", ["mcts", "ucb", "best-first", "beam", "depth-first"])
def test_search_with_plain_functions(strategy: str) -> None:
    found = clearhead.search((), digits, near, lambda state: len(state) == 4, strategy=strategy, simulations=200)
    assert found.value == 1.0 and sum(found.state) == 30 and found.path[0] == () and found.path[-1] == found.state
    assert found.scored == len(found.tree.states[0])
    few = clearhead.search((), digits, near, lambda state: len(state) == 4, strategy=strategy, budget=12)
    assert few.scored < found.scored and few.state is None and few.path == ()


def test_depth_first_leaves_what_is_not_above_the_threshold() -> None:
    pruned, followed = (
        clearhead.search((), digits, near, lambda state: len(state) == 4, strategy="depth-first", threshold=threshold)
        for threshold in (0.31, 0.29)  # the best first step is 9 of 30
    )
    assert pruned.state is None and pruned.scored == 10 and followed.value == 1.0


def test_a_prior_leads_where_values_do_not() -> None:
    def propose(state: str) -> list[Proposal]:
        return [Proposal(state + "a", 0.9), Proposal(state + "b", 0.1)]

    found = clearhead.search("", propose, lambda state: 0.5, lambda state: len(state) == 3, simulations=3)
    assert found.state == "aaa"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"strategy": "dfs"}, "'dfs' is unknown; choose among mcts"), ({"simulations": 0}, "simulations = 0 must be")],
)
def test_a_search_that_cannot_be_meant(wrong: dict, told: str) -> None:
    with pytest.raises(clearhead.UserError, match=told):
        clearhead.search((), digits, near, lambda state: True, **wrong)
