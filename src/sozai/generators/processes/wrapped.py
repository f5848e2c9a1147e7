"""The wrapped normal on the circle and its products: noise for fractional coordinates and torsions.

Density at a difference d, period 1, by its two series (Poisson's summation turns one into the other)::

    q(d) = sum_k N(d + k; 0, sigma^2) = 1 + 2 sum_n exp(-2 pi^2 sigma^2 n^2) cos(2 pi n d)

The first converges fast for small sigma, the second for large; for sigma -> infinity it is uniform. As noise of
crystals: R. Jiao et al., DiffCSP, NeurIPS 2023 (arXiv 2309.04475, sec. 4.2); B. Jing et al. (arXiv 2206.01729).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sozai.fields import Field
from sozai.generators.processes.corruption import Geodesic
from sozai.generators.processes.gaussian import spread

HARMONICS = (1, 2, 4, 8, 16)
"""Of the sines and cosines that a network sees."""

SWITCH = 0.3
"""From this sigma on the Fourier series is used."""


def wrap(x: Tensor) -> Tensor:
    """Into [0, 1)."""
    x = x % 1.0
    return torch.where(x >= 1, torch.zeros_like(x), x)  # -1e-9 % 1 rounds up to 1


def density(d: Tensor, sigma: Tensor) -> Tensor:
    """q(d); sigma broadcasts."""
    d, images = d - d.round(), torch.arange(-4, 5, device=d.device, dtype=d.dtype)
    terms = torch.exp(-0.5 * ((d[..., None] + images) / sigma[..., None]) ** 2).sum(-1)
    near = terms / (sigma * math.sqrt(2 * math.pi))
    weight, n = _fourier(sigma)
    far = 1 + 2 * (weight * torch.cos(2 * math.pi * n * d[..., None])).sum(-1)
    return torch.where(sigma < SWITCH, near, far)


def score(d: Tensor, sigma: Tensor) -> Tensor:
    """d log q / dd; sigma broadcasts."""
    d, images = d - d.round(), torch.arange(-4, 5, device=d.device, dtype=d.dtype)
    shifted, width = d[..., None] + images, sigma[..., None].clamp(max=SWITCH)
    weights = torch.exp((d[..., None] ** 2 - shifted**2) / (2 * width**2))  # relative to the nearest image: no 0 / 0
    near = -(shifted * weights).sum(-1) / (weights.sum(-1) * width[..., 0] ** 2)
    weight, n = _fourier(sigma)
    angle = 2 * math.pi * n * d[..., None]
    far = -4 * math.pi * (n * weight * angle.sin()).sum(-1) / (1 + 2 * (weight * angle.cos()).sum(-1))
    return torch.where(sigma < SWITCH, near, far)


def _fourier(sigma: Tensor) -> tuple[Tensor, Tensor]:
    n = torch.arange(1, 7, device=sigma.device, dtype=sigma.dtype)
    return torch.exp(-2 * (math.pi * n * sigma[..., None].clamp(min=SWITCH)) ** 2), n


class WrappedNormal(Geodesic):
    """The corruption of a periodic field.

    Args:
        invariant: only differences between sites count (fractional coordinates: the origin of a cell is free). The
            network sees no more than those, and its scores, like the true ones, sum to zero over the sites.
    """

    def __init__(self, field: Field, invariant: bool = False, least: float = 0.005, most: float = 0.5):
        super().__init__(field, least, most)
        self.relative = invariant
        self.inputs, self.outputs = 2 * len(HARMONICS) * self.unit, self.unit

    def encode(self, values: Tensor) -> Tensor:
        """Wrapped."""
        return wrap(self.arrange(values))

    def prior(self, rows: int, places: int, device: torch.device) -> Tensor:
        """Uniform."""
        return torch.rand(rows, places, self.unit, device=device)

    def corrupt(self, z0: Tensor, t: Tensor) -> Tensor:
        """Normal noise, wrapped."""
        return wrap(z0 + spread(self.sigma(t), z0) * torch.randn_like(z0))

    def features(self, z: Tensor, t: Tensor) -> Tensor:
        """Sines and cosines of the values, or of their differences between sites."""
        z = z[:, None] - z[:, :, None] if self.relative else z
        angle = 2 * math.pi * z[..., None] * torch.tensor(HARMONICS, device=z.device, dtype=z.dtype)
        return torch.cat([angle.sin(), angle.cos()], -1).flatten(-2)

    def project(self, prediction: Tensor, mask: Tensor) -> Tensor:
        """Less its mean over the sites when only differences count."""
        if not self.relative:
            return prediction
        real = mask[..., None].to(prediction.dtype)
        return (prediction - (prediction * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)) * real

    def score(self, z: Tensor, z0: Tensor, sigma: Tensor) -> Tensor:
        """Of the wrapped normal."""
        return score(z - z0, spread(sigma, z).expand_as(z))

    def magnitude(self, sigma: Tensor) -> Tensor:
        """By quadrature over the difference."""
        reach = (7 * sigma).clamp(max=0.5)[:, None]
        d = reach * (torch.arange(128, device=sigma.device, dtype=sigma.dtype) + 0.5) / 128
        weight = density(d, sigma[:, None].expand_as(d))
        return ((weight * score(d, sigma[:, None].expand_as(d)) ** 2).sum(1) / weight.sum(1)).sqrt()

    def walk(self, z: Tensor, step: Tensor) -> Tensor:
        """Along the circle."""
        return wrap(z + step)
