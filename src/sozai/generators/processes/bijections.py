"""Bijections between data and noise with cheap log-determinants: what a normalizing flow is a chain of.

By the change of variables, with z = f(x) and a base density p_z (arXiv 1410.8516, eq. 2)::

    log p(x) = log p_z(f(x)) + log |det df/dx|

==================  ================================  =====================================
layer               z                                 log |det|
==================  ================================  =====================================
diagonal            x exp(s)                          sum s                  (NICE, 1410.8516)
actnorm             (x + bias) exp(log_scale)         places * sum log_scale (Glow, 1807.03039)
invertible 1x1      W x,  W = P L (U + diag s)        places * sum log |s|   (Glow, eq. 10, 11)
squeeze             space to channels                 0                      (RealNVP, 1605.08803)
logit               logit(a + (1 - 2 a) (x + 1) / 2)  sum of its slopes      (RealNVP, section 4.1)
==================  ================================  =====================================

Couplings and the multiscale split are in ``couplings``, differential equations in ``ode``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Bijection(nn.Module):
    """Base: ``forward`` from data to noise with log |det|, ``inverse`` back. The context is (batch, width)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (batch, *event) to z of as many numbers, and log |det dz/dx| (batch,)."""
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The x with ``forward(x) = z``."""
        raise NotImplementedError


class Chain(Bijection):
    """One after the other."""

    def __init__(self, layers: Iterable[Bijection]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-determinants add up."""
        total: Tensor | None = None
        for layer in self.layers:
            x, log_det = layer(x, context)
            total = log_det if total is None else total + log_det
        return x, x.new_zeros(len(x)) if total is None else total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """In reverse order."""
        for layer in reversed(self.layers):
            z = layer.inverse(z, context)  # type: ignore[operator]
        return z


class Reshape(Bijection):
    """Another shape of the event, such as an image as a vector."""

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...]):
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Volume stays."""
        return x.reshape(-1, *self.after), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The first shape."""
        return z.reshape(-1, *self.before)


class Diagonal(Bijection):
    """z = x exp(s), one s a number: NICE's last layer (1410.8516, section 3.3)."""

    def __init__(self, features: int, start: float = 0.0):
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((features,), start))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is the sum of s."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z exp(-s)."""
        return z * (-self.log_scale).exp()


class ActNorm(Bijection):
    """Scale and bias a channel, which ``initialise`` sets so that the first batch has mean 0 and deviation 1."""

    def __init__(self, count: int):
        super().__init__()
        self.bias, self.log_scale = nn.Parameter(torch.zeros(count)), nn.Parameter(torch.zeros(count))
        self.waiting = False

    def initialise(self, x: Tensor) -> None:
        """From x (batch, channels, *spatial); a channel that does not vary keeps its scale within 1,000."""
        flat = x.detach().transpose(0, 1).flatten(1)
        with torch.no_grad():
            self.bias.copy_(-flat.mean(1))
            self.log_scale.copy_(-flat.std(1, correction=0).clamp(min=1e-3).log())
        self.waiting = False

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (batch, channels, *spatial)."""
        if self.waiting:
            self.initialise(x)
        places = math.prod(x.shape[2:])
        z = (x + _aligned(self.bias, x)) * _aligned(self.log_scale.exp(), x)
        return z, (places * self.log_scale.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z exp(-log_scale) - bias."""
        return z * _aligned((-self.log_scale).exp(), z) - _aligned(self.bias, z)


def initialise(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> None:
    """Let every actnorm of a flow set itself by this batch, one after the other."""
    for module in flow.modules():
        if isinstance(module, ActNorm):
            module.waiting = True
    with torch.no_grad():
        flow(x, context)


class Invertible1x1(Bijection):
    """Learned mixing of channels, W = P L (U + diag(s)), P fixed (Glow, eq. 10); starts as a random rotation."""

    permutation: Tensor
    signs: Tensor

    def __init__(self, count: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(count, count))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("signs", upper.diagonal().sign())
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(upper)
        self.log_scale = nn.Parameter(upper.diagonal().abs().log())

    def factors(self) -> tuple[Tensor, Tensor]:
        """L with ones, and U + diag(s), on their diagonals."""
        one = torch.eye(len(self.signs), device=self.lower.device, dtype=self.lower.dtype)
        return self.lower.tril(-1) + one, self.upper.triu(1) + torch.diag(self.signs * self.log_scale.exp())

    def weight(self) -> Tensor:
        """W (channels, channels)."""
        lower, upper = self.factors()
        return self.permutation @ lower @ upper

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same W at every place; log |det| = places * sum log |s| (Glow, eq. 11)."""
        z = torch.einsum("ij,bj...->bi...", self.weight(), x)
        return z, (math.prod(x.shape[2:]) * self.log_scale.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """By two triangular solves."""
        lower, upper = self.factors()
        flat = torch.einsum("ji,bj...->bi...", self.permutation, z).transpose(0, 1)
        solved = torch.linalg.solve_triangular(lower, flat.reshape(len(flat), -1), upper=False, unitriangular=True)
        solved = torch.linalg.solve_triangular(upper, solved, upper=True)
        return solved.reshape(flat.shape).transpose(0, 1)


class Squeeze(Bijection):
    """Blocks of 2 x 2 (x 2) places become channels: (c, h, w) to (4 c, h / 2, w / 2) (RealNVP, fig. 3)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Even sides only."""
        spatial = x.dim() - 2
        x_parts = x.reshape(*x.shape[:2], *(n for side in x.shape[2:] for n in (side // 2, 2)))
        order = [0, 1, *range(3, 3 + 2 * spatial, 2), *range(2, 2 + 2 * spatial, 2)]
        return x_parts.permute(order).flatten(1, 1 + spatial), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The blocks again."""
        spatial = z.dim() - 2
        parts = z.reshape(len(z), -1, *[2] * spatial, *z.shape[2:])
        order = [0, 1, *(axis for place in range(spatial) for axis in (2 + spatial + place, 2 + place))]
        return parts.permute(order).reshape(len(z), -1, *(2 * side for side in z.shape[2:]))


class Logit(Bijection):
    """Images of [-1, 1] to all reals: logit(alpha + (1 - 2 alpha) (x + 1) / 2) (RealNVP, section 4.1).

    Values are cut alpha / 2 outside [-1, 1] at the latest, so that jitter does not make them infinite.
    """

    def __init__(self, alpha: float = 0.05):
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is the sum of log((1 - 2 alpha) / 2) - log p - log(1 - p)."""
        p = (self.alpha + (1 - 2 * self.alpha) * (x + 1) / 2).clamp(self.alpha / 2, 1 - self.alpha / 2)
        log_det = math.log((1 - 2 * self.alpha) / 2) - p.log() - (-p).log1p()
        return p.log() - (-p).log1p(), log_det.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Slightly beyond [-1, 1] in the tails."""
        return (z.sigmoid() - self.alpha) / (1 - 2 * self.alpha) * 2 - 1


def _aligned(values: Tensor, x: Tensor) -> Tensor:
    """(channels,) so that it multiplies (batch, channels, *spatial)."""
    return values.reshape(-1, *[1] * (x.dim() - 2))
