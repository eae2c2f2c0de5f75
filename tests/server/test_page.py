"""The page: what the server gives it, and, where Chromium is there, what becomes of it in a browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from live_server import serving
from starlette.testclient import TestClient

from clearhead.server import page
from clearhead.server.service import Service, Settings
from clearhead.training.jsonl_log import JsonlLog

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) $x^2$ **b**"


def test_every_file_is_named_and_comes_with_its_policy(client: TestClient) -> None:
    index = client.get("/")
    assert "script-src 'self'" in index.headers["content-security-policy"]
    assert "unsafe" not in index.headers["content-security-policy"]
    names = set(re.findall(r"/page/([\w.]+)", "".join(
        path.read_text(encoding="utf-8") for path in page.FOLDER.iterdir())))  # fmt: skip
    assert names <= page.FILES.keys()
    for name in page.FILES:
        reply = client.get(f"/page/{name}")
        assert reply.status_code == 200 and reply.content and reply.headers["x-content-type-options"] == "nosniff"


def test_no_file_names_another_machine() -> None:
    known = {"http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}
    for path in page.FOLDER.iterdir():
        assert set(re.findall(r"https?://[\w./]+", path.read_text(encoding="utf-8"))) <= known


def test_markdown_of_others_is_escaped(client: TestClient) -> None:
    found = client.post("/api/markdown", json={"text": HOSTILE}).json()["html"]
    assert "<script" not in found and "<img" not in found and 'href="javascript' not in found
    assert "<strong>b</strong>" in found and "<math" in found


def test_the_guide_is_served(client: TestClient) -> None:
    index = client.get("/guide/index.html")
    assert index.status_code == 200 and "01-" in index.text
    assert client.get("/guide/" + re.findall(r'href="(01-[\w-]+\.html)"', index.text)[0]).status_code == 200
    assert client.get("/guide/none.html").status_code == 404


@pytest.fixture
def runs(service: Service, tmp_path: Path) -> Iterator[Path]:
    """Two runs that have begun to train."""
    for name, lr in (("one", 0.1), ("two", 0.2)):
        folder = tmp_path / name
        log = JsonlLog(folder / "pretrain.jsonl")
        for step in range(200):
            log.emit("step", step=step, loss=5.0 / (1 + lr * step), lr_scale=1.0, tokens=step * 10, seconds=0.1)
        log.emit("eval", step=100, held_out_loss=2.0, accuracy={"sums": 0.5})
        (folder / "config.toml").write_text(f'name = "{name}"\n[pretrain]\nlr = {lr}\nsteps = 200\n')
    (tmp_path / "one" / "report.html").write_text("<script>1</script>")
    before, service.runs.folder = service.runs.folder, tmp_path
    yield tmp_path
    service.runs.folder = before


def test_runs_are_drawn_and_compared(client: TestClient, runs: Path) -> None:
    listed = client.get("/api/runs").json()["runs"]
    assert [(one["name"], one["report"]) for one in listed] == [("one", True), ("two", False)]
    found = client.get("/api/runs/one").json()
    titles = [figure["title"] for figure in found["figures"]]
    assert titles == ["pretrain: loss in training", "pretrain: loss on held-out text", "pretrain: solved at first try"]
    both = client.get("/api/runs/one", params={"other": "two"}).json()
    assert ["pretrain.lr", "0.1", "0.2"] in both["rows"] and all(row[0] != "pretrain.steps" for row in both["rows"])
    assert "two" in both["figures"][0]["svg"]
    with (runs / "one" / "pretrain.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": "x", "loss": null}\n{"torn')
    assert client.get("/api/runs/one").json()["figures"][0]["svg"] == found["figures"][0]["svg"]


def test_a_report_belongs_to_nobody(client: TestClient, runs: Path) -> None:
    reply = client.get("/api/runs/one/report")
    assert reply.headers["content-security-policy"].startswith("sandbox allow-scripts;")
    for path in ("/api/runs/two/report", "/api/runs/none", "/api/runs/..", "/api/runs/%2e%2e/report"):
        assert client.get(path).status_code == 404


def test_cards_are_reviewed(client: TestClient) -> None:
    decks = client.get("/api/study/decks").json()["decks"]
    guide = next(one for one in decks if one["deck"] == "guide")
    first = client.get("/api/study/next", params={"deck": "guide"}).json()
    assert guide["cards"] > 100 and first["card"]["question"] and len(first["card"]["intervals"]) == 4
    assert client.post("/api/study/rate", json={"card": first["card"]["id"], "rating": 4}).json() == {
        "suspended": False
    }
    after = client.get("/api/study/next", params={"deck": "guide"}).json()
    assert after["card"]["id"] != first["card"]["id"] and after["waiting"] == first["waiting"] - 1
    assert client.post("/api/study/rate", json={"card": 1 << 40, "rating": 1}).status_code == 404
    assert client.post("/api/study/rate", json={"card": 1, "rating": 5}).status_code == 400
    assert client.get("/api/study/next", params={"deck": "none"}).status_code == 404


def test_solutions_are_graded(client: TestClient, walled: None) -> None:
    listed = client.get("/api/practice").json()["exercises"]
    assert "softmax" in [one["name"] for one in listed]
    found = client.get("/api/practice/softmax").json()
    assert found["hints"] and "def softmax" in found["stub"]
    verdict = client.post("/api/practice/softmax", json={"source": found["stub"]}).json()
    assert verdict["passed"] is False and verdict["said"]
    for path in ("/api/practice/none", "/api/practice/..%2fx"):
        assert client.get(path).status_code == 404


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if browser.CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    service = Service(Settings(max_tokens=16, hosts=("127.0.0.1",)))
    service.runs.folder = tmp_path_factory.mktemp("none")
    with serving(service, model) as (host, port):
        yield f"http://{host}:{port}/"


@pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
def test_a_conversation_in_a_browser(live: str) -> None:
    with browser.Browser(390, 800) as tab:
        tab.go(live)
        tab.wait("document.activeElement?.getAttribute('aria-label') === 'Message'")
        tab.type(HOSTILE)
        tab.press("Enter")
        tab.wait(
            "document.querySelectorAll('.turn').length === 2 && !document.querySelector('.composer button:not(.first)')"
        )
        assert tab.js("document.querySelector('.turn.user > div').textContent") == HOSTILE
        tab.js("[...document.querySelectorAll('button')].find(b => b.textContent === 'Regenerate').click()")
        tab.wait("document.querySelector('.tools')?.textContent && document.body.innerText.includes('2 / 2')")
        kept: Any = json.loads(tab.js("localStorage.getItem('conversations')"))
        assert [node["role"] for node in kept[0]["nodes"]] == ["user", "assistant", "assistant"]
        for part, shown in (("reason", "No run"), ("runs", "There are no runs"), ("study/cards", "Show the answer")):
            tab.js(f"location.hash = '#{part}'")
            tab.wait(f"document.getElementById('main').innerText.includes('{shown}')")
            assert tab.js("document.documentElement.scrollWidth") <= 390
        assert {url for url in tab.requested if not url.startswith((live, "about:", "data:"))} == set()
        assert tab.said == []  # the policy is heard, and nothing was thrown
        markup = json.dumps(HOSTILE + "<p onclick=x style=y><b>k</b></p>")
        safe = tab.js(f"import('/page/safe.js').then(m => m.safe({markup}).outerHTML)")
        assert "<script" not in safe and "<img" not in safe and "onclick" not in safe and "<b>k</b>" in safe
