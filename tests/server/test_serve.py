"""`clearhead serve` as a process: what it refuses, and that it ends in order."""

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from api_bodies import chat_body
from live_server import connected, post, until_closed, wait_until
from tiny import clearhead, start

from clearhead.cli.main import main
from clearhead.errors import UserError
from clearhead.server.served import served_names


def test_it_answers_and_finishes_what_was_begun(model: Path, tmp_path: Path) -> None:
    server = start("serve", f"tiny={model}", "--port", "0", "--drain", "60", cwd=tmp_path)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[0]
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")

        def ready() -> bool:
            with urllib.request.urlopen(f"{url}v1/models") as reply:
                return bool(json.load(reply)["data"])

        wait_until(ready)
        connection = connected((host, int(port)))
        ends = {"300": -100, "301": -100}
        connection.sendall(post("/v1/chat/completions", json.dumps(
            chat_body(stream=True, max_tokens=300, logit_bias=ends)).encode()))  # fmt: skip
        begun = connection.recv(1 << 16)
        server.send_signal(signal.SIGTERM)
        told = begun + until_closed(connection)
        connection.close()
        assert b"data: [DONE]" in told and b'"finish_reason":"length"' in told
        out, err = server.communicate(timeout=120)
        assert server.returncode == 0, err
        assert "Traceback" not in err and out == ""
    finally:
        server.kill()
        server.wait()


def test_what_cannot_be_loaded_ends_it_in_a_line(tmp_path: Path) -> None:
    _, err = clearhead("serve", "nowhere", "--port", "0", cwd=tmp_path, expect=2)
    assert err.startswith("error: nowhere does not exist") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"), (["--port", "99999"], "99999"), (["--max-samples", "0"], "0"),
        (["a=x", "a=y"], "two models"), (["=x"], "names no model"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(args: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "smollm2", *args]) == 2
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken_and_a_file_without_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "x", "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err
    keys = tmp_path / "keys"
    keys.write_text("\n \n")
    assert main(["serve", "x", "--api-key-file", str(keys)]) == 2
    assert "holds no key" in capsys.readouterr().err


def test_names() -> None:
    assert served_names(["a/b/", "x=c d.gguf", "~/m.gguf"]) == {"b": "a/b/", "x": "c d.gguf", "m": "~/m.gguf"}
    with pytest.raises(UserError, match="two models"):
        served_names(["a/m", "b/m"])
