import re

from clearhead.report.data import Node, TreeInfo
from clearhead.report.tree import DEEPEST, WIDEST, size, tree_figure


def tree(root):
    return tree_figure(TreeInfo("t", "17 × 24", "search", "408", root))


def node(text, visits, *children, **more):
    return Node(text, float(visits), 0.5, 0.5, 0.5, children=list(children), **more)


def test_the_chosen_path_is_open_and_marked_and_the_rest_is_closed():
    html = tree(node("", 10, node("a", 7, node("b", 6, chosen=True), chosen=True), node("c", 3, node("d", 2))))
    opened = re.findall(r'<details( open data-path)?><summary class="row"><span class="step"><code>(.*?)</code>', html)
    assert opened == [(" open data-path", "17 × 24"), (" open data-path", "a"), ("", "c")]
    assert html.count('<li class="chosen">') == 3  # the root, a and b
    assert html.count(">chosen</span>") == 2  # said in words too, for who cannot see the shade


def test_bars_are_shares_of_the_roots_visits_and_values():
    html = tree(Node("", 8.0, 0.5, children=[Node("a", 2.0, 1.5), Node("b", 6.0, -1.0), Node("c")]))
    assert re.findall(r"width:([\d.]+)%", html) == ["100.0", "50.0", "75.0", "0.0", "25.0", "100.0", "0.0", "0.0"]


def test_truth_and_ends_are_told_in_words():
    html = tree(node("", 2, node("a", 1, done=True, correct=True), node("b", 1, correct=False)))
    assert "✓ right" in html and "✗ wrong" in html and ">end<" in html
    assert "right" not in tree(node("", 2, node("a", 1)))


def test_a_crowded_node_keeps_the_most_visited_and_the_chosen_and_counts_the_rest():
    children = [node(f"s{i}", i, chosen=i == 1) for i in range(1, 21)]
    html = tree(node("", 210, *children))
    shown = re.findall(r"<code>s(\d+)</code>", html)
    assert shown == ["20", "19", "18", "17", "16", "15", "14", "1"]
    assert len(shown) == WIDEST
    assert "and 12\u00a0other steps with 42.9" in html  # 2 + ... + 13 of 210 visits


def test_a_single_leftover_is_shown_rather_than_counted():
    html = tree(node("", 45, *(node(f"s{i}", 5) for i in range(WIDEST + 1))))
    assert html.count("<code>s") == WIDEST + 1 and "other step" not in html


def test_a_very_deep_tree_is_cut_and_says_so():
    root = node("last", 1)
    for _ in range(3 * DEEPEST):
        root = node("s", 1, root, chosen=True)
    html = tree(root)
    assert size(root) == 3 * DEEPEST
    assert html.count("<details") == DEEPEST + 1 and f"{2 * DEEPEST}\u00a0deeper steps not shown" in html


def test_texts_are_escaped_and_may_have_several_lines():
    html = tree(node("", 1, node("<script>\nx", 1), node("", 1)))
    assert "<script>" not in html and "&lt;script&gt;<br>x" in html and "(nothing)" in html


def test_nan_everywhere_still_draws():
    assert tree(Node(children=[Node("a"), Node("b", children=[Node("c")])])).count("<li") == 4
