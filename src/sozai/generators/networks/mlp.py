"""Multilayer perceptrons; all networks are called alike: ``(x, time, condition, mask)``."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TimeEmbedding(nn.Module):
    """Features of a time in [0, 1] (or of a log signal-to-noise ratio): ``(batch,)`` to ``(batch, width)``.

    Sinusoids at geometrically spaced frequencies (arXiv 1706.03762, 2006.11239), then a small network.
    """

    frequencies: Tensor

    def __init__(self, width: int, fastest: float = 1000.0):
        super().__init__()
        half = 32
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(fastest), half)), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: Tensor) -> Tensor:
        """(batch,) to (batch, width)."""
        angle = time[:, None].float() * self.frequencies
        return self.layers(torch.cat([angle.sin(), angle.cos()], -1))


class ResidualMLP(nn.Module):
    """Residual blocks on vectors, steered by time and condition (scale and shift of each layer norm).

    Args:
        inputs: columns of x.
        outputs: columns of the result.
        width: of the hidden layers, and of the condition vector.
        layers: number of blocks.
        timed: whether a time is given.
        dropout: in each block.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 128, layers: int = 3, timed: bool = False, dropout: float = 0.0
    ):
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.time = TimeEmbedding(width) if timed else None
        self.blocks = nn.ModuleList(_Block(width, dropout) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, outputs))

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, inputs), time (batch,), condition (batch, width); the mask is not looked at."""
        steer = torch.zeros(x.shape[0], self.enter.out_features, device=x.device) if condition is None else condition
        if self.time is not None and time is not None:
            steer = steer + self.time(time)
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = block(hidden, steer)
        return self.leave(hidden)


class _Block(nn.Module):
    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.steer = nn.Linear(width, 2 * width)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = dropout

    def forward(self, x: Tensor, steer: Tensor) -> Tensor:
        scale, shift = self.steer(F.silu(steer)).chunk(2, -1)
        hidden = self.first(self.norm(x) * (1 + scale) + shift)
        return x + self.second(F.dropout(F.silu(hidden), self.dropout, self.training))


def mlp(
    inputs: int, outputs: int, width: int = 128, layers: int = 2, activation: type[nn.Module] = nn.SiLU
) -> nn.Sequential:
    """Plain perceptron without conditions: ``layers`` hidden layers."""
    sizes = [inputs, *[width] * layers]
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), activation()]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], outputs))
