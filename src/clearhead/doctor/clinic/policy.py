"""A policy that learns from rewards: answers of four letters to a prompt, by groups, with a KL to where it began."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

PROMPTS, LETTERS, LENGTH, GROUP = 8, 6, 4, 16
BETA, CLIP = 0.02, 0.2


class Policy(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.prompt = nn.Embedding(PROMPTS, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, LENGTH * LETTERS)

    def forward(self, prompts: Tensor) -> Tensor:
        x = torch.tanh(self.hidden(self.prompt(prompts)))
        return self.head(x).view(-1, LENGTH, LETTERS).log_softmax(-1)


def log_prob(policy: nn.Module, prompts: Tensor, answers: Tensor) -> Tensor:
    return policy(prompts).gather(-1, answers[..., None]).squeeze(-1)


def checked(prompts: Tensor, answers: Tensor) -> Tensor:
    """The share of letters that are right: letter i of prompt p is (p + i) mod LETTERS."""
    right = (prompts[:, None] + torch.arange(LENGTH)) % LETTERS
    return (answers == right).float().mean(1)


def reward_of(prompts: Tensor, answers: Tensor) -> Tensor:
    return checked(prompts, answers)


def train(seed: int, watch: Any) -> Any:
    torch.manual_seed(seed)
    policy = Policy()
    reference = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    with watch(policy, optimizer) as watched:
        for _round_number in range(60):
            prompts = torch.arange(PROMPTS).repeat_interleave(GROUP)
            with torch.no_grad():
                log_p = policy(prompts)
                answers = torch.distributions.Categorical(logits=log_p).sample()
                old = log_prob(policy, prompts, answers)
                fixed = log_prob(reference, prompts, answers)
            reward = reward_of(prompts, answers)
            groups = reward.view(PROMPTS, GROUP)
            advantage = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()
            for update in range(2):
                now = log_prob(policy, prompts, answers)
                ratio = (now - old).exp()
                if update == 0:
                    watched.log(first_ratio=ratio.mean())
                clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
                gain = torch.minimum(ratio * advantage[:, None], clipped * advantage[:, None]).mean()
                kl = ((fixed - now).exp() - 1 - (fixed - now)).mean()
                optimizer.zero_grad()
                loss = -gain + BETA * kl
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                entropy = -(log_p.exp() * log_p).sum(-1).mean()
                watched.log(reward=reward.mean(), truth=checked(prompts, answers).mean(), entropy=entropy)
                watched.log(kl=(now - fixed).mean(), without_variance=(groups.std(1) < 1e-6).float().mean())
    return watched
