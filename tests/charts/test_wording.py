import math

import pytest

from clearhead.charts import wording
from clearhead.charts.wording import MISSING, NARROW

NAN = math.nan


@pytest.mark.parametrize(
    "form",
    [wording.count, wording.number, wording.big, wording.percent, wording.duration, wording.memory, wording.decimal],
)
@pytest.mark.parametrize("missing", [NAN, math.inf, -math.inf])
def test_what_was_not_measured_is_a_dash(form, missing):
    assert form(missing) == MISSING


@pytest.mark.parametrize(
    ("seconds", "short", "spoken"),
    [
        (0.016, "16 ms", "1 second"),
        (9.96, "10.0 s", "10 seconds"),
        (59.97, "1 min", "1 minute"),
        (59.6, "60 s", "1 minute"),
        (372.0, "6 min 12 s", "6 minutes"),
        (3599.8, "1 h 0 min", "1 hour"),
        (7500.0, "2 h 5 min", "2 hours 5 minutes"),
    ],
)
def test_times(seconds, short, spoken):
    assert wording.duration(seconds).replace(NARROW, " ") == short
    assert wording.spoken_duration(seconds).replace("\u00a0", " ") == spoken


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (1.0, "100.0 %"), (0.99951, "> 99.9 %"), (0.0004, "< 0.1 %"), (0.0005, "0.1 %"), (0.31, "31.0 %")],
)
def test_a_share_is_all_or_nothing_only_when_it_is(share, text):
    assert wording.percent(share).replace(NARROW, " ") == text


@pytest.mark.parametrize(
    ("n", "text"),
    [(999_999.0, "999,999"), (1_843_200.0, "1.8 million"), (999_960_000.0, "1,000 million"), (7.24e9, "7.2 billion")],
)
def test_sizes(n, text):
    assert wording.big(n).replace("\u00a0", " ") == text


def test_numbers_keep_their_significant_digits():
    assert [wording.number(x) for x in (0.0314159, 12345.6, 0.5, -0.25, 3e-7, 2.13e15)] == [
        "0.0314",
        "12,346",
        "0.5",
        "−0.25",
        "3 × 10⁻⁷",
        "2.13 × 10¹⁵",
    ]


def test_a_date_that_is_none_is_shown_as_it_is():
    assert wording.moment("yesterday <b>") == "yesterday <b>"


def test_labels_inside_a_sentence():
    assert [wording.inside(label) for label in ("Tree search", "MCTS, 32", "", "A")] == [
        "tree search",
        "MCTS, 32",
        "",
        "A",
    ]


def test_every_token_can_be_seen():
    assert [wording.visible(token) for token in ("\n", " ", "", "a b")] == ["⏎", "␣", "∅", "a␣b"]
