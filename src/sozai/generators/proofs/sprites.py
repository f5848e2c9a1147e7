"""Small pictures with known causes, drawn here: a square, an ellipse or a heart of some size, turn and place.

The causes are those of dSprites (L. Matthey et al., 2017), on a coarser grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

COUNTS = (3, 4, 8, 8, 8)
"""Values of shape, size, turn, x and y."""


def sprites(counts: tuple[int, ...] = COUNTS, side: int = 16) -> tuple[Tensor, Tensor]:
    """All combinations: images (rows, 1, side, side) in [-1, 1], causes (rows, 5) as whole numbers.

    Edges are smooth over about a pixel; turns cover a quarter of a circle, after which the square repeats itself.
    """
    factors = torch.cartesian_prod(*(torch.arange(count) for count in counts))
    share = factors / torch.tensor([max(count - 1, 1) for count in counts])
    radius = 0.18 + 0.14 * share[:, 1, None, None]
    angle = math.pi / 2 * factors[:, 2, None, None] / counts[2]
    centre = 0.35 + 0.3 * share[:, 3:]
    line = (torch.arange(side) + 0.5) / side
    x, y = line[None, None] - centre[:, 0, None, None], line[None, :, None] - centre[:, 1, None, None]
    u = (angle.cos() * x + angle.sin() * y) / radius
    v = (angle.cos() * y - angle.sin() * x) / radius
    square = 1 - torch.maximum(u.abs(), v.abs()) / 0.8
    ellipse = 1 - torch.hypot(u, v / 0.6)
    a, b = 1.1 * u, 0.2 - 1.1 * v
    heart = -((a**2 + b**2 - 1) ** 3) + a**2 * b**3  # (a^2 + b^2 - 1)^3 = a^2 b^3 is the curve
    heart = heart.sign() * heart.abs() ** (1 / 3)
    inside = torch.stack([square, ellipse, heart])[factors[:, 0], torch.arange(len(factors))]
    return torch.tanh(inside * radius * side)[:, None], factors
