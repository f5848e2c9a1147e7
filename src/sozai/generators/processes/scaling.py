"""Numbers to values of order one and back: standardised, or by quantiles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Scaling(nn.Module):
    """Standardises each column: mean 0, variance 1.

    Args:
        columns: length of the last axis.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))

    def fit(self, rows: Tensor) -> None:
        """From training rows ``(rows, columns)``."""
        deviation = rows.double().std(0, correction=0).float()
        self.mean.copy_(rows.double().mean(0).float())
        self.scale.copy_(torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation)))

    def forward(self, x: Tensor) -> Tensor:
        """Scaled, ``(..., columns)``."""
        return (x - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        """Back in the data's units."""
        return z * self.scale + self.mean

    def log_volume(self) -> Tensor:
        """Log-determinant of d(scaled)/d(values)."""
        return -self.scale.log().sum()


class QuantileScaling(Scaling):
    """Maps each column's empirical distribution onto the standard normal, piecewise linearly between quantiles.

    Repeated values (the zeros of an ingredient that most mixes lack) occupy an interval of ranks: they are spread
    over it at random, and all of it is sent back to them, so that a generator makes exact zeros, as often as the data
    have them. What comes back stays within the training data's range.

    Args:
        points: number of quantiles.
    """

    quantiles: Tensor

    def __init__(self, columns: int, points: int = 201):
        super().__init__(columns)
        self.register_buffer("quantiles", torch.zeros(points, columns))

    def fit(self, rows: Tensor) -> None:
        """Quantiles of training rows."""
        ranks = torch.linspace(0, 1, len(self.quantiles), dtype=torch.float64, device=rows.device)
        ordered = rows.double().sort(0).values
        place = ranks * (len(ordered) - 1)
        low = place.floor().long()
        high = (low + 1).clamp(max=len(ordered) - 1)
        share = (place - low)[:, None]
        self.quantiles.copy_((ordered[low] * (1 - share) + ordered[high] * share).float())

    def forward(self, x: Tensor) -> Tensor:
        """The normal quantile of each value's rank."""
        flat = x.reshape(-1, x.shape[-1]).T.contiguous()
        knots = self.quantiles.T.contiguous()
        low, high = self._rank(knots, flat, right=False), self._rank(knots, flat, right=True)
        rank = low + (high - low) * torch.rand_like(low)
        edge = 0.5 / len(self.quantiles)
        return (math.sqrt(2) * torch.erfinv((1 - 2 * edge) * (2 * rank - 1))).T.reshape(x.shape)

    def inverse(self, z: Tensor) -> Tensor:
        """The value at the rank of each number."""
        flat = z.reshape(-1, z.shape[-1])
        edge = 0.5 / len(self.quantiles)
        rank = (0.5 * (1 + torch.erf(flat / math.sqrt(2))) - edge) / (1 - 2 * edge)
        place = rank.clamp(0, 1) * (len(self.quantiles) - 1)
        low = place.floor().long().clamp(max=len(self.quantiles) - 2)
        share = place - low
        below, above = self.quantiles.gather(0, low), self.quantiles.gather(0, low + 1)
        return (below + share * (above - below)).reshape(z.shape)

    def log_volume(self) -> Tensor:
        """None: values that repeat have no density."""
        raise NotImplementedError("quantile scaling has no density")

    @staticmethod
    def _rank(knots: Tensor, values: Tensor, right: bool) -> Tensor:
        """Rank in [0, 1] of values among ascending knots; of equal knots the last or the first."""
        last = knots.shape[1] - 1
        above = torch.searchsorted(knots, values, right=right).clamp(1, last)
        left, up = knots.gather(1, above - 1), knots.gather(1, above)
        share = torch.where(up > left, (values - left) / (up - left).clamp(min=1e-30), torch.full_like(left, right))
        return (above - 1 + share.clamp(0, 1)) / last
