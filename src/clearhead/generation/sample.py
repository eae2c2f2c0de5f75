"""What the engine remembers of a request that waits or runs: the group of its samples, and each sample."""

from dataclasses import dataclass, field

from clearhead.generation.beam import Hypothesis
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import StopRule


@dataclass(eq=False)
class Sample:
    """A text while it is written: what came after the prompt, and where it ends in the backend."""

    group: "Group"
    index: int
    seq: int
    ids: list[int] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)  # of a beam, whose texts are told when the search is over
    log_p: float = 0.0  # of a beam


@dataclass(eq=False)
class Group:
    """The samples of one request that have not ended; all are `steps` tokens long."""

    id: int
    request: Request
    new: int  # tokens at most
    filters: SamplingParams  # without `max_tokens`: equal for all that draw alike
    rule: StopRule
    account: int
    at: int | None
    samples: list[Sample] = field(default_factory=list)
    steps: int = 0
    found: list[Hypothesis] = field(default_factory=list)  # by beams: the best texts that ended

    @property
    def width(self) -> int:
        """Samples that it begins with."""
        return 1 if self.request.beams else self.request.n

    @property
    def promised(self) -> int:
        """Tokens that it may yet write."""
        return (self.request.beams or len(self.samples) or self.request.n) * (self.new - self.steps)

    @property
    def length(self) -> int:
        """Tokens of each text, prompt and all."""
        return len(self.request.prompt_ids) + self.steps

    def begin(self, seq: int) -> None:
        self.samples = [Sample(self, index, seq) for index in range(self.width)]
