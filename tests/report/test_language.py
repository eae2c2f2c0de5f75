"""The section about held-out text."""

from clearhead.report.data import Corpus, LanguageModel, PositionLoss, Text, Written
from clearhead.report.language import text_section


def test_nothing_without_a_run_on_text():
    assert text_section(None) is None


def test_figures_curve_and_samples():
    places = [PositionLoss(1.0, 4.0, 10.0), PositionLoss(8.0, 2.5, 10.0)]
    model = LanguageModel("decoder", 100.0, 300.0, 1.9876, 2.75, 15.6, places, [Written("<b>", "<b>old")])
    page = text_section(Text(Corpus("notes.txt", documents=12.0), [model]))
    assert "1.988" in page and "24.8" in page, "bits per byte, and as a share of 8"
    assert "2.5 nats after 8 tokens" in page
    assert "&lt;b&gt;old" in page and "<b>old" not in page
    assert "notes.txt" in page


def test_a_run_without_figures_yet():
    page = text_section(Text())
    assert page is not None and "<table" not in page and "<svg" not in page
