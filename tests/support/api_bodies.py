"""What clients send a server, and what its streams tell."""

import json
from typing import Any


def chat_body(**more: Any) -> dict[str, Any]:
    """The body of a chat."""
    return {"model": "tiny", "messages": [{"role": "user", "content": "say red"}], "max_tokens": 12, "seed": 1, **more}


def told_by(text: str) -> list[Any]:
    """What a stream tells, and that it ends as it should."""
    assert text.endswith("\n\n")
    lines = [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]
