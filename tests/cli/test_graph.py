"""`clearhead graph` as a person types it; the karate club against networkx and scikit-learn."""

import json
from pathlib import Path

import networkx
import numpy as np
import pytest
from sklearn.semi_supervised import LabelSpreading

from clearhead.cli.main import main
from clearhead.pipeline.graph import known_nodes, read
from clearhead.tasks import karate

Capture = pytest.CaptureFixture[str]


def test_the_club_is_networkx_s() -> None:
    club = networkx.karate_club_graph()
    assert {tuple(sorted(map(int, edge))) for edge in karate.edges()} == set(club.edges())
    sides = {"Mr. Hi": "instructor", "Officer": "officer"}
    assert karate.labels() == {str(i): sides[club.nodes[i]["club"]] for i in club}


def test_a_gcn_tells_the_club_at_least_as_well_as_label_spreading(tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "g.html"
    assert main(["graph", "--seeds", "2", "--depths", "1,2", "--steps", "60", "--report", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["nodes"], found["edges"], found["known"]) == (34, 78, ["0", "33"])
    graph = read(None, None)
    known = known_nodes(graph, 1)
    labels = np.full(34, -1)
    labels[known] = graph.labels[known]
    table = networkx.to_numpy_array(networkx.karate_club_graph(), weight=None)
    peer = LabelSpreading(kernel=lambda a, b: table, max_iter=200).fit(np.zeros((34, 1)), labels)
    others = np.setdiff1d(np.arange(34), known)
    two = next(row for row in found["rows"] if row["depth"] == 2)
    assert two["accuracy"] > 0.8 and two["accuracy"] >= (peer.transduction_ == graph.labels)[others].mean() > 0.5
    html = page.read_text(encoding="utf-8")
    assert "<svg" in html and "GCN" in html and "http" not in html.split("</style>")[1].split("<script")[0]


def test_a_graph_of_one_s_own(tmp_path: Path, capsys: Capture) -> None:
    names = [f"{side}{i}" for side in "ab" for i in range(6)]
    edges = [(a, b) for a in names for b in names if a < b and a[0] == b[0]] + [("a0", "b0")]
    (tmp_path / "e.csv").write_text("# a comment\n" + "".join(f"{a},{b}\n" for a, b in edges), encoding="utf-8")
    (tmp_path / "c.tsv").write_text("".join(f"{name}\t{name[0]}\n" for name in names[:-1]), encoding="utf-8")
    told = ["graph", str(tmp_path / "e.csv"), "--labels", str(tmp_path / "c.tsv"), "--seeds", "1", "--layer", "sage"]
    assert main([*told, "--steps", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "e.csv: 12 nodes, 31 edges, 2 known"
    assert lines[1].split()[:3] == ["sage", "none", "2"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["none.csv", "--labels", "ok.csv"], "none.csv cannot be read"),
        (["edges.csv"], "needs the classes of some nodes"),
        (["--labels", "ok.csv"], "--labels is for a graph of your own"),
        (["loose.csv", "--labels", "ok.csv"], "loose.csv, line 2: two nodes are expected"),
        (["edges.csv", "--labels", "beyond.csv"], "node 'z' has a class and no edge"),
        (["edges.csv", "--labels", "one.csv"], "nodes of 1 class"),
        (["edges.csv", "--labels", "ok.csv", "--known", "2"], "more than --known 2 are needed"),
        (["--depths", "2,x"], "--depths '2,x' must be numbers"),
        (["--depths", "0"], "must be numbers from 1 to 256"),
        (["--lr", "0"], "--lr 0.0 must be"),
        (["--width", "6", "--layer", "gat"], "not a multiple of heads"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, args: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "edges.csv": "a,b\nb,c\nc,d\n", "loose.csv": "a,b\nc\n", "ok.csv": "a,x\nb,y\nc,x\nd,y\n",
        "beyond.csv": "a,x\nz,y\n",
        "one.csv": "a,x\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["graph", *args]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1 and err[0].startswith("error: ") and told in err[0]
