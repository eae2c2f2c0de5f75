"""/v1/reason on a whole run: the answer of `clearhead solve` with its tree and its price, and a tree that grows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from api_bodies import told_by
from starlette.testclient import TestClient

from clearhead.generation.language_model import SamplingParams
from clearhead.pipeline.answer import solve, solver
from clearhead.pipeline.rundir import RunDir
from clearhead.reasoning.strategy import StrategyContext
from clearhead.server import reason
from clearhead.server.app import make_app
from clearhead.server.run import load
from clearhead.server.service import Service

PROBLEM = "What is 17 × 24?"


@pytest.fixture(scope="module")
def served(tiny_run: Path) -> Iterator[TestClient]:
    service = Service()
    load(service, {"run": str(tiny_run)}, torch.device("cpu"), None, 1 << 26, lambda line: None)
    with TestClient(make_app(service), base_url="http://localhost") as found:
        yield found


def ask(served: TestClient, status: int = 200, **more: Any) -> Any:
    reply = served.post("/v1/reason", json={"model": "run", "problem": PROBLEM, "budget": 120, **more})
    assert reply.status_code == status, reply.text
    return reply.json()


@pytest.mark.parametrize("strategy", ["greedy", "mcts-puct"])
def test_it_is_the_answer_of_solve(served: TestClient, tiny_run: Path, strategy: str) -> None:
    found = ask(served, strategy=strategy, seed=3)
    wanted = solve(solver(RunDir(tiny_run), strategy, 120, 3, (), torch.device("cpu"), 1 << 26), PROBLEM, None)
    assert (found["answer"], found["steps"]) == (wanted.answer, wanted.steps and list(wanted.steps))
    assert (found["price"]["generated"], found["price"]["reward"]) == (wanted.generated, wanted.reward)
    assert found["price"]["tokens"] == wanted.generated + wanted.reward and found["strategy"] == strategy
    assert found["tree"] == wanted.tree and found["correct"] == wanted.correct and found["task"] == wanted.task


def test_a_tree_grows(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reason, "EVERY", 0.0)
    body = {"model": "run", "problem": PROBLEM, "budget": 120, "strategy": "mcts-puct", "seed": 3, "stream": True}
    *trees, answer = told_by(served.post("/v1/reason", json=body).text)
    assert trees and all(event["type"] == "tree" for event in trees) and answer["type"] == "answer"

    def size(node: Any) -> int:
        return 1 + sum(map(size, node["children"]))

    sizes = [size(event["tree"]) for event in trees]
    assert sizes == sorted(sizes) and sizes[-1] <= size(answer["tree"]) and sizes[0] > 1
    assert answer["tree"] == ask(served, strategy="mcts-puct", seed=3)["tree"]


def test_a_search_ends_where_its_watcher_says_so(tiny_run: Path) -> None:
    ready = solver(RunDir(tiny_run), "mcts-puct", 10_000, 0, (), torch.device("cpu"), 1 << 26)

    class Enough(Exception): ...

    def watch(tree: Any) -> None:
        raise Enough

    with pytest.raises(Enough):
        solve(ready, PROBLEM, None, watch)
    context: StrategyContext = ready.context("multiplication")
    assert context.watch is None
    nodes = context.model.open(["x"])  # and nothing of it is held
    assert context.model.extend(nodes, 1, SamplingParams(max_tokens=1), [0])
    context.model.close(nodes)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"strategy": "guess"}, "guess"), ({"problem": "What is love?"}, "no task"), ({"problem": ""}, "problem"),
        ({"budget": 0}, "budget"), ({"task": "none"}, "none"), ({"search": {"width": -1, "wide": 2}}, "wide"),
        ({"search": {"samples": "x"}}, "samples"), ({"strategy": "beam:x"}, "width"), ({"nonsense": 1}, "nonsense"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(served: TestClient, more: dict[str, Any], told: str) -> None:
    error = ask(served, 400, **more)["error"]
    assert told in error["message"] + str(error["param"])
    streamed = served.post("/v1/reason", json={"model": "run", "problem": PROBLEM, "stream": True, **more})
    assert streamed.status_code == 400 or '"error"' in streamed.text


def test_a_model_that_is_no_run(client: TestClient) -> None:
    reply = client.post("/v1/reason", json={"model": "tiny", "problem": PROBLEM})
    assert reply.status_code == 400 and "no run" in reply.json()["error"]["message"]
    assert client.get("/api/reason").json() == {"runs": []}


def test_the_page_knows_what_to_ask(served: TestClient) -> None:
    (found,) = served.get("/api/reason").json()["runs"]
    assert found["model"] == "run" and {"letters", "multiplication"} == set(found["tasks"])
    assert "mcts-puct" in found["strategies"] and found["usual"] in found["strategies"]
    assert served.get("/api/runs").json()["runs"]
    assert served.get("/api/runs/run").json()["figures"]
