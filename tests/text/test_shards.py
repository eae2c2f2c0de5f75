import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.text.corpus import held_out
from clearhead.text.shards import Shards, write_shards
from clearhead.text.tokenizer import END, CharTokenizer
from clearhead.text.training import train_tokenizer

CHAR = CharTokenizer("abcdefghij0123456789 ")
TEXTS = [f"{i} abc" for i in range(300)]


def streams(shards: Shards, split: str) -> list[int]:
    """The whole stream of one side, from its files."""
    found: list[int] = []
    for path in sorted(shards.folder.glob(f"{split}-*.npy")):
        found += np.load(path).tolist()[bool(found) :]  # a shard begins with the END of the one before
    return found


@pytest.mark.parametrize("shard", [1, 50, 1 << 24])
def test_every_document_is_on_its_side_once(tmp_path: Path, shard: int) -> None:
    shards = write_shards(tmp_path / "tokens", TEXTS, CHAR, 0.2, shard)
    for split, wanted in (("train", False), ("held", True)):
        texts = [text for text in TEXTS if held_out(text, 0.2) == wanted]
        assert streams(shards, split) == [END, *(i for text in texts for i in [*CHAR.encode(text), END])]
        part = getattr(shards.index, split)
        assert (part.documents, part.bytes) == (len(texts), sum(map(len, texts)))
        assert part.tokens == sum(len(np.load(path)) for path in shards.folder.glob(f"{split}-*.npy"))


def test_subwords_are_encoded_alike(tmp_path: Path) -> None:
    bpe = train_tokenizer("bpe", TEXTS, 300)
    shards = write_shards(tmp_path / "tokens", ["x é", *TEXTS], bpe, 0.2)
    assert bpe.decode(streams(shards, "train")) + bpe.decode(streams(shards, "held")) != ""
    assert len(bpe.decode_bytes(streams(shards, "held"))) == shards.index.held.bytes
    assert np.load(shards.folder / "train-00000.npy").dtype == np.uint16


def test_a_window_by_hand(tmp_path: Path) -> None:
    texts = [text for text in ("ab", "c", "d", "e", "f", "g", "h") if not held_out(text, 0.3)][:2]
    held = next(text for text in TEXTS if held_out(text, 0.3))
    shards = write_shards(tmp_path / "tokens", [*texts, held], CHAR, 0.3)
    (a, b), stream = texts, streams(shards, "train")
    batch = next(iter(shards.windows("train", 1, len(stream) + 1)))
    first, second = len(a) + 1, len(b) + 1
    assert batch.tokens[0].tolist() == [*stream[:-1], 0, 0]
    assert batch.targets[0].tolist() == [*stream[1:], -1, -1]
    assert batch.positions[0].tolist() == [*range(first), *range(second), 0, 0]
    assert batch.segments[0].tolist() == [1] * first + [2] * second + [0, 0]


@given(st.integers(1, 40), st.integers(1, 7), st.sampled_from([20, 64, 1 << 24]))
@settings(deadline=None, max_examples=12)
def test_windows_learn_every_token_once(
    tmp_path_factory: pytest.TempPathFactory, length: int, rows: int, shard: int
) -> None:
    shards = write_shards(tmp_path_factory.mktemp("shards") / "tokens", TEXTS, CHAR, 0.2, shard)
    learned: list[int] = []
    for batch in shards.windows("held", rows, length):
        assert batch.tokens.shape[1] == length and len(batch.tokens) <= rows
        assert (batch.targets >= 0).any(axis=1).all()
        learned += batch.targets[batch.targets >= 0].tolist()
        assert ((batch.segments == 0) == (batch.targets < 0)).all()
        starts = (batch.tokens == END) & (batch.segments > 0)
        assert (batch.positions[starts] == 0).all()
        inside = batch.segments[:, 1:] == batch.segments[:, :-1]
        assert (np.diff(batch.positions)[inside & (batch.segments[:, 1:] > 0)] == 1).all()
    assert learned == streams(shards, "held")[1:]


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "tokens", TEXTS, CHAR, 0.2, 100)
    again = Shards(tmp_path / "tokens")
    first = shards.batch(4, 10, seed=1, step=7)
    shards.batch(4, 10, seed=1, step=8)
    for one, other in zip(first, again.batch(4, 10, seed=1, step=7), strict=True):
        assert (one == other).all()
    assert (first.tokens != shards.batch(4, 10, seed=1, step=8).tokens).any()
    assert (first.tokens != shards.batch(4, 10, seed=2, step=7).tokens).any()
    assert (first.tokens[:, 1:] == first.targets[:, :-1]).all() and (first.targets >= 0).all()


def test_every_place_is_drawn_alike(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "tokens", TEXTS[:30], CHAR, 0.2, 30)
    files = [np.load(path).tolist() for path in shards.folder.glob("train-*.npy")]
    assert len(files) > 3
    places = Counter(tuple(tokens[at : at + 4]) for tokens in files for at in range(len(tokens) - 4))
    drawn = Counter(tuple(row) for step in range(1000) for row in shards.batch(10, 4, 0, step).tokens.tolist())
    assert drawn.keys() == places.keys()  # every window of every shard, and no other
    for window, count in places.items():
        share = count / places.total()
        assert abs(drawn[window] - 10_000 * share) < 5 * (10_000 * share) ** 0.5


@pytest.mark.parametrize(
    ("texts", "share", "told"),
    [([], 0.1, "no document is left to train"), (TEXTS[:1], 1e-9, "to measure"), (TEXTS, 0.0, "between 0 and 1")],
)
def test_nothing_is_half_written(tmp_path: Path, texts: list[str], share: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        write_shards(tmp_path / "tokens", texts, CHAR, share)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_cannot_be_read_leaves_what_was_there(tmp_path: Path) -> None:
    write_shards(tmp_path / "tokens", TEXTS, CHAR, 0.2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "tokens").iterdir()}
    with pytest.raises(UserError, match="not in the model's alphabet"):
        write_shards(tmp_path / "tokens", [*TEXTS, "é"], CHAR, 0.2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "tokens").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / ".tokens.1.part").mkdir()
    (tmp_path / ".tokens.1.part" / "train-00000.npy").write_bytes(b"half")
    write_shards(tmp_path / "tokens", TEXTS, CHAR, 0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_a_broken_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of tokens"):
        _ = Shards(tmp_path).index
    shards = write_shards(tmp_path / "tokens", TEXTS, CHAR, 0.2)
    with pytest.raises(UserError, match="more than 100000 tokens"):
        shards.batch(1, 100_000, 0, 0)
    path = tmp_path / "tokens" / "train-00000.npy"
    whole = path.read_bytes()
    for data in (whole[:-10], b"", b"junk"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="make the folder again"):
            Shards(tmp_path / "tokens").batch(1, 4, 0, 0)
    np.save(path, np.load(tmp_path / "tokens" / "held-00000.npy"))
    with pytest.raises(UserError, match="does not hold"):
        Shards(tmp_path / "tokens").batch(1, 4, 0, 0)
    index = tmp_path / "tokens" / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"x": 1}))
    with pytest.raises(UserError, match="x is not a setting"):
        _ = Shards(tmp_path / "tokens").index
