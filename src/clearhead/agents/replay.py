"""A transcript run again without a model and without tools: the loop with what was decided and seen then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearhead.agents.calls import Approve, deny
from clearhead.agents.loop import Limits, Outcome, run
from clearhead.agents.policy import Decision
from clearhead.agents.steps import Action, Observation, Step
from clearhead.agents.tools import Tool
from clearhead.agents.transcript import Entry, Transcript


class Stopped(Exception):
    """The transcript ends here, in the middle of an episode."""


@dataclass(frozen=True)
class Recorded:
    """Policy and tools of an episode as it has been, one step a turn."""

    entries: Sequence[Entry]

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        (steps,) = episodes
        size = len(steps)
        while size < len(self.entries) and isinstance(self.entries[size].step, Action):
            size += 1
        taken = self.entries[len(steps) : max(size, len(steps) + 1)]
        if not taken or isinstance(taken[0].step, Observation):
            raise Stopped
        return [Decision(tuple(entry.step for entry in taken), *taken[0][2:])]

    def act(self, actions: Sequence[Action], tools: Mapping[str, Tool], approve: Approve) -> list[Observation]:
        seen = {entry.step.id: entry.step for entry in self.entries if isinstance(entry.step, Observation)}
        if any(action.id not in seen for action in actions):
            raise Stopped
        return [seen[action.id] for action in actions]


def replay(transcript: Transcript) -> Outcome | None:
    """The episode once more; None where it was stopped before its end."""
    own = [entry for entry in transcript.entries if not entry.agent]
    recorded = Recorded(own)
    limits = Limits(int(transcript.header["max_steps"]))
    try:
        return run([own[0].step], recorded, {}, limits, deny, lambda entries: None, recorded.act)
    except Stopped:
        return None
