"""What a server counts, in the text that Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """One registry for each server, so that several in a process do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "clearhead_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.prompt_tokens = Counter("clearhead_prompt_tokens", "Tokens of prompts.", ["model"], registry=self.registry)
        self.generated_tokens = Counter(
            "clearhead_generated_tokens", "Tokens drawn.", ["model"], registry=self.registry
        )
        self.samples = Gauge("clearhead_samples", "Texts that wait or are being written.", registry=self.registry)
        self.canceled = Counter("clearhead_canceled", "Requests whose client left.", registry=self.registry)
        self.first_token = Histogram(
            "clearhead_time_to_first_token_seconds", "From a request to its first token.", ["model"],
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self.seconds = Histogram(
            "clearhead_request_seconds", "From a request to the end of its answer.", ["path"],
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip

    def text(self) -> bytes:
        return generate_latest(self.registry)
