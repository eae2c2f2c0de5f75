"""A data set of the Hugging Face hub by its id, `hub:OWNER/NAME` or `hub:OWNER/NAME/FOLDER`.

Its files of rows are downloaded once, into the cache that all of that hub's programs share. A file whose name says
train, validation or test puts its rows in that split.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import huggingface_hub

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.tasks.records import SUFFIXES, Records, read_records

PREFIX = "hub:"

_SPLIT = re.compile(r"(?:^|[-_./])(train|valid|validation|val|dev|test)(?=[-_./])")


def is_hub(path: Path | str) -> bool:
    return str(path).startswith(PREFIX)


def read_hub(name: str) -> Records:
    """The records of all files of rows in the data set, or in one folder of it."""
    owner, _, rest = name.removeprefix(PREFIX).partition("/")
    dataset, _, folder = rest.partition("/")
    if not owner or not dataset:
        raise UserError(f"{name!r} names no data set; write hub:OWNER/NAME, such as hub:openai/gsm8k")
    rows: list[tuple[int, Mapping[str, Any]]] = []
    encoding = ""
    for file, path in _download(f"{owner}/{dataset}", folder):
        records = read_records(path)
        if records.bad:
            raise UserError(f"{name}: {file}, {records.unit} {records.bad[0].line}: {records.bad[0].why}")
        split = split_named(file)
        start, encoding = len(rows), records.encoding
        rows += [(i, {"split": split, **row} if split else row) for i, (_, row) in enumerate(records.rows, start + 1)]
    return Records(rows, unit="row", encoding=encoding)


def _download(repo: str, folder: str) -> list[tuple[str, Path]]:
    """(name in the repository, file here) of each file of rows."""
    try:
        names = huggingface_hub.HfApi().list_repo_files(repo, repo_type="dataset")
        chosen = choose_files(names, repo, folder)
        return [(name, Path(huggingface_hub.hf_hub_download(repo, name, repo_type="dataset"))) for name in chosen]
    except UserError:
        raise
    except Exception as error:  # its errors, and those of the network below it, have no common kind
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"cannot load the data set {repo} from the hub ({told:.160}); give a file instead") from None


def choose_files(names: list[str], repo: str, folder: str) -> list[str]:
    """The files of rows, all of one folder and in one form.

    >>> choose_files(["README.md", "main/train-0.parquet", "main/test-0.parquet"], "openai/gsm8k", "")
    ['main/test-0.parquet', 'main/train-0.parquet']
    """
    files = sorted(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)
    folders = sorted({str(PurePosixPath(name).parent) for name in files})
    if folder and folder not in folders:
        raise UserError(f"{repo} has no folder {folder!r} with rows{nearest(folder, folders)}")
    if not folder and len(folders) > 1:
        listed = ", ".join(folders)[:120]
        raise UserError(f"{repo} has rows in {len(folders)} folders, {listed}; name one: {PREFIX}{repo}/{folders[0]}")
    files = [name for name in files if not folder or str(PurePosixPath(name).parent) == folder]
    if not files:
        raise UserError(f"{repo} has no {', '.join(SUFFIXES)} file; download it, and give a file of one of these forms")
    best = ".parquet" if any(name.endswith(".parquet") for name in files) else PurePosixPath(files[0]).suffix
    return [name for name in files if name.endswith(best)]


def split_named(file: str) -> str:
    """The split that the name of a file says.

    >>> split_named("data/train-00000-of-00001.parquet"), split_named("my_validation.jsonl"), split_named("trains.csv")
    ('train', 'validation', '')
    """
    found = _SPLIT.search(file.lower())
    return found[1] if found else ""
