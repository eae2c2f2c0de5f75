"""A tiny model of random weights that chats, behind the application as a client meets it."""

from collections.abc import Iterator
from pathlib import Path

import chatty
import pytest
import torch
from starlette.testclient import TestClient

from clearhead.server.app import make_app
from clearhead.server.run import load
from clearhead.server.service import Service, Settings

HOST = "http://localhost:8000"


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chatty.write_model(tmp_path_factory.mktemp("served") / "tiny", context=1024)


@pytest.fixture(scope="package")
def service(model: Path) -> Service:
    made = Service(Settings(max_samples=16, max_body=1 << 20, hosts=("localhost",)))
    load(made, {"tiny": str(model)}, torch.device("cpu"), None, 1 << 24, lambda line: None)
    return made


@pytest.fixture(scope="package")
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service), base_url=HOST) as found:
        yield found
