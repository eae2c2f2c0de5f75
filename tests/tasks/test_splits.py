import random
from itertools import islice

import pytest

from clearhead.errors import UserError
from clearhead.tasks.splits import (
    bucket,
    draw_distinct,
    epochs,
    interleave,
    known_split,
    read_holdout,
    sample,
    split_of,
)


def test_bucket_never_changes():
    assert bucket("17 × 24") == pytest.approx(0.918579114990294, abs=1e-9)
    assert bucket("\ud800") != bucket("17 × 24")  # half a surrogate pair, as broken JSON gives it
    buckets = [bucket(str(i)) for i in range(2000)]
    assert 0 <= min(buckets) < 0.01
    assert 0.99 < max(buckets) < 1
    assert sum(buckets) / 2000 == pytest.approx(0.5, abs=0.03)


def test_split_of_keeps_the_shares():
    splits = [split_of(str(i), valid=0.2, test=0.1) for i in range(5000)]
    assert splits.count("test") / 5000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("valid") / 5000 == pytest.approx(0.2, abs=0.02)


def test_unknown_split():
    assert known_split("valid") == "valid"
    with pytest.raises(UserError, match="'dev' is unknown; use one of train, valid, test"):
        known_split("dev")


def test_sample_is_stable_distinct_and_a_prefix():
    pool = [str(i) for i in range(50)]
    assert sample(pool, 50, 1) == sample(pool, 1000, 1)
    assert sorted(sample(pool, 50, 1)) == sorted(pool)
    assert sample(pool, 10, 1) == sample(pool, 50, 1)[:10]
    assert sample(pool, 10, 1) != sample(pool, 10, 2)
    assert pool[0] == "0"


def test_interleave():
    assert interleave(["a", "b", "c"], ["1"]) == ["a", "1", "b", "c"]


def test_epochs_show_everything_before_anything_again():
    drawn = list(islice(epochs("abcdefgh", random.Random(0)), 16))
    assert sorted(drawn[:8]) == sorted(drawn[8:]) == list("abcdefgh")
    assert drawn[:8] != drawn[8:]
    with pytest.raises(AssertionError):
        next(epochs([], random.Random(0)))


def test_draw_distinct_ends_when_nothing_new_comes():
    rng = random.Random(0)
    assert len(draw_distinct(lambda: str(rng.randrange(100)), 10)) == 10
    assert sorted(draw_distinct(lambda: rng.choice("ab"), 10, patience=50)) == ["a", "b"]


def parse(text):
    if not text.strip().isdecimal():
        raise UserError(f"{text!r} is no number")
    return text.strip()


def test_read_holdout(tmp_path):
    path = tmp_path / "held.txt"
    path.write_text("\ufeff# a comment\n\n 3 \n1\r\n  # another\n3\n", encoding="utf-8")
    assert read_holdout(path, parse) == ("3", "1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\n\nx\n", r"held.txt, line 3: 'x' is no number"),
        (b"# nothing\n\n", "holds no problem; write one a line"),
        (b"1\n\xff\n", "is not UTF-8 text"),
    ],
)
def test_read_holdout_tells_what_is_wrong(tmp_path, content, message):
    (tmp_path / "held.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_holdout(tmp_path / "held.txt", parse)


def test_read_holdout_without_a_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_holdout(tmp_path / "none.txt", parse)
    with pytest.raises(UserError, match="directory"):
        read_holdout(tmp_path, parse)
