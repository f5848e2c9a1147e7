"""Completion by particles: the exact conditional law, given enough of them (SMCDiff, arXiv 2206.04119, algorithm 2).

``guidance.Known`` alone lets the rest be chosen, at high noise, before it can tell what is known. Here each row is a
flock of chains that share one noised copy y_t of the known entries. Chains are weighted by how well they foretell
y_s, by p(y_s | x_t), and drawn anew by their weights when few of them bear most of it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import Denoiser, spread
from sozai.generators.samplers.ancestral import Ancestral
from sozai.generators.samplers.base import Condition


def log_weight(known: Tensor, y: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log N(y; mean, variance) over the known entries, up to a constant, (batch,)."""
    return -0.5 * torch.where(known, (y - mean) ** 2 / variance, 0.0).flatten(1).sum(1)


class Completion(Ancestral):
    """Completes rows.

    Args:
        values: (count, *event), looked at where known.
        known: bool, of the event's shape.
        particles: chains a row.
    """

    def __init__(self, values: Tensor, known: Tensor, particles: int = 16, steps: int = 50):
        super().__init__(tuple(values.shape[1:]), variance="beta~", steps=steps, path="log-snr")
        self.values, self.known, self.particles = values, known, particles

    def draw(self, denoiser: Denoiser, count: int, condition: Condition = None, steps: int | None = None) -> Tensor:
        """(count, *event) with the known entries as they are."""
        with torch.no_grad():
            times = self.times(denoiser, steps)[:-1].to(self.values)
            each = self.particles
            values = self.values.repeat_interleave(each, 0)
            condition = None if condition is None else condition.repeat_interleave(each, 0)
            x, weights = torch.randn_like(values), values.new_zeros(count, each)
            y = torch.randn_like(self.values).repeat_interleave(each, 0)
            for t, s in pairwise(times):
                t, s = t.expand(len(x)), s.expand(len(x))
                of_x, of_x0, variance = (spread(v, x) for v in gaussian.posterior(denoiser.schedule, s, t))
                x = torch.where(self.known, y, x)
                mean = of_x * x + of_x0 * self.predict(denoiser, x, t, condition)[0]
                noise = torch.randn_like(self.values).repeat_interleave(each, 0)
                y = of_x * y + of_x0 * values + variance.sqrt() * noise  # q(y_s | y_t, known)
                weights = weights + log_weight(self.known, y, mean, variance).reshape(count, each)
                tired = weights.softmax(1).square().sum(1) > 2 / each  # half of the flock counts for nothing
                mean = mean[self.chosen(weights, tired)]
                weights = torch.where(tired[:, None], 0.0, weights)
                x = mean + variance.sqrt() * torch.randn_like(x)
            t = times[-1].expand(len(x))
            x = self.predict(denoiser, torch.where(self.known, y, x), t, condition)[0]
            left = spread(torch.exp(-denoiser.schedule.log_snr(t)), x)
            weights = weights + log_weight(self.known, values, x, left).reshape(count, each)
            x = x[self.chosen(weights, torch.ones_like(weights[:, 0], dtype=torch.bool))].reshape(
                count, each, *self.event
            )[:, 0]
            return torch.where(self.known, self.values, x)

    def chosen(self, log_weights: Tensor, tired: Tensor) -> Tensor:
        """Indices of chains, (count * particles,): drawn by their weights in tired flocks, as they are in others."""
        drawn = torch.multinomial(log_weights.softmax(1), self.particles, replacement=True)
        same = torch.arange(self.particles, device=drawn.device).expand_as(drawn)
        first = torch.arange(len(drawn), device=drawn.device)[:, None] * self.particles
        return (torch.where(tired[:, None], drawn, same) + first).flatten()
