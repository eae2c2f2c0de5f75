import base64
import hashlib
import itertools
import json
import math
import os
import re
from html.parser import HTMLParser

import pytest

from clearhead.charts.markup import VOID
from clearhead.errors import UserError
from clearhead.report import render, write
from clearhead.report.data import read
from clearhead.report.page import CONTENTS, HERE
from clearhead.report.parts import FIRST, SEARCH
from clearhead.report.results import strategy_colors

EVIL = "</code></script><script>alert('x')</script>\"'><img src=x onerror=alert(1)>&amp;"

OTHERS = ("text", "comparison", "translation", "health")  # which other runs have
OF_TASKS = [anchor for anchor in CONTENTS if anchor not in OTHERS]


class Page(HTMLParser):
    """Reads a page as a browser would and complains about tags that do not match, double ids and links to nowhere."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.links, self.attributes, self.words = [], [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], self.open
        assert len(self.ids) == len(set(self.ids))
        assert {link[1:] for link in self.links} <= set(self.ids)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if tag == "a" and name == "href"]
        if tag == "p":
            assert "p" not in self.open, "a paragraph inside a paragraph"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def linear(color):
    """The linear RGB channels of #rrggbb."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def contrast(one, other):
    """WCAG 2 contrast ratio of two #rrggbb colors."""

    weights = (0.2126, 0.7152, 0.0722)
    luminance = [sum(w * v for w, v in zip(weights, linear(color), strict=True)) for color in (one, other)]
    dark, light = sorted(luminance)
    return (light + 0.05) / (dark + 0.05)


def themes():
    """The colors of the light and of the dark page."""
    css = (HERE / "style.css").read_text(encoding="utf-8")
    return [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)[:2]
    ]


def test_the_checker_sees_broken_pages():
    for broken in ("<p><b></p></b>", "<p>", '<i id="a"></i><i id="a"></i>', '<a href="#no"></a>', "<p><p></p></p>"):
        with pytest.raises(AssertionError):
            Page(broken)


def test_the_whole_report_is_one_well_formed_page(report_data):
    html = render(report_data)
    page = Page(html)
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert set(OF_TASKS) <= set(page.ids)
    assert page.links == [f"#{anchor}" for anchor in OF_TASKS]
    assert page.tags.count("h1") == 1
    assert len(html) < 500_000


def test_the_same_data_give_the_same_page(report_data):
    assert render(report_data) == render(json.loads(json.dumps(report_data)))


def test_nothing_is_loaded_from_anywhere(report_data):
    html = render(report_data)
    page = Page(html)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:60])
        assert not name.startswith("on"), (tag, name)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", html)
    assert "link" not in page.tags and "iframe" not in page.tags
    (policy,) = [
        value for tag, name, value in page.attributes if tag == "meta" and name == "content" and "src" in value
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_only_our_own_script_may_run(report_data):
    html = render(report_data)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert scripts == [(HERE / "report.js").read_text(encoding="utf-8")]
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in html


def poison(value):
    """The same data with every text that a run may bring replaced by markup."""
    if isinstance(value, dict):
        kept = {"name", "first", "search", "a", "b", "started"}  # names must still match each other
        return {k: v if k in kept and isinstance(v, str) else poison(v) for k, v in value.items()}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return EVIL if isinstance(value, str) else value


def test_text_from_a_run_is_inert_wherever_it_appears(report_data):
    data = poison(report_data)
    data["run"]["name"] = data["tasks"][0]["name"] = EVIL
    data["evaluation"][EVIL] = data["evaluation"].pop("game24")
    data["examples"][EVIL] = data["examples"].pop("game24")
    data["evaluation"][EVIL]["strategies"][2]["name"] = EVIL
    data["training"]["evals"][0]["accuracy"][EVIL] = 0.5
    data["run"]["versions"][EVIL] = EVIL
    data["run"]["recipe"][EVIL] = {EVIL: [EVIL]}
    data["model"]["config"][EVIL] = EVIL
    html = render(data)
    page = Page(html)
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert EVIL in page.text
    assert html.count("&lt;script&gt;alert(") > 50


def test_an_empty_report_says_so():
    page = Page(render({}))
    assert "not tested yet" in page.text
    assert "section" not in page.tags and "nav" not in page.tags


PART_OF = {
    "model": {"trained"},
    "training": {"learning"},
    "evaluation": {"search", "answers"},
    "trees": {"tree"},
    "examples": {"examples"},
    "attention": {"attention"},
    "reward": {"reward"},
    "alignment": {"alignment"},
    "in_context": {"in-context"},
    "run": {"reproduce"},
}


@pytest.mark.parametrize("part", PART_OF)
def test_a_missing_part_leaves_out_its_section_and_nothing_else(report_data, part):
    del report_data[part]
    if part == "model":
        del report_data["tasks"]
    page = Page(render(report_data))
    assert {anchor for anchor in OF_TASKS if anchor not in page.ids} == PART_OF[part]


@pytest.mark.parametrize("part", PART_OF)
def test_a_part_alone_is_enough(report_data, part):
    page = Page(render({part: report_data[part]}))
    assert PART_OF[part] <= set(page.ids)


def every_number(value, change):
    if isinstance(value, dict):
        return {key: every_number(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [every_number(item, change) for item in value]
    return change(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize("number", [math.nan, math.inf, None, 0, 1, -1, 1e300])
def test_any_number_everywhere_still_makes_a_page(report_data, number):
    data = every_number(report_data, lambda _: number)
    data["attention"]["layers"] = report_data["attention"]["layers"]
    html = render(data)
    Page(html)
    coordinates = re.findall(r' (?:x|y|cx|cy|x1|y1|x2|y2|width|height|d|points)="([^"]*)"', html)
    assert not [c for c in coordinates if "nan" in c or "inf" in c]
    assert not re.search(r"(width|left):-|nan%|inf%", html)


@pytest.mark.parametrize("empty", ["curve", "evals", "samples"])
def test_parts_of_the_training_may_be_empty(report_data, empty):
    report_data["training"][empty] = []
    Page(render(report_data))


def test_everything_empty_but_present():
    task = {
        "strategies": [{"name": "a", "points": [], "limits": [{}], "gain": {}, "against_first": {}}],
        "comparison": {}, "engine": {}, "auto": {"choices": [{}]}, "answers": [{"shown": [{}]}],
    }  # fmt: skip
    data = {
        "run": {}, "model": {}, "tasks": [{"name": "t"}], "training": {},
        "reward": {"labels": {}, "quality": {"t": {"within": {}}}},
        "preflight": {"tasks": {"t": {}}}, "rows_curve": {"points": [{}]},
        "evaluation": {"t": task, "u": {}}, "trees": [{}, {"root": {}}], "examples": {"t": [{}]},
        "attention": {"tokens": ["a"], "layers": [[[]], [], [[[]]]]},
    }  # fmt: skip
    Page(render(data))


def test_all_strategies_at_one_budget_and_at_the_extremes(report_data):
    for i, strategy in enumerate(report_data["evaluation"]["game24"]["strategies"]):
        strategy["points"] = [
            {
                "budget": 1,
                "accuracy": float(i % 2),
                "low": float(i % 2),
                "high": float(i % 2),
                "generated": 33,
                "reward": 0,
            }
        ]
    page = Page(render(report_data))
    assert "100.0" in page.text


def rows_of(html, name):
    """The cells of the table in the region of that name, row by row."""
    table = re.search(rf'aria-label="{name}".*?<tbody>(.*?)</tbody>', html, re.S)[1]
    plain = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table, re.S)]
    width = len(re.findall(r"<t[hd]", table.split("</tr>")[0]))
    return [plain[i : i + width] for i in range(0, len(plain), width)]


def test_every_budget_is_told_in_its_own_column():
    point = {"budget": 4, "accuracy": 0.5, "low": 0.4, "high": 0.6, "generated": 120, "reward": 34, "seconds": 1.5}
    data = {"evaluation": {"t": {"strategies": [{"name": "mcts", "unit": "simulations", "points": [point]}]}}}
    html = render(data).replace("\u202f", " ")
    told = ["mcts", "4 simulations", "50.0 %", "40.0 to 60.0 %", "120", "34", "1.5 s"]
    assert rows_of(html, "every strategy at every budget") == [told]
    stacked = re.search(r'class="stacked".*?<tbody>(.*?)</tbody>', html, re.S)[1]
    assert re.findall(r"<t[hd][^>]*>(?:<span.*?</span></span><small>)?(.*?)(?:</small>)?</t[hd]>", stacked) == told


def many_strategies(n):
    """Strategies s0, s1, ... of rising accuracy at equal cost; s0 is the first try."""
    strategies = [
        {"name": f"s{i}", "points": [{"accuracy": i / 20, "generated": cost} for cost in (10, 20)]} for i in range(n)
    ]
    return {"evaluation": {"t": {"first": "s0", "search": "s3", "comparison": {"b": "s1"}, "strategies": strategies}}}


def test_many_strategies_share_no_color():
    report = read(many_strategies(11))
    colors = strategy_colors(report.evaluation)
    assert colors == {"s3": SEARCH, "s0": FIRST, "s1": 1, "s10": 2, "s9": 3, "s8": 4}
    html = render(many_strategies(11))
    assert html.count('class="s5 stroke line quiet"') == 2 * 5  # on the wide drawing and on the narrow one
    assert html.count('class="s5 label quiet"') == 5  # there is no room for their names on the narrow one
    assert "thin gray lines" in html and "thin gray lines" not in render(many_strategies(6))


def test_the_table_puts_the_best_first():
    stacked = re.search(r'class="stacked".*?<tbody>(.*?)</tbody>', render(many_strategies(3)), re.S)[1]
    assert re.findall('scope="row">(.*?)</th>', stacked) == ["s2", "s1", "s0"]


@pytest.mark.parametrize("part", ["preflight", "rows_curve"])
def test_each_part_of_the_data_is_enough_for_their_section(report_data, part):
    assert "data" in Page(render({part: report_data[part]})).ids


def test_the_quality_of_each_depth_is_told():
    data = {"reward": {"quality": {"t": {"by_depth": [{"depth": 1, "auc": 0.7314, "n": 2600}]}}}}
    assert rows_of(render(data).replace("\u202f", " "), "AUC of steps, by depth") == [["1", "73.1 %", "2,600"]]
    within = {"by_depth": [{"depth": 2, "right_first": 0.881, "pairs": 90}]}
    html = render({"reward": {"quality": {"t": {"within": within}}}}).replace("\u202f", " ")
    assert rows_of(html, "right one of two first, by depth") == [["2", "88.1 %", "90"]]


def test_a_stage_without_a_time_takes_no_part_in_the_bar():
    stages = [{"name": "a", "seconds": 30}, {"name": "b", "seconds": -1}, {"name": "c"}, {"name": "d", "seconds": 10}]
    html = render({"run": {"stages": stages}})
    assert re.findall(r'<i style="width:([\d.]+)%"', html) == ["75.00", "25.00"]


def test_attention_that_does_not_fit_its_tokens_is_left_out(report_data):
    report_data["attention"]["tokens"] = ["a", "b"]
    assert "attention" not in Page(render(report_data)).ids


CHANGE_EACH = """
import json, sys
from clearhead.report import render

def numbers(value, path=()):
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*path, key))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path

data = json.load(open(sys.argv[1]))
before = render(data)
places = {".".join("*" if isinstance(key, int) else key for key in path): path for path in numbers(data)}
for name, path in places.items():
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    kept = holder[path[-1]]
    holder[path[-1]] = 0.7 * kept + 0.05 if 0 < kept < 1 else 3 * kept + 2
    print(name, "silent" if render(data) == before else "seen")
    holder[path[-1]] = kept
"""
SILENT = {  # by design
    "training.curve.*.lr",  # kept for the record
    "in_context.curve.*.lr",
    "trees.*.root.prior",  # nobody proposed the problem itself
    "trees.*.root.reward",
    *(
        f"{curve}.*.step" for curve in ("training.curve", "in_context.curve", "reward.curve", "reward.evals")
    ),  # where tokens are known they are the axis
}


def test_a_changed_number_changes_the_page(report_data, run_python, tmp_path):
    data = report_data
    data["training"]["curve"] = data["training"]["curve"][::8]
    data["training"]["evals"] = data["training"]["evals"][::5]
    data["in_context"] = {key: values[::8] for key, values in data["in_context"].items()}
    data["reward"]["curve"] = data["reward"]["curve"][::8]
    data["trees"] = data["trees"][:1]
    data["attention"] = {"title": "x", "tokens": ["a", "b"], "layers": [[[[1.0, 0.0], [0.3, 0.7]]]]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    told = run_python(CHANGE_EACH, str(tmp_path / "data.json")).splitlines()
    assert len(told) > 70
    assert {line.removesuffix(" silent") for line in told if line.endswith(" silent")} == SILENT


def test_the_page_reads_without_a_script(report_data):
    """What only the script makes useful is hidden until the script runs."""
    page = Page(render(report_data))
    assert "17×24=17×20+17×4" in page.text  # the tree is there and open
    css = (HERE / "style.css").read_text(encoding="utf-8")
    assert ".scripted { display: none; }" in css


def test_every_letter_is_legible_in_light_and_dark():
    light, dark = themes()
    assert light["paper"] != dark["paper"]
    for theme in (light, dark):
        for color in ("ink", "soft", "good", "bad", "s0", "s1", "s2", "s3", "s4", "s5"):
            for ground in ("paper", "raised", "pick"):
                assert contrast(theme[color], theme[ground]) >= 4.5, (
                    color,
                    ground,
                    contrast(theme[color], theme[ground]),
                )


# Machado, Oliveira and Fernandes (2009), severity 1: what red-, green- and blue-blind eyes see, in linear RGB.
BLIND = {
    "protan": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "deutan": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)],
    "tritan": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)],
}


def oklab(rgb):
    """Linear RGB in Ottosson's perceptual space, where a distance of 0.02 is about the least that can be seen."""
    r, g, b = (max(0.0, v) for v in rgb)
    long, middle, short = (
        math.cbrt(x * r + y * g + z * b)
        for x, y, z in (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        )
    )
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@pytest.mark.parametrize("eye", BLIND)
def test_lines_differ_to_color_blind_eyes(eye):
    for theme in themes():
        seen = {}
        for name in ("s0", "s1", "s2", "s3", "s4", "s5"):
            rgb = linear(theme[name])
            seen[name] = oklab([sum(w * v for w, v in zip(row, rgb, strict=True)) for row in BLIND[eye]])
        nearest = min((math.dist(seen[a], seen[b]), a, b) for a, b in itertools.combinations(seen, 2))
        assert nearest[0] > 0.06, nearest


def test_write_replaces_the_whole_file_or_nothing(report_data, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("the page before")
    with pytest.raises(UserError):
        write({"modle": {}}, path)
    assert path.read_text() == "the page before"
    write(report_data, path)
    assert path.read_text(encoding="utf-8") == render(report_data)
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_failed_write_leaves_the_old_page(report_data, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the page before")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(report_data, path)
    assert path.read_text() == "the page before" and os.listdir(tmp_path) == ["report.html"]
