"""A run on tasks from a checkpoint that somebody else made: its tokens, its shape, its weights, and what is kept."""

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from chatty import write_model
from tiny import RECIPE, clearhead, start, write_recipe

from clearhead.checkpoints import own
from clearhead.checkpoints.load import load_model
from clearhead.config import load_toml
from clearhead.errors import UserError
from clearhead.pipeline import recipe as recipes
from clearhead.pipeline.pretrained import readings
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_reward
from clearhead.text.prompt_format import step_tokens

CPU = torch.device("cpu")


def based(folder: Path, base: Path, **model: object) -> Path:
    """The tiny recipe on its task of letters, from a checkpoint."""
    write_recipe(folder)
    told = "".join(f"{key} = {json.dumps(value)}\n" for key, value in model.items())
    text = RECIPE.format(problems=folder / "letters.jsonl").replace("[tasks.multiplication]\nshare = 0.2\n", "")
    text = text.replace('preset = "tiny"\nmax_positions = 96\n', f'from = "{base}"\n{told}')
    text = text.replace("steps = 160", "steps = 40").replace('trees = ["multiplication: What is 17 × 24?"]', "")
    (folder / "based.toml").write_text(text)
    return folder / "based.toml"


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("based")
    write_model(folder / "llama")
    clearhead("run", based(folder, folder / "llama"), "--out", "run", cwd=folder)
    return folder


def test_the_tokens_and_the_shape_are_the_checkpoints(lora_run: Path) -> None:
    base = load_model(str(lora_run / "llama"), CPU, torch.float32)
    run = load_model(str(lora_run / "run"), CPU)
    assert run.decoder.config == base.decoder.config
    text = 'say red 12\n"messages"'
    assert run.tokenizer.encode(text) == base.tokenizer.encode(text)
    assert run.tokenizer.end_id == base.tokenizer.end_id is not None


def test_lora_changes_the_matrices_by_little_rank_and_nothing_else(lora_run: Path) -> None:
    base = load_model(str(lora_run / "llama"), CPU, torch.float32).decoder.state_dict()
    policy = own.load_decoder(lora_run / "run", CPU).state_dict()
    reward = load_reward(RunDir(lora_run / "run"), CPU)
    assert reward is not None
    ranks = {}
    for trained, start_ in ((policy, base), (reward.decoder.state_dict(), policy)):
        changed = {
            name: trained[name] - start_[name] for name in start_ if not torch.equal(trained[name], start_[name])
        }
        assert changed and all(name.startswith("blocks.") and "norm" not in name for name in changed), changed.keys()
        ranks |= {name: int(torch.linalg.matrix_rank(change, rtol=1e-4)) for name, change in changed.items()}
    parts = {"qkv": 3, "out": 1, "up": 2, "down": 1}  # parts of a matrix have an update of their own each
    assert all(rank <= 8 * parts[name.split(".")[-2]] for name, rank in ranks.items()), ranks
    assert max(ranks.values()) > 0


def test_what_it_answers_untaught_stands_in_the_results(lora_run: Path) -> None:
    report = json.loads((lora_run / "run" / "report.json").read_text())
    before = json.loads((lora_run / "run" / "before.json").read_text())["letters"]
    first = report["evaluation"]["letters"]["strategies"][0]
    assert (first["name"], before["asked"]) == ("before", 8)
    assert first["points"][0]["accuracy"] == before["right"] / 8
    assert "llama before it was taught" in (lora_run / "run" / "report.html").read_text()


def test_after_the_policy_the_checkpoint_is_not_needed(lora_run: Path, tmp_path: Path) -> None:
    shutil.copytree(lora_run / "run", tmp_path / "moved")
    whole = [path.read_bytes() for path in (tmp_path / "moved").glob("reward.safetensors")]
    out, _ = clearhead("solve", "abc", "--run", "moved", cwd=tmp_path)
    assert out
    clearhead("run", "--from", "moved", "--redo", "reward", "--set", "reward.steps=20", "--out", "again", cwd=tmp_path)
    assert [path.read_bytes() for path in (tmp_path / "again").glob("reward.safetensors")] != whole


def test_a_killed_run_goes_on_to_the_same_weights(lora_run: Path) -> None:
    process = start("run", lora_run / "based.toml", "--out", "killed", cwd=lora_run)
    checkpoint = lora_run / "killed" / "pretrain.checkpoint.safetensors"
    while process.poll() is None and not checkpoint.is_file():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert checkpoint.is_file() and not (lora_run / "killed" / "policy.safetensors").is_file()
    clearhead("run", "--resume", "killed", cwd=lora_run)
    for name in ("policy", "reward"):
        a, b = (own.checkpoint.load(lora_run / run / f"{name}.safetensors")[0] for run in ("run", "killed"))
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_all_weights_learn_where_that_is_asked(tiny_run: Path, tmp_path: Path) -> None:
    """From an earlier run of ours, on its task: what that had learned is not lost."""
    recipe = based(tmp_path, tiny_run, full=True)
    clearhead("run", recipe, "--out", "run", "--set", "pretrain.adam_lr=0.0003", cwd=tmp_path)
    base, policy = (own.load_decoder(path, CPU).state_dict() for path in (tiny_run, tmp_path / "run"))
    assert not any(torch.equal(base[name], policy[name]) for name in base)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    lines = {line["name"]: line for line in report["evaluation"]["letters"]["strategies"]}
    assert lines["greedy"]["points"][-1]["accuracy"] >= lines["before"]["points"][0]["accuracy"]


def test_a_checkpoint_that_changed_is_told(lora_run: Path, tmp_path: Path) -> None:
    shutil.copytree(lora_run / "llama", tmp_path / "llama")
    recipe = based(tmp_path, tmp_path / "llama")
    process = start("run", recipe, "--out", "run", cwd=tmp_path)
    while process.poll() is None and not (tmp_path / "run" / "before.json").is_file():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    config = json.loads((tmp_path / "llama" / "config.json").read_text())
    (tmp_path / "llama" / "config.json").write_text(json.dumps(config | {"rope_theta": 500.0}))
    _, err = clearhead("run", "--resume", "run", cwd=tmp_path, expect=2)
    assert "is another model than when" in err


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"model": {"from": "smollm2", "n_layers": 3}}, "model.n_layers: a run from smollm2 has that model's shape"),
        ({"model": {"from": "smollm2", "full": 1}}, "model.full = 1 must be true"),
        ({"model": {"from": ""}}, "model.from = '' must name a model"),
        ({"model": {"from": 3}}, "model.from = 3 must name a model"),
        ({"lora": {"rank": 4}}, r"\[lora\] is for runs from a checkpoint"),
        ({"model": {"from": "smollm2", "full": True}, "lora": {"rank": 4}}, r"\[lora\] is for runs from a checkpoint"),
        ({"model": {"from": "smollm2"}, "lora": {"rank": 0}}, "rank = 0 must be at least 1"),
        ({"model": {"from": "smollm2"}, "data": {"tokens": "subwords"}}, "a run from smollm2 has that model.s tokens"),
    ],
)
def test_what_cannot_be_honored_is_refused(sections: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        recipes.parse({"tasks": {"game24": {}}, **sections})


def test_a_resolved_recipe_says_the_same_again(lora_run: Path) -> None:
    parsed = recipes.parse(load_toml(lora_run / "based.toml"))
    assert recipes.parse(recipes.to_plain(parsed)) == parsed
    assert (parsed.pretrain.optimizer, parsed.pretrain.adam_lr, parsed.full) == ("adamw", 5e-4, False)


def test_a_text_too_long_for_the_checkpoint_is_told_before_anything_is_trained(lora_run: Path, tmp_path: Path) -> None:
    recipe = based(tmp_path, lora_run / "llama")
    row = {"problem": "a" * 300, "answer": "b"}
    with (tmp_path / "letters.jsonl").open("a") as file:
        file.write("".join(json.dumps(row | {"problem": row["problem"] + str(i)}) + "\n" for i in range(40)))
    _, err = clearhead("run", recipe, "--out", "run", cwd=tmp_path, expect=2)
    assert "has a context of 128 tokens" in err and not (tmp_path / "run").exists()


def test_pieces_of_a_document_are_those_of_the_checkpoint(lora_run: Path) -> None:
    """Joined they are the document's own tokens, and its last one ends the text."""
    tokenizer = load_model(str(lora_run / "llama"), CPU).tokenizer
    pieces = step_tokens(tokenizer, "say 12", ["1 + 2", "3"], done=True)
    assert pieces[-1][-1] == tokenizer.end_id
    assert tokenizer.decode([token for piece in pieces for token in piece]) == "say 12\n1 + 2\n3"


@pytest.mark.parametrize("text", ["The sum is 17.", "12 + 5 = **17**", "17", "\\(12+5=17\\)\n", "Answer: 17 apples"])
def test_an_answer_in_words_is_read_kindly(text: str) -> None:
    assert "17" in readings(text)
