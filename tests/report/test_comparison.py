"""Models side by side: each answer is of figures that were measured, and none is made of what is missing."""

from clearhead.charts.wording import NARROW
from clearhead.report.comparison import answers, comparison_section
from clearhead.report.data import (
    HeldOutPoint,
    LanguageModelInfo,
    LengthCost,
    PositionLoss,
    Reach,
    RecallInfo,
    RecallPoint,
    TextInfo,
)


def model(name: str, recalled: float, far: float, seconds: float = 20.0) -> LanguageModelInfo:
    return LanguageModelInfo(
        name,
        by_position=[PositionLoss(40.0, 3.0), PositionLoss(200.0, 3.0 - far)],
        curve=[HeldOutPoint(10.0, seconds / 2, 4.0), HeldOutPoint(20.0, seconds, 3.0)],
        reach=[Reach(0.0, 1.0), Reach(180.0, far)],
        recall=RecallInfo(1000.0, 9.0, [RecallPoint(2.0, 1.0), RecallPoint(32.0, recalled, recalled, recalled)]),
        cost=[LengthCost(64.0, 1e-6, 1e-3, 640.0), LengthCost(4096.0, 5e-6, 2e-3, 40960.0)],
    )


def test_answers_are_what_was_measured() -> None:
    found = {at: told for at, _, told in answers([model("decoder", 0.99, 0.5), model("lstm", 0.25, 0.1, 40.0)])}
    assert found["16.2"] == f"of 32 pairs in mind are recalled: the decoder 99.0{NARROW}% and the LSTM 25.0{NARROW}%"
    assert f"after 20{NARROW}s" in found["23.1"] and "the decoder 3 and the LSTM 4" in found["23.1"], "at the same time"
    assert "in rows of 64: the decoder 1 and the LSTM 1, in rows of 4,096: the decoder 5" in found["16.1"]
    assert "180 tokens back there arrives through the decoder 50.0" in found["16.3"]
    assert "23.2" not in found and "16.4" not in found, "there is no convolution and no plain network"


def test_nothing_is_said_of_what_was_not_tried() -> None:
    bare = [LanguageModelInfo("decoder"), LanguageModelInfo("lstm")]
    assert answers(bare) == [] and comparison_section(TextInfo(models=bare)) is None
    assert (
        comparison_section(None) is None and comparison_section(TextInfo(models=[model("decoder", 1.0, 0.5)])) is None
    )


def test_the_page_draws_memory_and_cost() -> None:
    page = comparison_section(TextInfo(models=[model("decoder", 0.99, 0.5), model("conv", 0.5, 0.1)]))
    assert page is not None
    for words in ("Why attention won", "pairs to remember", "Learning from a token", "Memory of a text", "guide 23.2"):
        assert words in page, words
