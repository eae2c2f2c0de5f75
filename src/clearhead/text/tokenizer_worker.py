"""A tokenizer whose parts are a stranger's own, at work in a process that can do nothing else, and not for long.

An expression may backtrack without end, a replacement may double a text forty times, and a panic of the library writes
to standard error as it likes. One JSON object a line comes in: the tokenizer first, then texts and ids.
"""

import json
import os
import sys
from typing import Any

from tokenizers import Tokenizer, models

from clearhead.text.limits import confine, grant

MEMORY = 1 << 31  # bytes of address space; the largest vocabularies need a third


def without_added(backend: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which nothing is read as an added token, which the library's own calls always look for."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    cut = [(text, (0, 0))] if backend.pre_tokenizer is None else backend.pre_tokenizer.pre_tokenize_str(text)
    return [token.id for piece, _ in cut for token in backend.model.tokenize(piece)]


def answer(backend: Tokenizer, request: dict[str, Any]) -> Any:
    """Of texts: ids, tokens and offsets; of ids: their text; of a text to cut: its pieces and where they are."""
    if "texts" in request:
        backend.encode_special_tokens = not request["special"]
        found = backend.encode_batch(request["texts"], add_special_tokens=request["add_special_tokens"])
        if not request["whole"]:
            return [encoding.ids for encoding in found]
        return [(encoding.ids, encoding.tokens, encoding.offsets) for encoding in found]
    if "spelled" in request:
        return without_added(backend, request["spelled"])
    if "cut" in request:
        return None if backend.pre_tokenizer is None else backend.pre_tokenizer.pre_tokenize_str(request["cut"])
    return backend.decode(request["ids"], skip_special_tokens=not request["special"])


def serve() -> None:
    """Answer every line of standard input; a text with half of a surrogate pair does not get here."""
    answer(Tokenizer(models.BPE()), {"texts": ["a"] * 2, "special": False, "add_special_tokens": False, "whole": False})
    confine(MEMORY)
    backend: Tokenizer | None = None
    for line in sys.stdin:
        request = json.loads(line)
        grant(request["seconds"] * int(os.environ.get("RAYON_NUM_THREADS", "1")))
        try:
            if backend is None:
                backend = Tokenizer.from_str(request["tokenizer"])
            told = answer(backend, request) if "tokenizer" not in request else None
        except BaseException as error:  # a panic is no Exception
            print(json.dumps({"error": f"{error}"[:300]}), flush=True)
        else:
            print(json.dumps({"told": told}), flush=True)


if __name__ == "__main__":
    serve()
