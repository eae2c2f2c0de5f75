import json

import huggingface_hub
import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.hub import choose_files, read_hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of one data set, whose files lie in a folder here."""

    def put(files):
        for name, rows in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, repo, repo_type: [*files, "README"])
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name, repo_type: str(tmp_path / name))

    return put


def rows(n, start):
    return [{"question": f"{i}+1", "answer": f"{i}+1={i + 1}\n#### {i + 1}"} for i in range(start, start + n)]


def test_a_data_set_with_its_splits(hub):
    hub({"main/train-0.jsonl": rows(20, 0), "main/test-0.jsonl": rows(5, 100)})
    task = load("hub:openai/gsm8k/main")
    assert task.name == "hub:openai/gsm8k/main"
    assert set(task.problems("test", 100, 0)) == {row["question"] for row in rows(5, 100)}
    assert task.intake.splits == {"train": 18, "valid": 2, "test": 5}
    assert task.check("3+1", "4")
    assert not task.check("3+1", "5")


def test_folders_and_forms():
    names = ["main/train.parquet", "main/train.csv", "socratic/train.parquet"]
    assert choose_files(names, "a/b", "main") == ["main/train.parquet"]
    with pytest.raises(UserError, match="rows in 2 folders, main, socratic; name one: hub:a/b/main"):
        choose_files(names, "a/b", "")
    with pytest.raises(UserError, match="has no folder 'mian' with rows; did you mean 'main'"):
        choose_files(names, "a/b", "mian")
    with pytest.raises(UserError, match=r"has no .*file; download it"):
        choose_files(["README.md"], "a/b", "")


def test_no_network_and_no_name(monkeypatch):
    def fail(*args, **options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", fail)
    with pytest.raises(UserError, match=r"cannot load the data set a/b from the hub .*no route to host.*; give a file"):
        load("hub:a/b")
    with pytest.raises(UserError, match="names no data set"):
        read_hub("hub:b")


def test_a_broken_file_is_named(hub):
    hub({"train.jsonl": [*rows(12, 0), [3]]})
    with pytest.raises(UserError, match=r"hub:a/b: train.jsonl, line 13: this is not an object"):
        read_hub("hub:a/b")
