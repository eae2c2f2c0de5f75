"""The section about held-out text."""

import math

from clearhead.charts.wording import NARROW
from clearhead.report.data import Corpus, HeldOutPoint, LanguageModelInfo, PositionLoss, Reach, TextInfo, WrittenInfo
from clearhead.report.language import findings, gain_from_afar, text_section


def model(name, bits, last=2.5, far=0.5):
    places = [PositionLoss(1.0, 4.0, 10.0), PositionLoss(40.0, 2.9, 10.0), PositionLoss(200.0, last, 10.0)]
    return LanguageModelInfo(
        name, 1000.0, 100.0, 300.0, bits, 2.75, 15.6, places,
        [HeldOutPoint(5e5, 9.0, 3.0), HeldOutPoint(1e6, 18.0, 2.8)],
        [Reach(0.0, 1.0), Reach(180.0, far)], [WrittenInfo("<b>", "<b>old")],
    )  # fmt: skip


def test_nothing_without_a_run_on_text():
    assert text_section(None) is None


def test_figures_curve_and_samples():
    page = text_section(TextInfo(Corpus("notes.txt", documents=12.0), [model("decoder", 1.9876)]))
    assert "1.988" in page and f"24.8{NARROW}%" in page, "bits per byte, and as a share of 8"
    assert "2.5 nats after 200 tokens" in page
    assert "&lt;b&gt;old" in page and "<b>old" not in page
    assert "notes.txt" in page
    assert "against seconds" not in page, "there is nobody to compare with"


def test_models_side_by_side():
    page = text_section(TextInfo(Corpus(), [model("decoder", 1.9), model("lstm", 2.1, 2.8, 0.0001)]))
    for words in ("Held-out loss against tokens", "Held-out loss against seconds", "Gradient reach", "LSTM: 2.8 after"):
        assert words in page, words


def test_what_is_found_is_what_was_measured():
    told = [text for _, text in findings([model("decoder", 1.9), model("lstm", 1.8, 2.8, 0.00004)])]
    assert "the LSTM 1.8 and the decoder 1.9" in told[0], "the better one first, whichever it is"
    assert "the decoder's by 0.40 nats and the LSTM's by 0.10 nats" in told[1]
    assert f"180 tokens back there arrives in the decoder 50.0{NARROW}% and in the LSTM 4 × 10⁻⁵" in told[2]
    assert findings([model("decoder", 1.9)]) == []


def test_a_loss_that_does_not_fall_is_not_said_to_fall():
    told = [text for _, text in findings([model("decoder", 1.9), model("rnn", 1.8, 3.0)])]
    assert "the plain RNN's not at all" in told[1]


def test_no_gain_from_afar_where_nothing_is_far():
    short = LanguageModelInfo("rnn", by_position=[PositionLoss(1.0, 4.0), PositionLoss(40.0, 3.0)])
    assert math.isnan(gain_from_afar(short))
    assert len(findings([short, short])) == 1


def test_a_run_without_figures_yet():
    page = text_section(TextInfo())
    assert page is not None and "<table" not in page and "<svg" not in page
