"""What several endpoints tell alike: why a text ended, usage, log probabilities, and events of a stream."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

from clearhead.errors import UserError
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason
from clearhead.generation.streaming import decoder_after
from clearhead.server.drawing import TokenText
from clearhead.server.errors import ApiError, dumps, refused
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer

FINISHES: dict[FinishReason, str] = {
    "end": "stop", "stop": "stop", "complete": "stop", "tokens": "length", "context": "length",
}  # fmt: skip
DONE = "[DONE]"


def new_id(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex}"


def now() -> int:
    return int(time.time())


def finish_reason(finish: FinishReason | None, tokens: int, most: int, constrained: bool) -> str:
    """Of a constrained text that took all its tokens, that these ended it: it was brought to an end in time."""
    assert finish is not None
    return "length" if constrained and tokens >= most else FINISHES[finish]


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def alone(tokenizer: Tokenizer, token: int) -> tuple[str, bytes]:
    """What a token spells behind a text."""
    if isinstance(tokenizer, SubwordTokenizer) and tokenizer.is_byte_level:
        data = tokenizer.decode_bytes([token], special=True)
        return data.decode("utf-8", "replace"), data
    text = (
        tokenizer.decode_after([token], special=True)
        if isinstance(tokenizer, SubwordTokenizer)
        else decoder_after(tokenizer)([token])
    )
    return text, text.encode("utf-8", "replace")


def logprob_entry(one: TokenText, tokenizer: Tokenizer) -> dict[str, Any]:
    """A token of a chat's answer with the likeliest in its place; one that begins a character has no text yet."""
    return {
        "token": one.text, "logprob": finite(one.token.logprob), "bytes": list(one.data),
        "top_logprobs": [
            {"token": text, "logprob": finite(logprob), "bytes": list(data)}
            for i, logprob in one.token.likeliest
            for text, data in [alone(tokenizer, i)]
        ],
    }  # fmt: skip


def likeliest(token: Token, tokenizer: Tokenizer) -> dict[str, float]:
    return {alone(tokenizer, i)[0]: finite(logprob) for i, logprob in token.likeliest}


def finite(logprob: float) -> float:
    """JSON knows no infinity; OpenAI's API says -9999 in its place."""
    return max(logprob, -9999.0)


def events(stream: AsyncIterator[Mapping[str, Any]], done: bool = True, named: bool = False) -> StreamingResponse:
    """A stream of server-sent events; an error in its midst is the last of them."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for event in stream:
                yield _event(event, named)
        except (ApiError, UserError) as error:
            told = error if isinstance(error, ApiError) else refused(str(error))
            yield _event({"type": "error", **told.plain()}, named)
            return
        if done:
            yield f"data: {DONE}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _event(event: Mapping[str, Any], named: bool) -> str:
    return (f"event: {event['type']}\n" if named else "") + f"data: {dumps(event)}\n\n"
