from texts import CORPUS

from clearhead.text.compare import cost, costs
from clearhead.text.training import train_tokenizer

TEXT = "the cat sat on the zebra 👋"


def test_costs_counted_by_hand() -> None:
    word, char, bpe = (train_tokenizer(kind, ["the cat sat on the mat"] * 3, 300) for kind in ("word", "char", "bpe"))
    found = costs({"word": word, "char": char, "bpe": bpe}, {"a": TEXT})["a"]
    assert [cost.words for cost in found.values()] == [7] * 3
    assert [cost.bytes for cost in found.values()] == [len(TEXT.encode())] * 3 == [29] * 3
    assert (found["word"].tokens, found["word"].unknown) == (7, 2)  # zebra, 👋
    assert (found["char"].tokens, found["char"].unknown) == (26, 2)  # z, b and r are new
    assert found["bpe"].unknown == 0 and found["bpe"].tokens == len(bpe.encode(TEXT))
    assert found["word"].unknown_share == 2 / 7
    assert found["word"].bytes_per_token == 29 / 7 and found["char"].tokens_per_word == 26 / 7


def test_a_word_counts_as_often_as_it_stands_there() -> None:
    word = train_tokenizer("word", CORPUS, 300)
    assert cost(word, "qqq the qqq").unknown == 2


def test_no_text_costs_nothing() -> None:
    nothing = cost(train_tokenizer("word", CORPUS, 300), "")
    assert (nothing.tokens, nothing.bytes_per_token, nothing.tokens_per_word, nothing.unknown_share) == (0, 0, 0, 0)
