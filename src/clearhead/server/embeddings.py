"""/v1/embeddings: texts as vectors, the mean of a decoder's last hidden states."""

import base64
from functools import partial
from typing import Any

from starlette.responses import Response

from clearhead.server.bodies import EmbeddingBody
from clearhead.server.completions import ids_of, prompts
from clearhead.server.errors import Json, refused
from clearhead.server.reading import embedding
from clearhead.server.service import Service


async def create(service: Service, body: EmbeddingBody) -> Response:
    """One text after the other, between the steps of those who wait for tokens."""
    served = service.models.find(body.model)
    texts = await service.read(lambda: [ids_of(served, one) for one in prompts(body.input)])
    width = served.loaded.decoder.config.d_model
    if body.dimensions not in (None, width):
        raise refused(f"dimensions: this model's vectors have {width}; leave it out", "dimensions")
    data = []
    for i, ids in enumerate(texts):
        vector = await service.stepper.run(partial(embedding, served.engine, ids))
        told: Any = vector.tolist()
        if body.encoding_format == "base64":
            told = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        data.append({"object": "embedding", "index": i, "embedding": told})
    tokens = sum(map(len, texts))
    service.metrics.prompt_tokens.labels(served.name).inc(tokens)
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Json({"object": "list", "data": data, "model": served.name, "usage": used})
