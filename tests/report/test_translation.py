"""The section about models that translate, and what the page says of them in one sentence."""

from dataclasses import replace

from clearhead.charts.wording import NARROW
from clearhead.report.data import (
    AlignmentInfo,
    HeldOutPoint,
    LengthScore,
    PositionErrors,
    Share,
    TranslationExample,
    TranslationInfo,
    TranslationScore,
    TranslatorInfo,
)
from clearhead.report.summary import translation_headline, translator_title
from clearhead.report.translation import findings, translation_section

ALIGNMENT = AlignmentInfo(["<a>", " b"], ["x", "y", ""], [[1.0, 0.0], [0.2, 0.8], [0.5, 0.5]])


def model(name: str, exact: float = 0.5, bleu: float = 41.25, long: float = 0.2) -> TranslatorInfo:
    score = TranslationScore(
        Share(exact, exact - 0.1, exact + 0.1), bleu, 55.5, "a|b|version:2", "c|d", 2.0, 800.0, 0.0
    )
    return TranslatorInfo(
        name, 1000.0, 200.0, 3000.0, 0.75, score, score,
        [LengthScore(2.0, 5.0, 4.0, 100.0, 0.5, Share(0.9), 60.0, 70.0),
         LengthScore(20.0, 40.0, 30.0, 100.0, 1.5, Share(long), 20.0, 30.0)],
        [PositionErrors(1.0, 0.1, 0.1, 200.0), PositionErrors(2.0, 0.2, 0.4, 200.0)],
        [TranslationExample("<a> b", "x y", "x <y>", ALIGNMENT if name != "lstm" else None)],
        [HeldOutPoint(5e5, 9.0, 3.0), HeldOutPoint(1e6, 18.0, 2.8)], 18.0, 4000.0,
    )  # fmt: skip


def test_nothing_without_such_a_run_and_no_tables_without_models() -> None:
    assert translation_section(None) is None
    page = translation_section(TranslationInfo())
    assert page is not None and "<table" not in page and "<svg" not in page


def test_figures_curves_alignments_and_examples() -> None:
    page = translation_section(
        TranslationInfo("a.en and a.de", {"train": 900.0, "bad": 3.0}, 4.0, [model("lstm"), model("bahdanau")])
    )
    assert page is not None
    for words in (
        "a.en and a.de", "left out: an empty side", f"50.0{NARROW}% (40.0{NARROW}% to 60.0{NARROW}%)", "41.2", "55.5",
        "Held-out loss against seconds", "Loss in nats a token by length", "Exact translations in % by length",
        "alignment of Bahdanau", "Errors by position: LSTM, no attention", "x &lt;y&gt;",
    ):  # fmt: skip
        assert words in page, words
    assert "alignment of LSTM" not in page, "it has none"
    assert "<y>" not in page
    assert page.count("data:image/png") == 1


def test_what_is_found_is_what_was_measured() -> None:
    told = [text for _, text in findings([model("lstm"), model("transformer", long=0.89)])]
    assert told[0] == f"Exact translations fall with length: LSTM, no attention from 90.0{NARROW}% at 4 tokens to "\
        f"20.0{NARROW}% at 30 tokens."  # fmt: skip
    assert "LSTM, no attention +10.0" in told[1] and "transformer +10.0" in told[1]


def test_where_hardly_anything_is_exact_other_scores_speak() -> None:
    few = [model("lstm", 0.01, 9.5), model("transformer", 0.02, 21.25)]
    page = translation_section(TranslationInfo(models=few))
    assert page is not None and "ChrF by length" in page.replace("Chrf", "ChrF")
    told = translation_headline(TranslationInfo(models=few))
    assert (
        told
        == "At equal size and steps, transformer reaches BLEU 21.2 on 200 unseen texts, LSTM, no attention BLEU 9.5."
    )


def test_the_headline_names_best_and_worst() -> None:
    several = [model("lstm", 0.2), model("bahdanau-scheduled", 0.9), model("transformer", 0.5)]
    told = translation_headline(TranslationInfo(models=several))
    assert told.startswith(f"At equal size and steps, Bahdanau, scheduled translates 90.0{NARROW}% of 200 unseen texts")
    assert told.endswith(f"LSTM, no attention 20.0{NARROW}%.")
    assert "At equal" not in translation_headline(TranslationInfo(models=several[:1]))
    assert translation_headline(TranslationInfo()) == "Models that translate: not tested yet."


def test_models_without_bleu_are_told_by_what_is_exact() -> None:
    bare = model("lstm", 0.01)
    bare = replace(bare, beam=replace(bare.beam, bleu=float("nan"), chrf=float("nan")))
    assert "exactly" in translation_headline(TranslationInfo(models=[bare]))
    page = translation_section(TranslationInfo(models=[bare]))
    assert page is not None and "Exact translations" in page


def test_titles() -> None:
    assert translator_title("decoder-only") == "decoder only"
    assert translator_title("a-new-one") == "a-new-one"
