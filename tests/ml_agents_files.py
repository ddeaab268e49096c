"""Policies with exactly the names, shapes and arithmetic that ML-Agents 2 and 3 export, written by PyTorch's exporter too.

What goes in and out follows ML-Agents' ModelSerializer and ActionModel: NCHW observations, masks as float32, memories with a
time axis of 1, actions drawn inside the graph, clipped at 3 and divided by it (PPO) or squashed (SAC), and constants beside.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Behaviour:
    """What an ML-Agents behaviour observes and does."""

    vectors: tuple[int, ...] = (6,)
    picture: tuple[int, int, int] | None = None
    continuous: int = 0
    branches: tuple[int, ...] = ()
    memory: int = 0
    squashed: bool = False


class Actor(nn.Module):
    """A small actor of ML-Agents' kind; `forward` takes and gives what its exports do, in their order."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.behaviour = behaviour
        width = sum(behaviour.vectors)
        if behaviour.picture:
            channels, height, side = behaviour.picture
            self.conv = nn.Conv2d(channels, 4, 3, 2)
            width += 4 * ((height - 3) // 2 + 1) * ((side - 3) // 2 + 1)
        self.body = nn.Linear(width, 16)
        if behaviour.memory:
            self.lstm = nn.LSTM(16, behaviour.memory // 2, batch_first=True)
        encoded = behaviour.memory // 2 or 16
        self.mu = nn.Linear(encoded, max(1, behaviour.continuous))
        self.log_sigma = nn.Parameter(torch.full((1, max(1, behaviour.continuous)), -0.5))
        self.heads = nn.ModuleList(nn.Linear(encoded, size) for size in behaviour.branches)
        self.version = nn.Parameter(torch.Tensor([3.0]), requires_grad=False)
        self.memory_size = nn.Parameter(torch.Tensor([float(behaviour.memory)]), requires_grad=False)
        self.continuous_size = nn.Parameter(torch.Tensor([float(behaviour.continuous)]), requires_grad=False)
        self.branch_sizes = nn.Parameter(torch.Tensor([[float(size) for size in behaviour.branches]]), requires_grad=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        seen, rest = list(inputs), []
        if self.behaviour.memory:
            rest.append(seen.pop())
        masks = seen.pop() if self.behaviour.branches else None
        parts = [torch.relu(self.conv(part)).flatten(1) if part.dim() == 4 else part for part in seen]
        encoded = torch.tanh(self.body(torch.cat(parts, dim=1)))
        memories = []
        if self.behaviour.memory:
            hidden, cell = (part.transpose(0, 1).contiguous() for part in torch.chunk(rest[0], 2, dim=-1))
            sequence, (hidden, cell) = self.lstm(encoded.unsqueeze(1), (hidden, cell))
            encoded = sequence.squeeze(1)
            memories = [torch.cat([hidden, cell], dim=-1).transpose(0, 1)]
        return (self.version, self.memory_size, *self._continuous(encoded), *self._discrete(encoded, masks), *memories)

    def _continuous(self, encoded: Tensor) -> list[Tensor]:
        if not self.behaviour.continuous:
            return []
        mu = self.mu(encoded)
        sample = mu + torch.randn_like(mu) * torch.exp(mu * 0 + self.log_sigma)
        if self.behaviour.squashed:
            return [torch.tanh(sample), self.continuous_size, mu]
        return [torch.clamp(sample, -3, 3) / 3, self.continuous_size, torch.clamp(mu, -3, 3) / 3]

    def _discrete(self, encoded: Tensor, masks: Tensor | None) -> list[Tensor]:
        if masks is None:
            return []
        drawn, likeliest, start = [], [], 0
        for head, size in zip(self.heads, self.behaviour.branches, strict=True):
            allow = masks[:, start : start + size]
            logits = head(encoded) * allow - 1e8 * (-1.0 * allow + 1.0)
            probabilities = torch.softmax(logits, dim=-1)
            drawn.append(torch.multinomial(probabilities, 1))
            likeliest.append(torch.argmax(probabilities, dim=1, keepdim=True))
            start += size
        return [torch.cat(drawn, dim=1), self.branch_sizes, torch.cat(likeliest, dim=1)]


def write(behaviour: Behaviour, path: Path) -> Actor:
    """Export an actor as ML-Agents does, and return it."""
    actor = Actor(behaviour).eval()
    shapes = [(size,) for size in behaviour.vectors] + ([behaviour.picture] if behaviour.picture else [])
    inputs = [torch.zeros(1, *shape) for shape in shapes]
    names = [f"obs_{i}" for i in range(len(inputs))]
    outputs = ["version_number", "memory_size"]
    if behaviour.branches:
        inputs.append(torch.ones(1, sum(behaviour.branches)))
        names.append("action_masks")
    if behaviour.memory:
        inputs.append(torch.zeros(1, 1, behaviour.memory))
        names.append("recurrent_in")
    if behaviour.continuous:
        outputs += ["continuous_actions", "continuous_action_output_shape", "deterministic_continuous_actions"]
    if behaviour.branches:
        outputs += ["discrete_actions", "discrete_action_output_shape", "deterministic_discrete_actions"]
    axes = {name: {0: "batch"} for name in (*names, "continuous_actions", "discrete_actions") if name in (*names, *outputs)}
    if behaviour.memory:
        outputs.append("recurrent_out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            actor,
            tuple(inputs),
            str(path),
            dynamo=False,
            opset_version=9,
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
        )
    return actor
